"""How many pods of each revision shall serve while a new revision takes over."""

from collections import Counter
from collections.abc import Sequence

from callfleet_operator.model import RolloutStrategy
from callfleet_operator.model.voiceagent import Rollout

from .views import PodView, Seen


def shares(wanted: int, current: str, pods: Sequence[PodView], rollout: Rollout) -> dict[str, int]:
    """Serving pods by revision, the current one first, then others that still have pods.

    An old pod leaves only when a new one takes calls in its place, whatever the strategy:
    blue-green starts all new ones at once and lets the old ones go together; rolling adds at most
    `max_surge` pods at a time. New pods that exist already are not taken away. When nobody
    takes calls, old pods that drain are counted in: they come back before new ones start. Pods that
    are barred leave at once and stay away.
    """
    there = [pod for pod in pods if pod.exists and not pod.unreachable]
    old = {pod.revision for pod in there if pod.revision not in ("", current)}
    fit = [pod for pod in there if not pod.barred]
    serving = Counter(pod.revision for pod in fit if pod.draining_since is None)
    draining = Counter(pod.revision for pod in fit if pod.draining_since is not None)
    others = sorted(old, key=lambda revision: (-serving[revision], revision))
    confirmed = sum(1 for pod in pods if pod.revision == current and pod.takes_calls)
    keep = _kept(wanted, confirmed, rollout.strategy)
    result = {current: wanted}
    for revision in others:
        result[revision] = min(serving[revision], keep)
        keep -= result[revision]
    if not any(_may_take_calls(pod) for pod in pods):
        for revision in others:
            back = min(draining[revision], keep)
            result[revision] += back
            keep -= back
    remaining = sum(result[revision] for revision in others)
    if rollout.strategy is not RolloutStrategy.BLUE_GREEN:
        room = max(wanted + rollout.max_surge - remaining, serving[current])
        result[current] = min(wanted, room)
    return result


def _may_take_calls(pod: PodView) -> bool:
    unheard = pod.gate is True and pod.row is Seen.UNKNOWN and pod.draining_since is None
    return pod.takes_calls or (pod.exists and unheard and not pod.barred)


def _kept(wanted: int, confirmed: int, strategy: RolloutStrategy) -> int:
    if strategy is RolloutStrategy.BLUE_GREEN:
        return wanted if confirmed < wanted else 0
    return max(0, wanted - confirmed)
