"""VoiceAgents from apply to deletion, with Kubernetes, proxy and pods in memory."""

from typing import Any

import pytest

from callfleet_operator.ports.errors import ForbiddenError, InvalidError
from callfleet_operator.ports.events import EventType
from callfleet_operator.ports.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    KINDS,
    NETWORK_POLICY,
    NODE,
    POD,
    SECRET,
    SERVICE,
    VOICE_AGENT,
    Manifest,
)
from callfleet_operator.ports.kube import Ref
from callfleet_operator.ports.pods import PodState
from callfleet_operator.ports.proxy import SeenState
from fakes.fleet import NAMESPACE, FakeFleet
from fakes.virtual_time import in_virtual_time

SET = 1000


async def ready(fleet: FakeFleet, replicas: int = 1, **spec: Any) -> None:
    fleet.apply_agent(replicas=replicas, **spec)
    await fleet.until(lambda: fleet.is_ready() and len(fleet.proxy.active(SET)) == replicas)
    await fleet.settle()


def uri(fleet: FakeFleet, pod: str) -> str:
    found = fleet.kube.peek(POD, NAMESPACE, pod)
    assert found is not None
    return f"sip:{found['status']['podIP']}:5060"


def pod_names(fleet: FakeFleet) -> list[str]:
    return [pod["metadata"]["name"] for pod in fleet.all_pods()]


def deployments(fleet: FakeFleet) -> dict[str, int]:
    return {
        item["metadata"]["name"]: item["spec"]["replicas"] for item in fleet.kube.all(DEPLOYMENT)
    }


# --- apply ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_agent_becomes_children_rows_and_a_status_that_is_true() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        status = fleet.status()
        assert (status["replicas"], status["readyReplicas"], status["capacity"]) == (2, 2, 40)
        assert status["sip"] == {"setId": SET, "numbers": ["+15550100"]}
        assert fleet.proxy.route("+15550100") == {uri(fleet, name) for name in pod_names(fleet)}
        for name in ("Ready", "DispatcherSynced", "ProvidersReady", "NumbersAccepted"):
            assert fleet.condition(name)[0] == "True", name
        assert fleet.condition("Progressing")[0] == "False"
        agent = fleet.agent()
        assert agent is not None
        assert agent["metadata"]["finalizers"] == ["callfleet.io/dispatcher"]
        for kind in (CONFIG_MAP, CONTROLLER_REVISION, DEPLOYMENT, NETWORK_POLICY, SECRET, SERVICE):
            for child in fleet.kube.all(kind):
                assert child["metadata"]["ownerReferences"][0]["uid"] == agent["metadata"]["uid"]
        assert {kind.kind for kind in KINDS if fleet.kube.all(kind, NAMESPACE)} == {
            "ConfigMap",
            "ControllerRevision",
            "Deployment",
            "NetworkPolicy",
            "Pod",
            "PodDisruptionBudget",
            "Secret",
            "Service",
            "ServiceAccount",
            "VoiceAgent",
        }


@in_virtual_time
async def test_what_is_settled_is_left_alone() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        writes, rounds = len(fleet.kube.writes), fleet.core.workers.counters.rounds
        fleet.core.resync()
        await fleet.settle(120)
        assert [w for w in fleet.kube.writes[writes:] if w[1].kind.kind != "Lease"] == []
        # Our own status writes woke nobody: what ran are the keys of the resync.
        assert fleet.core.workers.counters.rounds - rounds <= 2


@in_virtual_time
async def test_the_first_round_costs_few_requests() -> None:
    async with FakeFleet().running() as fleet:
        before = dict(fleet.kube.requests)
        fleet.controllers.stuck = {f"x{n}" for n in range(10)}
        fleet.apply_agent(replicas=0)
        await fleet.until(fleet.is_ready)
        await fleet.settle()
        spent = {
            verb: count - before.get(verb, 0)
            for verb, count in fleet.kube.requests.items()
            if verb not in ("PUT",)
        }
        # 9 children, the finalizer, one look for the Secret, two or three statuses.
        assert spent["APPLY"] == 9
        assert spent["PATCH"] <= 4
        assert spent["GET"] == 1


@in_virtual_time
async def test_what_somebody_changed_or_deleted_comes_back() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.kube.remove(SERVICE, NAMESPACE, "card-line")
        fleet.kube.update(
            NETWORK_POLICY,
            NAMESPACE,
            "card-line",
            spec={"podSelector": {"matchLabels": {"x": "y"}}},
        )
        await fleet.settle(2)
        assert fleet.kube.peek(SERVICE, NAMESPACE, "card-line") is not None
        policy = fleet.kube.peek(NETWORK_POLICY, NAMESPACE, "card-line")
        assert policy is not None
        assert policy["spec"]["podSelector"]["matchLabels"]["callfleet.io/agent"] == "card-line"


