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


async def say_again(caller: FakeCaller, call: Message, **headers: str) -> int:
    """The status of another INVITE inside the call, as when a phone changes networks."""
    within = [(name, call.get(name)) for name in ("call-id", "from", "to")]
    routes = [("route", route) for route in reversed(call.all("record-route"))]
    more = [*within, *routes, ("cseq", "7 INVITE"), *headers.items()]
    return (await caller.ask("INVITE", contact(call), more)).status


async def test_a_caller_who_moved_is_found_by_a_pod_behind_a_translator(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller, elsewhere, victim = [await rig.caller() for _ in range(3)]
    call = await caller.call(line, hang_up=False)
    assert (await pod.ask_back("OPTIONS", elsewhere.uri, translated=True)).status == 481

    assert await say_again(caller, call, contact=f"<{elsewhere.uri}>") == 200
    assert (await pod.ask_back("BYE", translated=True)).status == 200

    assert elsewhere.byes == [call.get("call-id")]
    assert elsewhere.named == [elsewhere.uri]
    assert (caller.byes, victim.byes) == ([], [])


async def test_a_caller_who_moves_as_he_answers_is_found_too(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller, elsewhere = await rig.caller(), await rig.caller()
    call = await caller.call(line, hang_up=False)

    caller.contact = elsewhere.uri
    answer = await pod.ask_back("INVITE", translated=True)
    assert answer.status == 200
    told = answer.get("contact").strip("<>")
    assert (await pod.ask_back("BYE", told, translated=True)).status == 200

    assert elsewhere.byes == [call.get("call-id")]


async def test_a_place_that_was_named_leads_nowhere_else(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller, elsewhere, victim = [await rig.caller() for _ in range(3)]
    first = await caller.call(line, hang_up=False)
    assert await say_again(caller, first, contact=f"<{elsewhere.uri}>") == 200
    _, _, proof = pod.target.partition(";")
    assert proof.startswith("seal=")
    host, port = victim.uri.removeprefix("sip:caller@").split(":")

    moved = (
        f"{victim.uri};{proof}",
        f"{elsewhere.uri};maddr={host}.1;{proof}",
        f"{elsewhere.uri};at={host}~{port}~udp;{proof}",
        f"{elsewhere.uri};seal=",
        elsewhere.uri,
    )
    for target in moved:
        assert (await pod.ask_back("BYE", target, translated=True)).status == 481
    await caller.call(line, hang_up=False)  # another call, with the proof of the first
    assert (await pod.ask_back("BYE", f"{elsewhere.uri};{proof}", translated=True)).status == 481
    assert (elsewhere.byes, victim.byes, caller.byes) == ([], [], [])


async def test_a_caller_behind_a_translator_is_hung_up(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, (pod,) = await serve(rig)
    caller, elsewhere = await rig.caller(), await rig.caller()
    caller.contact = elsewhere.contact = "sip:caller@192.168.77.7:5062"
    call = await caller.call(line, hang_up=False)

    assert (await pod.ask_back("OPTIONS")).status == 200
    # The translator gives him another port, and he says the same Contact again.
    assert await say_again(elsewhere, call, contact=f"<{elsewhere.contact}>") == 200
    assert (await pod.ask_back("BYE")).status == 200

    assert (caller.named, elsewhere.named) == ([caller.contact], [caller.contact])
    assert (caller.byes, elsewhere.byes) == ([], [call.get("call-id")])


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
