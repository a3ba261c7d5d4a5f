"""FakePods: the PodLink in memory. Pods obey at once, and report what a test says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from callfleet_operator.ports.pods import PodFigures, PodState, PodTarget


@dataclass
class FakePods:
    """`report(uid, calls=…)` is what the pod says; a pod told to drain says so in its next report.

    `deaf`: pods that hear nothing, and are not heard.
    """

    on_report: Callable[[str, str, bool], None] = lambda *_: None
    capacity: int = 20
    targets: dict[str, PodTarget] = field(default_factory=dict)
    told: list[tuple[str, PodState, bool]] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    _figures: dict[str, PodFigures] = field(default_factory=dict)

    def want(self, namespace: str, agent: str, targets: Mapping[str, PodTarget]) -> None:
        mine = {
            uid for uid, t in self.targets.items() if (t.namespace, t.agent) == (namespace, agent)
        }
        for uid in mine - targets.keys():
            del self.targets[uid]
            self._figures.pop(uid, None)
        for uid, target in targets.items():
            if self.targets.get(uid) != target:
                self.targets[uid] = target
                self.told.append((uid, target.state, target.row_confirmed_inactive))
                if uid not in self.deaf:
                    self._say(target)

    def figures(self, uid: str) -> PodFigures | None:
        return self._figures.get(uid)

    def report(self, uid: str, calls: int) -> None:
        self.calls[uid] = calls
        if uid in self.targets and uid not in self.deaf:
            self._say(self.targets[uid])

    def lose(self, uid: str) -> None:
        """The stream breaks: the last figures stay."""
        self.deaf.add(uid)
        if uid in self._figures:
            self._figures[uid] = replace(self._figures[uid], heard=False)
            target = self.targets[uid]
            self.on_report(target.namespace, target.agent, True)

    def _say(self, target: PodTarget) -> None:
        new = PodFigures(
            uid=target.uid,
            state=target.state,
            calls=self.calls.get(target.uid, 0),
            capacity=self.capacity,
            terminating=False,
            revision="",
            received_at=0.0,
        )
        if self._figures.get(target.uid) != new:
            self._figures[target.uid] = new
            self.on_report(target.namespace, target.agent, True)
