"""How many pods there are, which leave, and which come back."""

from dataclasses import replace

import pytest

from callfleet_operator.model import RolloutStrategy, load_voice_agent
from callfleet_operator.model.voiceagent import Rollout, VoiceAgentSpec
from callfleet_operator.policies.rollout import shares
from callfleet_operator.policies.scaling import (
    COST_DRAINING,
    COST_RELEASED,
    COST_SERVING,
    Load,
    RevisionPlan,
    plan_fleet,
    plan_revision,
    wanted_replicas,
)
from callfleet_operator.policies.views import PodView, ReportView, Seen, calls_of
from vectors.manifests.table import SMALLEST, merged

NOW = 1000.0


def pod(name: str, **more: object) -> PodView:
    """A pod that takes calls, unless something else is said."""
    given = {
        "containers_ready": True,
        "ready": True,
        "gate": True,
        "ip": "10.0.0.1",
        "created": 0.0,
        "row": Seen.ACTIVE,
    }
    return PodView(name, name, **{"revision": "new", **given, **more})  # type: ignore[arg-type]


def draining(name: str, **more: object) -> PodView:
    state = {"ready": False, "gate": False, "draining_since": NOW - 10, "row": Seen.INACTIVE}
    return pod(name, **{**state, **more})


def starting(name: str, **more: object) -> PodView:
    state = {"containers_ready": False, "ready": False, "gate": None, "ip": None}
    return pod(name, **{"row": Seen.UNKNOWN, **state, **more})


def report(name: str, calls: int = 0, **more: object) -> ReportView:
    return ReportView(name, calls=calls, capacity=20, **more)  # type: ignore[arg-type]


def told(name: str, calls: int = 0) -> ReportView:
    return report(name, calls, draining=True)


def plan(
    wanted: int, pods: list[PodView], *reports: ReportView, **more: float | None
) -> RevisionPlan:
    settings = {"drain_timeout_s": 600.0, "now": NOW, **more}
    heard = {item.pod_uid: item for item in reports}
    return plan_revision(wanted, pods, heard, **settings)  # type: ignore[arg-type]


