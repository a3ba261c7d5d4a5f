"""What goes wrong around the operator, and what must still be true afterwards."""

import asyncio

import pytest

from callfleet_operator.ports.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    NotLeaderError,
    UnavailableError,
)
from callfleet_operator.ports.kinds import DEPLOYMENT, LEASE, POD, VOICE_AGENT
from callfleet_operator.ports.kube import Ref
from fakes.fleet import NAMESPACE, FakeFleet
from fakes.proxy import FakeProxy
from fakes.virtual_time import in_virtual_time

SET = 1000
SYNCED = ("True", "Synced")
ENDPOINT = "http://127.0.0.1:5066/RPC"


async def ready(fleet: FakeFleet, replicas: int = 2) -> None:
    fleet.apply_agent(replicas=replicas)
    await fleet.until(lambda: fleet.is_ready() and len(fleet.proxy.active(SET)) == replicas)
    await fleet.settle()


def whole(fleet: FakeFleet, replicas: int) -> bool:
    """Everything is as it should be, whoever made it."""
    return (
        fleet.is_ready()
        and fleet.status()["readyReplicas"] == replicas
        and len(fleet.proxy.active(SET)) == replicas == len(fleet.all_pods())
        and len(fleet.kube.all(DEPLOYMENT)) == 1
    )


# --- the operator itself --------------------------------------------------------------------------


@pytest.mark.parametrize("death", range(1, 20))
@in_virtual_time
async def test_killed_after_any_write_it_converges_when_it_is_started_again(death: int) -> None:
    async with FakeFleet().running(operator=False) as fleet:
        first = await fleet.start("a")
        written = 0

        def after(verb: str, ref: Ref) -> None:
            nonlocal written
            if verb in ("GET", "LIST", "WATCH") or ref.kind == LEASE:
                return
            written += 1
            if written == death:
                first.kill()
                fleet.kube.after = None
                # The write took effect; its answer never came.
                raise UnavailableError(0, "Unreachable", "killed")

        fleet.kube.after = after
        fleet.apply_agent(replicas=2)
        await fleet.settle(30)
        await fleet.start("b")
        await fleet.until(lambda: whole(fleet, 2), 60)


@pytest.mark.parametrize("death", [1, 2, 4, 6, 9, 12])
@in_virtual_time
async def test_killed_in_the_middle_of_a_deletion_it_finishes_when_started_again(
    death: int,
) -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        first = fleet.operator
        written = 0

        def after(verb: str, ref: Ref) -> None:
            nonlocal written
            if verb in ("GET", "LIST", "WATCH") or ref.kind == LEASE:
                return
            written += 1
            if written == death:
                first.kill()
                fleet.kube.after = None
                raise UnavailableError(0, "Unreachable", "killed")

        await fleet.delete_agent()
        fleet.kube.after = after
        await fleet.settle(30)
        await fleet.start("b")
        await fleet.until(lambda: fleet.agent() is None, 60)
        assert not fleet.all_pods()
        assert not fleet.proxy.rows


@in_virtual_time
async def test_a_restart_writes_nothing() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        await fleet.stop()
        await fleet.operator.lease.release()
        writes = len(fleet.kube.writes)
        await fleet.start("b")
        await fleet.settle(30)
        assert [w for w in fleet.kube.writes[writes:] if w[1].kind != LEASE] == []
        assert whole(fleet, 2)


@in_virtual_time
async def test_of_two_operators_one_writes() -> None:
    async with FakeFleet().running() as fleet:
        waiting = fleet.launch("b")
        fleet.operators.reverse()
        await ready(fleet)
        assert waiting.core is None
        # Its caches are warm: it leads at once when the first gives the lease back.
        assert waiting.caches.synced
        await fleet.settle(60)
        assert waiting.core is None


