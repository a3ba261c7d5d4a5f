"""How many pods of each revision shall serve while a new revision takes over."""

from collections import Counter
from collections.abc import Sequence

from callfleet_operator.model import RolloutStrategy
from callfleet_operator.model.voiceagent import Rollout

from .views import PodView


def shares(wanted: int, current: str, pods: Sequence[PodView], rollout: Rollout) -> dict[str, int]:
    """Serving pods by revision, the current one first, then others that still have pods.

    An old pod leaves only when a new one takes calls in its place, whatever the strategy:
    blue-green starts all new ones at once and lets the old ones go together; rolling and canary
    add at most `max_surge` pods at a time. New pods that exist already are not taken away.
    """
    old = Counter(
        pod.revision
        for pod in pods
        if pod.exists and pod.revision not in ("", current) and not pod.unreachable
    )
    serving = Counter(
        pod.revision
        for pod in pods
        if pod.exists and pod.draining_since is None and not pod.unreachable
    )
    others = sorted(old, key=lambda revision: (-serving[revision], revision))
    confirmed = sum(1 for pod in pods if pod.revision == current and _takes_calls(pod))
    keep = _kept(wanted, confirmed, rollout.strategy)
    result = {current: wanted}
    for revision in others:
        result[revision] = min(serving[revision], keep)
        keep -= result[revision]
    remaining = sum(result[revision] for revision in others)
    if rollout.strategy is not RolloutStrategy.BLUE_GREEN:
        room = max(wanted + rollout.max_surge - remaining, serving[current])
        result[current] = min(wanted, room)
    return result


def _kept(wanted: int, confirmed: int, strategy: RolloutStrategy) -> int:
    if strategy is RolloutStrategy.BLUE_GREEN:
        return wanted if confirmed < wanted else 0
    return max(0, wanted - confirmed)


def _takes_calls(pod: PodView) -> bool:
    return pod.exists and pod.gate is True and pod.containers_ready and pod.draining_since is None