class TestOneRevision:
    @pytest.mark.parametrize(
        ("case", "wanted", "pods", "replicas", "reason"),
        [
            ("nothing there yet", 2, [], 2, "ScalingUp"),
            ("as wanted", 2, [pod("a"), pod("b")], 2, "Steady"),
            ("switched off", 0, [], 0, "Steady"),
            ("one starts", 2, [pod("a"), starting("b")], 2, "Steady"),
            ("one more is wanted", 3, [pod("a"), pod("b")], 3, "ScalingUp"),
            ("one ends by itself", 1, [pod("a", terminating_since=1.0)], 1, "ScalingUp"),
            ("one has ended", 1, [pod("a", finished=True)], 1, "ScalingUp"),
            ("one is on a silent node", 2, [pod("a"), pod("b", unreachable=True)], 3, "ScalingUp"),
            ("one drains", 1, [pod("a"), draining("b")], 2, "Draining"),
        ],
    )
    def test_replicas_are_wanted_and_draining_and_unreachable(
        self, case: str, wanted: int, pods: list[PodView], replicas: int, reason: str
    ) -> None:
        decided = plan(wanted, pods)
        assert (decided.replicas, decided.reason) == (replicas, reason), case
        assert (decided.drain, decided.take_back, decided.release) == ((), (), ())

    def test_fewer_pods_means_a_drain_and_no_fewer_replicas(self) -> None:
        decided = plan(1, [pod("a"), pod("b")], report("a", 5), report("b", 2))
        assert (decided.replicas, decided.drain) == (2, ("b",))
        assert decided.deletion_costs == {"a": COST_SERVING, "b": COST_DRAINING}

    @pytest.mark.parametrize(
        ("case", "pods", "first"),
        [
            ("the one with fewest calls", [pod("a"), pod("b"), pod("c")], "b"),
            ("one that does not run", [pod("b"), starting("c"), pod("a")], "c"),
            ("the youngest of equals", [pod("b"), pod("d", created=2.0), pod("e")], "d"),
            ("by name in the end", [pod("e"), pod("d"), pod("b")], "d"),
        ],
    )
    def test_who_leaves_first(self, case: str, pods: list[PodView], first: str) -> None:
        reports = [report("a", 9), report("b", 0 if case.endswith("calls") else 7), report("c", 8)]
        if case == "by name in the end":
            pods = [*pods, pod("a")]
        decided = plan(len(pods) - 1, pods, *reports)
        assert decided.drain == (first,)

    @pytest.mark.parametrize(
        ("case", "leaving", "reports", "released"),
        [
            ("told and empty", draining("b"), [told("b")], True),
            ("told, with calls", draining("b"), [told("b", 1)], False),
            ("not told yet", draining("b"), [report("b")], False),
            ("never reported", draining("b"), [], False),
            ("cannot be heard", draining("b"), [report("b", heard=False, draining=True)], False),
            ("gate still true", draining("b", gate=True), [told("b")], False),
            ("overdue with calls", draining("b", draining_since=NOW - 600), [told("b", 3)], True),
            ("overdue, gate still true", draining("b", gate=True, draining_since=1.0), [], False),
            ("never ran", starting("b", draining_since=NOW), [], True),
        ],
    )
    def test_a_drained_pod_goes_when_nothing_holds_it(
        self, case: str, leaving: PodView, reports: list[ReportView], released: bool
    ) -> None:
        decided = plan(1, [pod("a"), leaving], *reports)
        assert decided.release == (("b",) if released else ()), case
        assert decided.replicas == (1 if released else 2)
        assert decided.deletion_costs["b"] == (COST_RELEASED if released else COST_DRAINING)

    def test_a_drained_pod_waits_while_a_replica_set_would_delete_a_starting_one_first(
        self,
    ) -> None:
        pods = [starting("a"), draining("b")]
        assert plan(1, pods, told("b")).release == ()
        assert plan(1, pods, told("b"), drain_timeout_s=10.0).release == ("b",)

    def test_draining_pods_are_taken_back_before_new_ones_are_made(self) -> None:
        pods = [pod("a"), draining("b"), draining("c"), draining("d")]
        decided = plan(2, pods, told("b", 1), told("c", 4), told("d"))
        assert decided.take_back == ("c",)  # the one that would take longest
        assert decided.release == ("d",)  # on its way already
        assert (decided.replicas, decided.drain) == (3, ())
        assert decided.deletion_costs["c"] == COST_SERVING

    def test_a_drained_pod_comes_back_when_the_one_that_should_stay_is_gone(self) -> None:
        """Released, it would be the one pod that its Deployment counts, for ever."""
        decided = plan(1, [draining("b", deletion_cost=COST_RELEASED)], told("b"))
        assert (decided.take_back, decided.release) == (("b",), ())
        assert (decided.replicas, decided.deletion_costs) == (1, {"b": COST_SERVING})

    def test_a_drained_pod_of_a_cordoned_node_goes_when_no_other_is_missing(self) -> None:
        leaving = draining("b", cordoned=True)
        decided = plan(1, [leaving], told("b"))
        assert (decided.release, decided.replicas) == ((), 2)
        decided = plan(1, [leaving, pod("a")], told("b"))
        assert (decided.release, decided.replicas) == (("b",), 1)

    def test_a_former_revision_takes_back_and_makes_nothing(self) -> None:
        decided = plan(3, [draining("b")], told("b", 1), max_surge=None)
        assert (decided.take_back, decided.replicas) == (("b",), 1)

    def test_more_wanted_than_can_be_taken_back(self) -> None:
        decided = plan(3, [draining("b")], told("b", 1))
        assert (decided.take_back, decided.replicas) == (("b",), 3)

    @pytest.mark.parametrize(
        "unfit", [draining("b", cordoned=True), draining("b", containers_ready=False)]
    )
    def test_what_cannot_serve_is_not_taken_back(self, unfit: PodView) -> None:
        decided = plan(1, [unfit], told("b", 1))
        assert (decided.take_back, decided.replicas) == ((), 2)


class TestCordonedNodes:
    def test_a_pod_is_added_before_the_only_one_leaves(self) -> None:
        decided = plan(1, [pod("a", cordoned=True)])
        assert (decided.drain, decided.replicas) == ((), 2)

    def test_it_serves_until_the_other_one_is_confirmed(self) -> None:
        pods = [pod("a", cordoned=True), pod("b", gate=None)]
        assert plan(1, pods).drain == ()
        assert plan(1, [pods[0], pod("b")]).drain == ("a",)

    def test_one_after_the_other(self) -> None:
        pods = [pod("a", cordoned=True), pod("b", cordoned=True), pod("c")]
        decided = plan(2, pods, report("a", 2), report("b", 5))
        assert (decided.drain, decided.replicas) == (("a",), 4)

    def test_nothing_is_added_for_a_former_revision(self) -> None:
        assert plan(1, [pod("a", cordoned=True)], max_surge=None).replicas == 1

    def test_replicas_never_fall_below_the_pods_that_are_not_released(self) -> None:
        pods = [pod(name, cordoned=True) for name in "abcd"]
        assert plan(4, [*pods, starting("e"), starting("f")], max_surge=1).replicas == 6


