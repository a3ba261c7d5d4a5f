"""Requests inside a dialog through real proxies: they go where the proxy recorded, or nowhere."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from callfleet_operator.ports.proxy import SeenState
from fakes.sip_pods import FakeCaller, FakePod, Message
from proxy_calls import serve
from proxy_rigs import RealRig, until
from running_proxies import RunningProxy

pytestmark = pytest.mark.parametrize("make_rig", ["kamailio", "opensips"], indirect=True)
MakeRig = Callable[..., Awaitable[RealRig]]


async def bye(caller: FakeCaller, call: Message, target: str, *before: str) -> int:
    """The status of a BYE inside the call to a target, along its route and then others."""
    within = [(name, call.get(name)) for name in ("call-id", "from", "to")]
    routes = [*reversed(call.all("record-route")), *before]
    answer = await caller.ask("BYE", target, [*within, *(("route", route) for route in routes)])
    return answer.status


def contact(call: Message) -> str:
    return call.get("contact").strip("<>")


async def test_a_route_of_ones_own_invention_leads_nowhere(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller, victim = await rig.caller(), await rig.pod()
    host, port = caller.proxy
    (of_another_call,) = (await caller.call(line)).all("record-route")
    empty = f"<sip:{host}:{port};lr;seal=;pod=;caller=>"

    for route in (f"<sip:{host}:{port};lr>", empty, of_another_call):
        for target in (victim, pod):
            within = [("to", f"<{target.uri}>;tag=x"), ("route", route)]
            assert (await caller.ask("BYE", target.uri, within)).status == 481
    assert (victim.byes, pod.byes) == (0, 1)


async def test_the_route_of_ones_own_call_leads_to_pods_only(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, pods = await serve(rig, 2)
    caller, victim = await rig.caller(), await rig.pod()
    call = await caller.call(line)
    (answered,) = (pod for pod in pods if pod.uri == contact(call))
    (other,) = (pod for pod in pods if pod is not answered)

    assert await bye(caller, call, victim.uri) == 481
    assert await bye(caller, call, contact(call), f"<{victim.uri};lr>") == 481
    assert victim.byes == 0
    host, port = answered.address
    beside = FakePod(("127.0.0.2", port))
    await beside.start()
    rig.pods.append(beside)
    for instead in ("maddr=127.0.0.2", "MAddr=127.0.0.2", f"maddr={host};maddr=127.0.0.2"):
        assert await bye(caller, call, f"sip:{host}:{port};{instead}") == 481
    assert (answered.byes, beside.byes) == (1, 0)
    assert await bye(caller, call, other.uri) == 200
    assert (answered.byes, other.byes) == (1, 1)


async def test_the_agent_hangs_up(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller = await rig.caller()
    call = await caller.call(line, hang_up=False)

    assert (await pod.ask_back("BYE")).status == 200

    assert caller.byes == [call.get("call-id")]
    assert pod.byes == 0


async def test_the_agent_hangs_up_on_a_caller_behind_another_proxy(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller, upstream = await rig.caller(), await rig.caller()
    call = await caller.call(line, hang_up=False, through=upstream.uri)

    assert (await pod.ask_back("BYE")).status == 200

    assert upstream.byes == [call.get("call-id")]
    assert not caller.byes


async def test_the_agent_finds_a_caller_who_moved(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller, elsewhere = await rig.caller(), await rig.caller()
    call = await caller.call(line, hang_up=False)

    assert (await pod.ask_back("BYE", elsewhere.uri)).status == 200

    assert elsewhere.byes == [call.get("call-id")]


async def test_a_call_that_another_pod_refused_first_is_hung_up_by_both_sides(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig()
    line, wanted, pods = await serve(rig, 2)
    caller = await rig.caller()
    for full, free in (pods, reversed(pods)):
        full.full, free.full = True, False
        call = await caller.call(line, hang_up=False)
        await rig.proxy.sync([], epoch=1)  # the pods' rows are gone before the calls are

        assert (await free.ask_back("BYE")).status == 200
        assert await bye(caller, call, contact(call)) == 200
        assert (full.byes, free.byes) == (0, 1)

        free.byes = 0
        await rig.proxy.sync([wanted], epoch=1)
        await until(rig, wanted, SeenState.ACTIVE, *pods)


@pytest.mark.parametrize(("secret", "status"), [("the same", 200), ("another", 481)])
async def test_calls_outlive_a_restart_with_another_password_of_the_database(
    make_rig: MakeRig, tmp_path: Path, secret: str, status: int
) -> None:
    rig = await make_rig()
    driver, url = rig.installed.driver, rig.installed.database_url
    before = RunningProxy(driver, url, tmp_path, route_secret="the same")
    renamed = url.replace("callfleet@", "callfleet:changed@")
    assert renamed != url
    after = replace(before, database_url=renamed, route_secret=secret)
    await before.start_beside()
    try:
        rig.use([before])
        line, _, (pod,) = await serve(rig)
        caller = await rig.caller()
        call = await caller.call(line, hang_up=False)

        before.stop()
        await after.start_beside()

        assert await bye(caller, call, contact(call)) == status
        assert pod.byes == (status == 200)
    finally:
        before.stop()
        after.stop()