@in_virtual_time
async def test_a_former_leader_that_wakes_up_writes_nothing() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        old = fleet.operator
        assert old.core is not None
        cut = {"on": True}

        def before(verb: str, ref: Ref) -> None:
            if cut["on"] and ref.kind == LEASE and _holder(fleet) == "a" and verb == "PUT":
                raise UnavailableError(0, "Unreachable", "cut off")

        fleet.kube.before = before
        new = fleet.launch("b")
        await fleet.until(lambda: old.lease.epoch is None, 30)
        cut["on"] = False
        fleet.kube.before = None
        await fleet.until(lambda: new.core is not None, 60)
        writes = len(fleet.kube.writes)
        with pytest.raises(NotLeaderError):
            await old.core.applied.writer.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"namespace": NAMESPACE, "name": "late"},
                }
            )
        assert all(ref.name != "late" for _, ref in fleet.kube.writes[writes:])
        fleet.scale(3)
        await fleet.until(lambda: whole(fleet, 3), 60)


def _holder(fleet: FakeFleet) -> str:
    lease = fleet.kube.peek(LEASE, "callfleet-system", "callfleet-operator")
    return str((lease or {"spec": {}})["spec"].get("holderIdentity", ""))


@in_virtual_time
async def test_a_leader_of_an_older_epoch_than_the_proxy_knows_steps_down() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.proxy.epoch += 10
        before = dict(fleet.proxy.sets)
        fleet.scale(1)
        await fleet.settle(10)
        assert fleet.proxy.sets == before
        assert len(fleet.proxy.active(SET)) == 2


@in_virtual_time
async def test_nothing_is_written_before_every_cache_is_synced() -> None:
    async with FakeFleet().running(operator=False) as fleet:
        fleet.apply_agent(replicas=1)

        def before(verb: str, ref: Ref) -> None:
            if verb == "LIST" and ref.kind == POD:
                raise ForbiddenError(403, "Forbidden", "no pods for you")

        fleet.kube.before = before
        await fleet.start()
        await fleet.settle(60)
        assert {ref.kind for _, ref in fleet.kube.writes} == {LEASE}
        assert fleet.proxy.syncs == 0
        fleet.kube.before = None
        await fleet.until(lambda: whole(fleet, 1), 60)


# --- Kubernetes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        UnavailableError(500, "InternalError", "etcd"),
        ForbiddenError(403, "Forbidden", "rights"),
        GoneError(410, "Expired", "too old"),
    ],
)
@in_virtual_time
async def test_a_watch_that_fails_loses_nothing(fault: Exception) -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.kube.break_watches(fault)  # type: ignore[arg-type]
        fleet.scale(3)
        if isinstance(fault, GoneError):
            fleet.kube.compact()
        await fleet.until(lambda: whole(fleet, 3), 60)


@in_virtual_time
async def test_an_api_server_that_is_away_takes_no_pod_out() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)

        def before(verb: str, ref: Ref) -> None:
            raise UnavailableError(0, "Unreachable", "away")

        fleet.kube.before = before
        fleet.kube.break_watches()
        await fleet.settle(300)
        assert len(fleet.proxy.active(SET)) == 2
        fleet.kube.before = None
        await fleet.settle(60)
        assert len(fleet.proxy.active(SET)) == 2


@in_virtual_time
async def test_conflicts_are_met_and_overcome() -> None:
    async with FakeFleet().running() as fleet:
        count = 0

        def before(verb: str, ref: Ref) -> None:
            nonlocal count
            if verb in ("APPLY", "PATCH") and ref.kind != LEASE:
                count += 1
                if count % 3 == 0:
                    raise ConflictError(409, "Conflict", "newer")

        fleet.kube.before = before
        fleet.apply_agent(replicas=2)
        await fleet.until(lambda: whole(fleet, 2), 300)


@in_virtual_time
async def test_pods_that_are_missing_from_a_list_keep_their_rows() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=4)
        # A list that is wrong: no deletion was seen, and the Deployment still counts four.
        cache = fleet.operator.caches.of(POD)
        for pod in fleet.all_pods():
            cache._objects.pop((NAMESPACE, pod["metadata"]["name"]))
        cache._by_owner.clear()
        fleet.core.resync()
        await fleet.until(lambda: fleet.condition("DispatcherSynced")[1] == "MassDeactivation", 10)
        assert len(fleet.proxy.active(SET)) == 4
        assert "MassDeactivation" in fleet.events.reasons()
        fleet.kube.break_watches(GoneError(410, "Expired", "list again"))
        await fleet.until(lambda: whole(fleet, 4), 60)