ROLLING = Rollout(max_surge=1)
BLUE_GREEN = Rollout(strategy=RolloutStrategy.BLUE_GREEN)
OLD = [pod(name, revision="old") for name in "abc"]


class TestRollout:
    @pytest.mark.parametrize(
        ("case", "wanted", "pods", "rollout", "expected"),
        [
            ("only one revision", 3, [pod("x")], ROLLING, {"new": 3}),
            ("it begins", 3, OLD, ROLLING, {"new": 1, "old": 3}),
            ("the first is confirmed", 3, [*OLD, pod("x")], ROLLING, {"new": 2, "old": 2}),
            ("the first only starts", 3, [*OLD, starting("x")], ROLLING, {"new": 1, "old": 3}),
            ("all are confirmed", 2, [*OLD, pod("x"), pod("y")], ROLLING, {"new": 2, "old": 0}),
            ("fewer are wanted meanwhile", 1, OLD, ROLLING, {"new": 1, "old": 1}),
            ("none is wanted", 0, OLD, ROLLING, {"new": 0, "old": 0}),
            ("by two", 3, OLD, Rollout(max_surge=2), {"new": 2, "old": 3}),
            ("blue-green starts all", 3, OLD, BLUE_GREEN, {"new": 3, "old": 3}),
            (
                "blue-green waits for all",
                2,
                [*OLD, pod("x")],
                BLUE_GREEN,
                {"new": 2, "old": 2},
            ),
            (
                "blue-green lets all go",
                2,
                [*OLD, pod("x"), pod("y")],
                BLUE_GREEN,
                {"new": 2, "old": 0},
            ),
            (
                "new pods that exist stay",
                3,
                [*OLD, *(starting(name) for name in "xyz")],
                ROLLING,
                {"new": 3, "old": 3},
            ),
            (
                "two former revisions",
                3,
                [*OLD[:2], pod("x"), pod("o", revision="older")],
                ROLLING,
                {"new": 2, "old": 2, "older": 0},
            ),
            (
                "drained ones do not count",
                2,
                [draining("a", revision="old"), pod("x")],
                ROLLING,
                {"new": 2, "old": 0},
            ),
            (
                "drained ones come back when nobody takes calls",
                2,
                [draining("a", revision="old"), pod("x", row=Seen.PROBING)],
                ROLLING,
                {"new": 2, "old": 1},
            ),
            (
                "but not because the proxy says nothing",
                2,
                [draining("a", revision="old"), pod("x", row=Seen.UNKNOWN)],
                ROLLING,
                {"new": 2, "old": 0},
            ),
            (
                "a new pod that the proxy does not reach replaces nobody",
                2,
                [pod("a", revision="old"), pod("b", revision="old"), pod("x", row=Seen.PROBING)],
                ROLLING,
                {"new": 1, "old": 2},
            ),
            (
                "blue-green, the new ones are lost again",
                1,
                [draining("a", revision="old"), pod("x", row=Seen.INACTIVE)],
                BLUE_GREEN,
                {"new": 1, "old": 1},
            ),
            (
                "ended ones do not count",
                2,
                [pod("a", revision="old", finished=True)],
                ROLLING,
                {"new": 2},
            ),
            (
                "barred ones leave before anybody takes their place",
                2,
                [replace(each, barred=True) for each in OLD],
                ROLLING,
                {"new": 2, "old": 0},
            ),
            (
                "barred ones do not come back",
                2,
                [draining("a", revision="old", barred=True), pod("x", row=Seen.PROBING)],
                ROLLING,
                {"new": 2, "old": 0},
            ),
            (
                "others come back though barred ones still have their rows",
                1,
                [draining("a", revision="old"), pod("b", revision="older", barred=True)],
                ROLLING,
                {"new": 1, "old": 1, "older": 0},
            ),
            (
                "others come back though nothing is heard of the rows of barred ones",
                1,
                [
                    draining("a", revision="old"),
                    pod("b", revision="older", barred=True, row=Seen.UNKNOWN),
                ],
                ROLLING,
                {"new": 1, "old": 1, "older": 0},
            ),
            ("pods of no revision do not count", 2, [pod("a", revision="")], ROLLING, {"new": 2}),
        ],
    )
    def test_shares(
        self,
        case: str,
        wanted: int,
        pods: list[PodView],
        rollout: Rollout,
        expected: dict[str, int],
    ) -> None:
        assert shares(wanted, "new", pods, rollout) == expected, case

    def test_a_fleet_is_planned_by_revision(self) -> None:
        pods = [*OLD, pod("x"), draining("d", revision="old")]
        fleet = plan_fleet(3, "new", pods, {"d": told("d"), "a": report("a", 3)}, ROLLING, NOW)
        assert list(fleet.revisions) == ["new", "old"]
        assert (fleet.replicas, fleet.drain, fleet.release) == (5, ("b",), ("d",))
        assert fleet.take_back == ()
        assert fleet.deletion_costs == {
            "x": COST_SERVING,
            "a": COST_SERVING,
            "c": COST_SERVING,
            "b": COST_DRAINING,
            "d": COST_RELEASED,
        }

    def test_a_rollout_reaches_its_end_and_never_has_fewer_pods_than_wanted(self) -> None:
        """The whole way, with each decision carried out at once."""
        pods = list(OLD)
        for _ in range(20):
            reports = {item.uid: told(item.uid) for item in pods if item.draining_since}
            fleet = plan_fleet(3, "new", pods, reports, ROLLING, NOW)
            pods = [item for item in pods if item.uid not in fleet.release]
            pods = [
                replace(item, draining_since=NOW, gate=False) if item.uid in fleet.drain else item
                for item in pods
            ]
            there = sum(1 for item in pods if item.revision == "new")
            wanted = fleet.revisions["new"].replicas
            pods += [pod(f"n{number}") for number in range(there, wanted)]
            assert sum(1 for item in pods if item.gate) >= 3
        assert [item.revision for item in pods] == ["new"] * 3


