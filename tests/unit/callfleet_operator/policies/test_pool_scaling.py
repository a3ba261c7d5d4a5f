"""Replicas of a pool by the calls of its agents."""

import pytest

from callfleet_operator.model.poolparts import PoolScaling
from callfleet_operator.policies.pool_scaling import wanted_of_pool

SCALING = PoolScaling(min_replicas=0, max_replicas=3, target_concurrency=4, idle_seconds=60)


@pytest.mark.parametrize(
    ("replicas", "calls", "below_since", "wanted", "reason"),
    [
        (0, 0, None, 0, "Steady"),
        (0, 1, None, 1, "ScalingUp"),  # the first call wakes it
        (1, 4, None, 1, "Steady"),
        (1, 5, None, 2, "ScalingUp"),
        (1, 500, None, 3, "ScalingUp"),
        (2, 4, None, 2, "Waiting"),
        (2, 4, 41.0, 2, "Waiting"),
        (2, 4, 40.0, 1, "ScalingDown"),
        (1, 0, 0.0, 0, "ScalingDown"),
    ],
)
def test_up_at_once_and_down_after_a_while(
    replicas: int, calls: int, below_since: float | None, wanted: int, reason: str
) -> None:
    found = wanted_of_pool(SCALING, replicas, calls, below_since, now=100.0)
    assert (found.replicas, found.reason) == (wanted, reason)


def test_the_wait_begins_when_fewer_suffice_and_ends_when_they_do_not() -> None:
    first = wanted_of_pool(SCALING, 2, 1, None, now=100.0)
    assert first.below_since == 100.0
    assert wanted_of_pool(SCALING, 2, 8, first.below_since, now=110.0).below_since is None


def test_never_below_the_least() -> None:
    scaling = PoolScaling(min_replicas=2, max_replicas=3)
    assert wanted_of_pool(scaling, 2, 0, None, now=0.0).replicas == 2
