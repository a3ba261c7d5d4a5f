"""How many replicas a pool shall have by the calls of the agents that use it."""

from dataclasses import dataclass

from callfleet_operator.model.poolparts import PoolScaling

from .views import Verdict


@dataclass(frozen=True)
class PoolVerdict(Verdict):
    """`below_since`: since when fewer suffice (monotonic seconds); None: they do not."""

    replicas: int = 0
    below_since: float | None = None


def wanted_of_pool(
    scaling: PoolScaling, replicas: int, calls: int, below_since: float | None, now: float
) -> PoolVerdict:
    """Up at once; down when fewer have sufficed for idleSeconds. The first call wakes a pool.

    A replica too many costs money, one too few costs callers their answer: the delay is for down
    only.
    """
    needed = -(-calls // scaling.target_concurrency)
    wanted = min(max(needed, scaling.min_replicas), scaling.max_replicas)
    if wanted >= replicas:
        why = "Steady" if wanted == replicas else "ScalingUp"
        return PoolVerdict(why, f"{calls} calls ask for {wanted}", replicas=wanted)
    since = now if below_since is None else below_since
    if now - since < scaling.idle_seconds:
        message = f"{wanted} have sufficed for {now - since:.0f} s"
        return PoolVerdict("Waiting", message, replicas=replicas, below_since=since)
    return PoolVerdict("ScalingDown", f"{calls} calls ask for {wanted}", replicas=wanted)