@in_virtual_time
async def test_a_secret_that_somebody_deleted_comes_back_later() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.kube.remove(SECRET, NAMESPACE, "card-line-tls")
        await fleet.settle(700)
        fleet.core.resync()
        await fleet.settle(2)
        assert fleet.kube.peek(SECRET, NAMESPACE, "card-line-tls") is not None


@in_virtual_time
async def test_a_child_that_is_refused_keeps_no_other_back_and_is_told() -> None:
    async with FakeFleet().running() as fleet:

        def before(verb: str, ref: Ref) -> None:
            if verb == "APPLY" and ref.kind == NETWORK_POLICY:
                raise InvalidError(422, "Invalid", "spec.ingress: bad")

        fleet.kube.before = before
        fleet.apply_agent()
        await fleet.until(lambda: fleet.condition("Ready") == ("False", "ApplyFailed"))
        assert deployments(fleet)
        fleet.kube.before = None
        await fleet.until(fleet.is_ready, 200)


@in_virtual_time
async def test_an_agent_of_a_proxy_that_nobody_knows_says_so() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_agent(sip={"proxy": "elsewhere", "numbers": []})
        await fleet.until(lambda: fleet.condition("DispatcherSynced")[1] == "ProxyNotFound")
        assert not fleet.is_ready()


@in_virtual_time
async def test_an_agent_that_cannot_be_read_is_left_as_it_is() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.change(capacity={"callsPerPod": "many"})
        await fleet.settle(30)
        assert len(fleet.proxy.active(SET)) == 1
        assert "Unreadable" in fleet.events.reasons()


# --- providers ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_pool_that_does_not_exist_is_told_by_condition_and_event() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_agent(providers={"asr": [{"pool": "asr-local"}]})
        await fleet.until(lambda: fleet.condition("ProvidersReady") == ("False", "PoolNotFound"))
        warnings = [seen for seen in fleet.events.seen if seen[1] is EventType.WARNING]
        assert ("card-line", "PoolNotFound") in {(name, reason) for name, _, reason, _ in warnings}
        fleet.apply_pool("asr-local", engine="sphinx")
        await fleet.until(lambda: fleet.condition("ProvidersReady")[0] == "True")
        await fleet.until(fleet.is_ready)


# --- numbers --------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_number_that_is_claimed_twice_stays_with_the_first() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.apply_agent("other-line")
        await fleet.until(
            lambda: fleet.condition("NumbersAccepted", "other-line") == ("False", "NumberClaimed")
        )
        assert fleet.condition("NumbersAccepted") == ("True", "Accepted")
        assert not fleet.is_ready("other-line")
        note = next(
            note for name, _, reason, note in fleet.events.seen if reason == "NumberClaimed"
        )
        assert "bank/card-line" in note
        assert "5550100" not in note
        await fleet.delete_agent()
        await fleet.until(lambda: fleet.is_ready("other-line"), 120)


@in_virtual_time
async def test_numbers_change_without_a_new_revision() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        pods = pod_names(fleet)
        fleet.change(sip={"proxy": "default", "numbers": ["+15550100", "200"]})
        await fleet.until(lambda: len(fleet.status()["sip"]["numbers"]) == 2)
        await fleet.until(fleet.is_ready)
        assert fleet.proxy.route("200") == fleet.proxy.route("+15550100")
        assert pod_names(fleet) == pods


# --- scaling and drain ----------------------------------------------------------------------------


@in_virtual_time
async def test_more_pods_take_calls_within_seconds() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.scale(3)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 3, 10)
        await fleet.until(lambda: fleet.status()["readyReplicas"] == 3, 2)


@in_virtual_time
async def test_fewer_pods_drain_before_they_go_and_the_deployment_falls_last() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=3)
        names = pod_names(fleet)
        for name in names:
            fleet.pods.report(fleet.pod_uid(name), calls=2 if name == names[0] else 5)
        fleet.scale(2)
        leaving = names[0]
        target = uri(fleet, leaving)
        await fleet.until(lambda: target not in fleet.proxy.active(SET), 10)
        uid = fleet.pod_uid(leaving)
        await fleet.until(lambda: (uid, PodState.DRAINING, True) in fleet.pods.told, 10)
        await fleet.settle(60)
        # Its calls go on: no pod is gone, and none of the others is told anything.
        assert sorted(pod_names(fleet)) == sorted(names)
        assert fleet.status()["drainingReplicas"] == 1
        assert list(deployments(fleet).values()) == [3]
        fleet.pods.report(uid, calls=0)
        await fleet.until(lambda: len(fleet.all_pods()) == 2, 20)
        assert fleet.controllers.deleted == [leaving]
        assert list(deployments(fleet).values()) == [2]
        await fleet.settle(10)
        assert all(key[1] != target for key in fleet.proxy.rows)