@in_virtual_time
async def test_pods_that_went_while_no_operator_ran_lose_their_rows() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.grace_s = 1
        await ready(fleet, replicas=4)
        await fleet.stop()
        await fleet.operator.lease.release()
        old = set(fleet.proxy.active(SET))
        for pod in fleet.all_pods():
            fleet.controllers.delete(NAMESPACE, pod["metadata"]["name"])
        await fleet.settle(10)
        await fleet.start("b")
        await fleet.until(lambda: whole(fleet, 4), 60)
        assert not old & fleet.proxy.active(SET)


# --- the proxy ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_database_that_is_away_when_a_pod_becomes_ready() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        before = fleet.proxy.active(SET)
        fleet.proxy.database_away = True
        fleet.scale(3)
        await fleet.until(
            lambda: fleet.condition("DispatcherSynced") == ("False", "DatabaseUnavailable")
        )
        await fleet.settle(120)
        # Those that took calls go on; the new one waits.
        assert fleet.proxy.active(SET) == before
        assert len(fleet.all_pods()) == 3
        assert len(fleet.ready_pods()) == 2
        assert "DatabaseUnavailable" in fleet.events.reasons()
        fleet.proxy.database_away = False
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 3, 10)
        await fleet.until(lambda: whole(fleet, 3), 10)


@in_virtual_time
async def test_a_database_that_hangs_holds_up_no_other_reconcile() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.proxy.database_hangs = True
        fleet.scale(3)
        fleet.apply_agent("other", replicas=1, sip={"proxy": "default", "numbers": ["200"]})
        await fleet.until(lambda: len(fleet.kube.all(DEPLOYMENT)) == 2, 2)
        await fleet.until(lambda: len(fleet.all_pods()) == 4, 2)
        fleet.proxy.database_hangs = False
        await fleet.until(lambda: fleet.is_ready("other"), 60)


@in_virtual_time
async def test_a_proxy_that_hangs_for_longer_than_any_limit_is_given_up() -> None:
    fleet = FakeFleet(proxy=FakeProxy(time_limit_s=1e6))
    async with fleet.running():
        await ready(fleet)
        fleet.proxy.database_hangs = True
        fleet.scale(3)
        await fleet.until(
            lambda: fleet.condition("DispatcherSynced") == ("False", "ProxyUnavailable"), 120
        )
        fleet.proxy.database_hangs = False
        await fleet.until(lambda: whole(fleet, 3), 120)


@in_virtual_time
async def test_an_rpc_that_is_away_takes_no_gate_away_and_gives_none() -> None:
    second = "http://127.0.0.2:5066/RPC"
    fleet = FakeFleet(proxy=FakeProxy(endpoints=(ENDPOINT, second)))
    async with fleet.running():
        await ready(fleet)
        pods = set(fleet.ready_pods())
        fleet.proxy.rpc_away(second)
        fleet.scale(3)
        await fleet.until(
            lambda: fleet.condition("DispatcherSynced") == ("False", "InstanceUnreachable")
        )
        await fleet.settle(60)
        assert set(fleet.ready_pods()) == pods
        fleet.proxy.rpc_back(second)
        await fleet.until(lambda: whole(fleet, 3), 20)


@in_virtual_time
async def test_a_drain_waits_for_an_instance_that_does_not_answer() -> None:
    second = "http://127.0.0.2:5066/RPC"
    fleet = FakeFleet(proxy=FakeProxy(endpoints=(ENDPOINT, second)))
    async with fleet.running():
        await ready(fleet)
        fleet.proxy.rpc_away(second)
        fleet.scale(1)
        await fleet.settle(60)
        # It may still send calls to the pod: nobody is told to refuse them.
        assert len(fleet.all_pods()) == 2
        assert {state for _, state, _ in fleet.pods.told} == {"Serving"}
        fleet.proxy.rpc_back(second)
        await fleet.until(lambda: whole(fleet, 1), 30)