def spec(**scaling: int) -> VoiceAgentSpec:
    change = {"spec": {"replicas": scaling.pop("replicas", 4), "scaling": scaling or None}}
    return load_voice_agent(merged(SMALLEST["VoiceAgent"], change)).spec


BOUNDS = {"minReplicas": 2, "maxReplicas": 8, "targetUtilizationPercent": 50}


class TestOurScaler:
    @pytest.mark.parametrize(
        ("case", "scaling", "calls", "below_since", "expected"),
        [
            ("no scaling", {}, 500, None, (4, None, "Fixed")),
            ("enough", BOUNDS, 40, None, (4, None, "Enough")),
            ("one call too many", BOUNDS, 41, None, (5, None, "ScaleUp")),
            ("up to the maximum", BOUNDS, 500, 3.0, (8, None, "ScaleUp")),
            ("fewer would do since now", BOUNDS, 30, None, (4, NOW, "ScaleDownDelayed")),
            (
                "fewer would do for a while",
                BOUNDS,
                30,
                NOW - 299,
                (4, NOW - 299, "ScaleDownDelayed"),
            ),
            ("fewer would do for long", BOUNDS, 30, NOW - 300, (3, NOW - 300, "ScaleDown")),
            ("down to the minimum", BOUNDS, 0, NOW - 300, (2, NOW - 300, "ScaleDown")),
            ("switched off", {**BOUNDS, "replicas": 0}, 90, None, (0, None, "SwitchedOff")),
        ],
    )
    def test_replicas_follow_calls(
        self,
        case: str,
        scaling: dict[str, int],
        calls: int,
        below_since: float | None,
        expected: tuple[int, float | None, str],
    ) -> None:
        load = Load(calls=calls, capacity_per_pod=20, below_since=below_since)
        verdict = wanted_replicas(spec(**scaling), hpa_owns=False, load=load, now=NOW)
        assert (verdict.replicas, verdict.below_since, verdict.reason) == expected, case

    def test_an_autoscaler_of_the_cluster_goes_first(self) -> None:
        verdict = wanted_replicas(spec(**BOUNDS), hpa_owns=True, load=Load(500, 20), now=NOW)
        assert (verdict.replicas, verdict.reason) == (4, "HpaOwns")


def test_a_pod_that_cannot_be_heard_keeps_its_last_figures() -> None:
    assert calls_of(pod("a"), {"a": report("a", 3, heard=False)}) == 3
    assert calls_of(pod("b"), {}) == 0