@in_virtual_time
async def test_a_pod_is_told_to_drain_only_after_the_read_back() -> None:
    proxy_settles = 2.0
    fleet = FakeFleet()
    fleet.proxy.settle_s = proxy_settles
    async with fleet.running():
        await ready(fleet, replicas=2)
        told: list[bool] = []
        want = fleet.pods.want

        def watch(namespace: str, agent: str, targets: Any) -> None:
            told.extend(
                f"sip:{target.address}:5060" not in fleet.proxy.active(SET)
                for target in targets.values()
                if target.state is PodState.DRAINING
            )
            want(namespace, agent, targets)

        fleet.pods.want = watch  # type: ignore[method-assign]
        fleet.scale(1)
        await fleet.until(lambda: len(fleet.all_pods()) == 1, 30)
        assert told
        assert all(told)


@in_virtual_time
async def test_a_draining_pod_is_taken_back() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        names = pod_names(fleet)
        for name in names:
            fleet.pods.report(fleet.pod_uid(name), calls=3)
        fleet.scale(1)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 1)
        await fleet.settle()
        fleet.scale(2)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 2)
        await fleet.until(lambda: fleet.status()["readyReplicas"] == 2)
        assert sorted(pod_names(fleet)) == sorted(names)
        assert {t.state for t in fleet.pods.targets.values()} == {PodState.SERVING}


@in_virtual_time
async def test_a_drain_ends_when_its_time_is_over() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2, rollout={"drainTimeoutSeconds": 30})
        for name in pod_names(fleet):
            fleet.pods.report(fleet.pod_uid(name), calls=1)
        fleet.scale(1)
        await fleet.settle(20)
        assert len(fleet.all_pods()) == 2
        await fleet.until(lambda: len(fleet.all_pods()) == 1, 30)


@in_virtual_time
async def test_scaled_to_nothing() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        fleet.scale(0)
        await fleet.until(lambda: not fleet.all_pods(), 30)
        await fleet.until(lambda: fleet.condition("Ready") == ("True", "ScaledToZero"))
        assert not fleet.proxy.route("+15550100")


@in_virtual_time
async def test_a_pod_that_kubernetes_ends_is_out_before_it_is_told() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.grace_s = 60
        await ready(fleet, replicas=2)
        leaving = pod_names(fleet)[0]
        uid, target = fleet.pod_uid(leaving), uri(fleet, leaving)
        fleet.pods.report(uid, calls=4)
        fleet.controllers.delete(NAMESPACE, leaving)
        await fleet.until(lambda: (uid, PodState.DRAINING, True) in fleet.pods.told, 10)
        assert target not in fleet.proxy.active(SET)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 2, 10)
        assert fleet.status()["calls"] == 4
        fleet.controllers.finish(NAMESPACE, leaving)
        await fleet.settle(10)
        assert uid not in fleet.pods.targets
        assert all(row[1] != target for row in fleet.proxy.rows)


@in_virtual_time
async def test_the_last_pod_that_kubernetes_ends_keeps_its_row_until_it_must_go() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.grace_s = 60
        await ready(fleet)
        only = pod_names(fleet)[0]
        target = uri(fleet, only)
        fleet.controllers.start_s = 30
        fleet.controllers.delete(NAMESPACE, only)
        await fleet.settle(2)
        assert fleet.proxy.active(SET) == {target}
        await fleet.until(lambda: target not in fleet.proxy.active(SET), 5)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 1, 60)


@in_virtual_time
async def test_a_pod_whose_container_died_takes_no_calls_until_it_is_back() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        name = pod_names(fleet)[0]
        fleet.controllers.stuck.add(name)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 1)
        fleet.controllers.stuck.clear()
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 2)
        await fleet.until(lambda: fleet.status()["readyReplicas"] == 2)


@in_virtual_time
async def test_a_cordoned_node_is_left_when_others_took_over() -> None:
    async with FakeFleet().running() as fleet:
        fleet.kube.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
        await ready(fleet)
        old = pod_names(fleet)[0]
        fleet.kube.update(NODE, "", "node-1", spec={"unschedulable": True})
        await fleet.until(lambda: len(fleet.all_pods()) == 2, 20)
        new = next(name for name in pod_names(fleet) if name != old)
        fleet.kube.update(POD, NAMESPACE, new, spec={"nodeName": "node-2"})
        await fleet.until(lambda: pod_names(fleet) == [new], 60)
        assert len(fleet.proxy.active(SET)) == 1