@in_virtual_time
async def test_a_proxy_that_restarts_is_told_again() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.proxy.rows.clear()
        fleet.proxy.restart(ENDPOINT)
        await fleet.until(lambda: len(fleet.proxy.active(SET)) == 2, 90)


@in_virtual_time
async def test_rows_of_agents_that_are_gone_are_swept() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet)
        fleet.kube.remove(VOICE_AGENT, NAMESPACE, "card-line")
        await fleet.until(lambda: not fleet.proxy.rows and not fleet.proxy.numbers, 90)


@in_virtual_time
async def test_set_ids_that_run_out_are_told() -> None:
    fleet = FakeFleet(proxy=FakeProxy(set_ids=(1000, 1000)))
    async with fleet.running():
        await ready(fleet)
        fleet.apply_agent("other", sip={"proxy": "default", "numbers": []})
        await fleet.until(
            lambda: fleet.condition("DispatcherSynced", "other") == ("False", "SetIdsExhausted")
        )
        assert fleet.is_ready()


@in_virtual_time
async def test_a_stranger_in_an_agents_set_is_told_until_it_is_gone() -> None:
    stranger = "sip:192.0.2.1:5060"
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=1)
        fleet.apply_agent("other", sip={"proxy": "default", "numbers": []})
        await fleet.until(lambda: fleet.condition("DispatcherSynced", "other") == SYNCED)

        fleet.proxy.add_foreign_row(SET, stranger)
        await fleet.until(
            lambda: fleet.condition("DispatcherSynced") == ("False", "ForeignRowBeside"), 90
        )
        reloads = fleet.proxy.reloads
        await fleet.settle(120)
        assert fleet.is_ready()
        assert stranger in fleet.proxy.active(SET)
        assert fleet.proxy.reloads == reloads
        assert fleet.condition("DispatcherSynced", "other") == SYNCED
        assert "ForeignRowBeside" in fleet.events.reasons()

        del fleet.proxy.rows[SET, stranger]
        await fleet.until(lambda: fleet.condition("DispatcherSynced") == SYNCED, 90)


@in_virtual_time
async def test_a_stranger_in_its_set_does_not_hold_up_an_agents_end() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=1)
        fleet.proxy.add_foreign_row(SET, "sip:192.0.2.1:5060")
        await fleet.delete_agent()
        await fleet.until(lambda: fleet.agent() is None, 60)
        assert set(fleet.proxy.rows) == {(SET, "sip:192.0.2.1:5060")}


@in_virtual_time
async def test_an_address_that_comes_back_with_another_pod_inherits_nothing() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.grace_s = 0.1
        await ready(fleet, replicas=1)
        pod = fleet.all_pods()[0]
        address = pod["status"]["podIP"]
        fleet.controllers.addresses -= 1
        fleet.proxy.kill(f"sip:{address}:5060")
        fleet.controllers.delete(NAMESPACE, pod["metadata"]["name"])
        await fleet.settle(10)
        (new,) = fleet.all_pods()
        assert new["status"]["podIP"] == address
        assert new["metadata"]["uid"] != pod["metadata"]["uid"]
        assert fleet.ready_pods() == []
        fleet.proxy.revive(f"sip:{address}:5060")
        await fleet.until(lambda: len(fleet.ready_pods()) == 1, 30)


@in_virtual_time
async def test_shutdown_finishes_what_was_begun() -> None:
    async with FakeFleet().running() as fleet:
        fleet.kube.before = lambda verb, ref: 0.5 if verb == "APPLY" else None
        fleet.apply_agent()
        await fleet.settle(0.7)
        operator = fleet.operator
        stop = asyncio.create_task(fleet.stop())
        await stop
        sent = len(fleet.kube.log)
        await fleet.settle(5)
        assert len(fleet.kube.log) == sent
        assert operator.core is None
