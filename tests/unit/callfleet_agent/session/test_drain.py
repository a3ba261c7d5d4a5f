"""A pod leaves in two ways, and both lose no call."""

import pytest

from callfleet_agent.session import Drain, PodIntent, PodPhase, StaleEpochError


def serving(epoch: int = 3) -> Drain:
    return Drain().on_intent(epoch, PodIntent.SERVING, row_confirmed_inactive=False)


def test_a_pod_serves_from_its_start() -> None:
    assert Drain().phase(now=0.0) is PodPhase.SERVING
    assert Drain().takes_calls(now=0.0)


def test_the_operator_drains_at_once_and_may_change_its_mind() -> None:
    draining = serving().on_intent(3, PodIntent.DRAINING, row_confirmed_inactive=True)
    assert draining.phase(now=0.0) is PodPhase.DRAINING
    back = draining.on_intent(4, PodIntent.SERVING, row_confirmed_inactive=False)
    assert back.takes_calls(now=0.0)


def test_a_former_leader_is_refused() -> None:
    with pytest.raises(StaleEpochError, match="epoch 2 is older than the accepted epoch 3"):
        serving(3).on_intent(2, PodIntent.DRAINING, row_confirmed_inactive=True)


@pytest.mark.parametrize(
    ("now", "phase"),
    [(100.0, PodPhase.LEAVING), (104.9, PodPhase.LEAVING), (105.0, PodPhase.DRAINING)],
)
def test_after_sigterm_calls_are_taken_for_five_seconds_at_most(
    now: float, phase: PodPhase
) -> None:
    assert serving().on_terminate(at=100.0).phase(now=now) is phase


def test_after_sigterm_a_confirmed_row_ends_the_wait() -> None:
    leaving = serving().on_terminate(at=100.0)
    told = leaving.on_intent(3, PodIntent.SERVING, row_confirmed_inactive=True)
    assert told.phase(now=100.1) is PodPhase.DRAINING


def test_a_second_sigterm_changes_nothing() -> None:
    leaving = serving().on_terminate(at=100.0)
    assert leaving.on_terminate(at=104.0) == leaving


def test_without_sigterm_a_drained_pod_stays() -> None:
    draining = serving().on_intent(3, PodIntent.DRAINING, row_confirmed_inactive=True)
    assert not draining.may_exit(now=1000.0, calls=0, idle=True)


def test_the_process_ends_after_the_last_call_and_its_transactions() -> None:
    leaving = serving().on_terminate(at=100.0)
    assert not leaving.may_exit(now=104.0, calls=0, idle=True)
    assert leaving.may_exit(now=105.0, calls=0, idle=True)
    assert not leaving.may_exit(now=105.0, calls=1, idle=False)
    ended = leaving.on_call_ended(at=200.0)
    assert not ended.may_exit(now=231.9, calls=0, idle=False)
    assert ended.may_exit(now=205.0, calls=0, idle=True)


def test_a_transaction_that_never_ends_does_not_hold_the_process() -> None:
    leaving = serving().on_terminate(at=100.0)
    assert leaving.may_exit(now=132.0, calls=0, idle=False)
    assert leaving.on_call_ended(at=200.0).may_exit(now=232.0, calls=0, idle=False)


def test_once_the_process_leaves_the_operators_word_brings_no_call_back() -> None:
    leaving = serving().on_terminate(at=100.0).on_exit()
    told = leaving.on_intent(4, PodIntent.SERVING, row_confirmed_inactive=False)
    assert not told.takes_calls(now=100.1)