@in_virtual_time
async def test_the_operators_own_scaling() -> None:
    async with FakeFleet().running() as fleet:
        scaling = {"minReplicas": 1, "maxReplicas": 3, "targetUtilizationPercent": 50}
        await ready(fleet, scaling=scaling | {"scaleDownDelaySeconds": 30})
        fleet.pods.report(fleet.pod_uid(pod_names(fleet)[0]), calls=15)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 2)
        fleet.pods.report(fleet.pod_uid(pod_names(fleet)[0]), calls=0)
        await fleet.settle(20)
        assert len(fleet.proxy.active(SET)) == 2
        await fleet.until(lambda: len(fleet.all_pods()) == 1, 60)


@in_virtual_time
async def test_a_horizontal_pod_autoscaler_has_the_say() -> None:
    async with FakeFleet().running() as fleet:
        fleet.kube.put(
            {
                "apiVersion": HORIZONTAL_POD_AUTOSCALER.api_version,
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"namespace": NAMESPACE, "name": "x"},
                "spec": {"scaleTargetRef": {"kind": "VoiceAgent", "name": "card-line"}},
            }
        )
        await ready(fleet, scaling={"maxReplicas": 3})
        fleet.pods.report(fleet.pod_uid(pod_names(fleet)[0]), calls=20)
        await fleet.settle(30)
        assert len(fleet.all_pods()) == 1


# --- status ---------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_calls_column_is_written_at_most_every_15_seconds() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        await fleet.settle(20)
        uid = fleet.pod_uid(pod_names(fleet)[0])
        writes = len(fleet.kube.writes)
        for calls in range(1, 16):
            fleet.pods.report(uid, calls=calls)
            await fleet.settle(4)
        written = [w for w in fleet.kube.writes[writes:] if w[1].kind == VOICE_AGENT]
        assert 3 <= len(written) <= 6
        await fleet.settle(20)
        assert fleet.status()["calls"] == 15


@in_virtual_time
async def test_a_pod_that_cannot_be_heard_keeps_its_figures() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        uid = fleet.pod_uid(pod_names(fleet)[0])
        fleet.pods.report(uid, calls=7)
        await fleet.settle(20)
        fleet.pods.lose(uid)
        await fleet.settle(60)
        assert fleet.status()["calls"] == 7
        assert fleet.is_ready()


# --- revisions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["rolling", "blue-green"])
@in_virtual_time
async def test_a_new_revision_takes_over_without_a_gap(strategy: str) -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=3, rollout={"strategy": strategy})
        old = set(pod_names(fleet))
        busy = sorted(old)[0]
        for name in old:
            fleet.pods.report(fleet.pod_uid(name), calls=2 if name == busy else 0)
        fewest = 99
        fleet.change(dialog={"bankName": "Another Bank"})
        for _ in range(600):
            await fleet.settle(0.1)
            fewest = min(fewest, len(fleet.proxy.active(SET)))
        assert fewest >= 3
        # The old pod with calls is still there, drained; the others are gone.
        assert old & set(pod_names(fleet)) == {busy}
        fleet.pods.report(fleet.pod_uid(busy), calls=0)
        await fleet.until(lambda: busy not in pod_names(fleet), 60)
        await fleet.until(fleet.is_ready)
        await fleet.settle(30)
        assert len(deployments(fleet)) == 1
        assert len(fleet.kube.all(CONTROLLER_REVISION)) == 2


@in_virtual_time
async def test_a_revision_that_never_becomes_ready_hurts_nobody_and_can_be_taken_back() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        old = set(pod_names(fleet))
        fleet.controllers.start_s = 1e9
        fleet.change(dialog={"bankName": "Broken Bank"})
        await fleet.settle(120)
        assert len(fleet.proxy.active(SET)) == 2
        assert old <= set(pod_names(fleet))
        assert not fleet.is_ready()
        fleet.controllers.start_s = 0.5
        agent = fleet.agent()
        assert agent is not None
        del agent["spec"]["dialog"]
        fleet.kube.put(agent)
        await fleet.until(fleet.is_ready, 120)
        await fleet.until(lambda: set(pod_names(fleet)) == old, 60)


@in_virtual_time
async def test_revisions_are_kept_for_rollback_but_not_for_ever() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=0)
        for number in range(9):
            fleet.change(dialog={"bankName": f"Bank {number}"})
            await fleet.settle(2)
        assert len(fleet.kube.all(CONTROLLER_REVISION)) in (5, 6)
        assert len(deployments(fleet)) == 1


# --- deletion -------------------------------------------------------------------------------------


def left(fleet: FakeFleet) -> list[str]:
    return [kind.kind for kind in KINDS if fleet.kube.all(kind, NAMESPACE)]


@in_virtual_time
async def test_deletion_waits_for_calls_and_leaves_nothing_behind() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.grace_s = 1
        await ready(fleet, replicas=2)
        busy = pod_names(fleet)[0]
        fleet.pods.report(fleet.pod_uid(busy), calls=1)
        await fleet.delete_agent()
        await fleet.until(lambda: not fleet.proxy.active(SET), 10)
        await fleet.settle(60)
        assert fleet.agent() is not None
        assert fleet.condition("Ready") == ("False", "Deleting")
        # Garbage collection alone would have taken the NetworkPolicy from under the calls.
        assert fleet.kube.peek(NETWORK_POLICY, NAMESPACE, "card-line") is not None
        assert busy in pod_names(fleet)
        fleet.pods.report(fleet.pod_uid(busy), calls=0)
        await fleet.until(lambda: fleet.agent() is None, 60)
        assert left(fleet) == []
        assert fleet.proxy.rows == {}
        assert fleet.proxy.sets == {}
        assert fleet.proxy.numbers == {}


@in_virtual_time
async def test_deletion_of_what_was_never_ready() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.start_s = 1e9
        fleet.apply_agent(replicas=2)
        await fleet.settle(5)
        await fleet.delete_agent()
        await fleet.until(lambda: fleet.agent() is None, 60)
        assert left(fleet) == []


@in_virtual_time
async def test_deletion_gives_up_on_a_proxy_that_stays_away_and_the_sweep_finishes() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.grace_s = 1
        await ready(fleet, rollout={"drainTimeoutSeconds": 30})
        fleet.proxy.database_away = True
        await fleet.settle(10)
        await fleet.delete_agent()
        await fleet.settle(80)
        assert fleet.agent() is not None
        took = await fleet.until(lambda: fleet.agent() is None, 60)
        assert took < 40
        assert "ProxyUnreachable" in fleet.events.reasons()
        assert fleet.proxy.rows
        fleet.proxy.database_away = False
        await fleet.until(lambda: not fleet.proxy.rows, 90)
        assert left(fleet) == []


@in_virtual_time
async def test_what_belongs_to_others_is_not_deleted() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        labels = {
            "callfleet.io/agent": "card-line",
            "app.kubernetes.io/managed-by": "callfleet-operator",
        }
        theirs: Manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": NAMESPACE, "name": "theirs", "labels": labels},
        }
        fleet.kube.put(theirs)
        await fleet.delete_agent()
        await fleet.until(lambda: fleet.agent() is None, 60)
        assert fleet.kube.peek(CONFIG_MAP, NAMESPACE, "theirs") is not None


@in_virtual_time
async def test_an_agent_of_an_unknown_proxy_can_be_deleted() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_agent(sip={"proxy": "elsewhere", "numbers": []})
        await fleet.settle(5)
        await fleet.delete_agent()
        await fleet.until(lambda: fleet.agent() is None, 700)


@in_virtual_time
async def test_an_agent_with_the_same_name_starts_from_nothing() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        await fleet.delete_agent()
        await fleet.until(lambda: fleet.agent() is None, 60)
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        assert len(fleet.proxy.sets) == 1


# --- rights and outsiders -------------------------------------------------------------------------


@in_virtual_time
async def test_a_right_that_is_missing_is_tried_again() -> None:
    async with FakeFleet().running() as fleet:

        def before(verb: str, ref: Ref) -> None:
            if verb == "APPLY" and ref.kind == DEPLOYMENT:
                raise ForbiddenError(403, "Forbidden", "no deployments")

        fleet.kube.before = before
        fleet.apply_agent()
        await fleet.settle(10)
        assert not deployments(fleet)
        fleet.kube.before = None
        await fleet.until(fleet.is_ready, 120)


@in_virtual_time
async def test_a_gate_is_true_only_for_rows_that_take_calls() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_agent(replicas=2)
        for _ in range(100):
            await fleet.settle(0.05)
            for name in fleet.ready_pods():
                assert uri(fleet, name) in fleet.proxy.active(SET)
        assert len(fleet.ready_pods()) == 2
        assert (
            SeenState.ACTIVE
            in fleet.core.dispatcher.memory("default")
            .agent(next(iter(fleet.proxy.sets)))
            .seen.values()
        )
