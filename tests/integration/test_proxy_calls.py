"""Calls through real proxies, with the configuration that the chart ships, to pods on loopback."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from callfleet_operator.ports.proxy import AgentRows, SeenState, WantedRow
from callfleet_operator.proxies.opening import DIALECTS
from callfleet_operator.proxies.rows import Held
from callfleet_operator.proxies.rpc import JsonRpc
from fakes.sip_pods import sdp
from media_ends import audio_port, media_ends
from ports import free_port
from proxy_calls import serve
from proxy_rigs import (
    ALLOWED,
    INACTIVE,
    LIMIT_S,
    TIMING,
    Install,
    RealRig,
    agent,
    number,
    until,
    with_state,
)
from running_proxies import FILES, RunningProxy, TcpTap, require

real = pytest.mark.parametrize("make_rig", ["kamailio", "opensips"], indirect=True)
MakeRig = Callable[..., Awaitable[RealRig]]

# A phone whose requests inside the dialog follow the recorded route, as RFC 3261 12.2.1.1 asks.
_PHONE = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="phone">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:phone@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:phone@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
[routes]
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:phone@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <pause milliseconds="100"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
[routes]
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:phone@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""


async def sipp(
    rig: RealRig, line: str, rate: int, calls: int = 10_000, transport: str = "u1"
) -> asyncio.subprocess.Process:
    """Load from sipp's phone; its exit status is 0 when every call was good. SIGUSR1 lets it end
    the calls that it has begun, and begin no more."""
    program = shutil.which("sipp")
    if program is None:
        pytest.skip("sipp is not on PATH (Debian: sip-tester)")
    scenario = rig.folder / "phone.xml"
    scenario.write_text(_PHONE)
    host, port = next(iter(rig.running.values())).address
    options = {"-r": rate, "-m": calls, "-i": "127.0.0.1", "-t": transport, "-s": line, "-l": 200}
    return await asyncio.create_subprocess_exec(
        *[program, f"{host}:{port}", "-sf", str(scenario), "-timeout", "120s", "-nostdin"],
        *[str(part) for pair in options.items() for part in pair],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=rig.folder,
    )


async def synced(rig: RealRig, agents: list[AgentRows]) -> None:
    """Sync as often as the core would until everything is as wanted."""
    deadline = time.monotonic() + LIMIT_S
    while not (outcome := await rig.proxy.sync(agents, epoch=1)).in_sync:
        assert time.monotonic() < deadline, f"never in sync: {outcome.instances}"
        await asyncio.sleep(min(outcome.look_again_s or 0.5, 0.5))


@real
async def test_calls_take_turns_over_many_equal_pods(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, pods = await serve(rig, 40)
    caller = await rig.caller()

    for _ in range(80):
        assert (await caller.call(line)).status == 200

    assert [len(pod.invites) for pod in pods] == [2] * 40
    assert [pod.byes for pod in pods] == [2] * 40


@real
async def test_different_weights_share_the_calls(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, wanted, (stable, canary) = await serve(rig, 2)
    rows = tuple(replace(r, weight=90 if r.uri == stable.uri else 10) for r in wanted.rows)
    outcome = await rig.proxy.sync([replace(wanted, rows=rows)], epoch=1)
    assert outcome.in_sync
    assert outcome.state_of(wanted.uid, stable.uri) is SeenState.ACTIVE
    caller = await rig.caller()

    for _ in range(200):
        assert (await caller.call(line)).status == 200

    assert len(stable.invites) + len(canary.invites) == 200
    assert 3 <= len(canary.invites) <= 50


@real
async def test_an_unknown_number_is_not_found(make_rig: MakeRig) -> None:
    rig = await make_rig()
    caller = await rig.caller()

    assert (await caller.call("+1555999")).status == 404
    assert (await caller.call("callfleet")).status == 404


@real
async def test_when_every_pod_refuses_the_caller_is_told_when_to_come_back(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig()
    line, wanted, pods = await serve(rig, 3)
    caller = await rig.caller()
    for pod in pods:
        pod.full = True

    answer = await caller.call(line)
    assert (answer.status, answer.get("retry-after")) == (503, "5")
    assert [len(pod.invites) for pod in pods] == [1, 1, 1]

    pods[1].full = False
    assert (await caller.call(line)).status == 200
    seen = await rig.proxy.observe()
    assert {seen.state_of(wanted.uid, pod.uri) for pod in pods} == {SeenState.ACTIVE}


@real
async def test_no_pod_at_all_is_a_503_too(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line = number()
    await rig.proxy.sync([agent("card", numbers=[line])], epoch=1)

    answer = await (await rig.caller()).call(line)

    assert (answer.status, answer.get("retry-after")) == (503, "5")


@real
async def test_a_dead_pod_is_passed_over_and_comes_back(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, wanted, pods = await serve(rig, 3)
    caller = await rig.caller()

    pods[0].dead = True
    for _ in range(6):
        assert (await caller.call(line)).status == 200
    await until(rig, wanted, SeenState.PROBING, pods[0])
    assert len(pods[1].invites) + len(pods[2].invites) == 6

    pods[0].dead = False
    await until(rig, wanted, SeenState.ACTIVE, *pods)


@real
async def test_silence_alone_takes_a_destination_out(make_rig: MakeRig) -> None:
    rig = await make_rig()
    dead, line, set_id = await rig.pod(), number(), 77
    dead.dead = True
    await rig.add_foreign_row(set_id, dead.uri)  # no probe looks at it
    await rig.add_foreign_number(line, f"set={set_id}")
    async with aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, rig.endpoints[0], LIMIT_S)
        commands = DIALECTS[rig.installed.driver]().commands(rpc)
        await commands.reload_destinations()
        await commands.reload_numbers()
        assert (await commands.memory())[set_id, dead.uri].held is Held.ACTIVE

        assert (await (await rig.caller()).call(line)).status == 503

        assert (await commands.memory())[set_id, dead.uri].held is Held.WAITING


@real
async def test_a_pod_that_answers_503_to_probes_gets_no_new_call(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, wanted, pods = await serve(rig, 2)

    pods[0].draining = True
    await until(rig, wanted, SeenState.PROBING, pods[0])
    assert await rig.reached(line, 6) == {pods[1].uri}

    pods[0].draining = False
    await until(rig, wanted, SeenState.ACTIVE, *pods)


@real
async def test_a_drain_under_load_loses_no_call(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, wanted, pods = await serve(rig, 3)

    load = await sipp(rig, line, rate=30)
    await pods[0].called(15)
    outcome = await rig.proxy.sync([with_state(wanted, INACTIVE, pods[0])], epoch=1)
    assert outcome.in_sync
    await until(rig, wanted, SeenState.INACTIVE, pods[0])
    confirmed = asyncio.get_running_loop().time()
    await pods[1].called(len(pods[1].invites) + 30)
    load.send_signal(signal.SIGUSR1)

    assert await load.wait() == 0
    assert sum(len(pod.invites) for pod in pods) == sum(pod.byes for pod in pods) > 75
    assert not [when for when in pods[0].invites if when > confirmed]
    assert [when for when in pods[1].invites if when > confirmed]


@real
async def test_a_change_of_other_agents_under_load_disturbs_no_call(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, wanted, (pod, _) = await serve(rig, 2)
    other = await rig.pod()

    load = await sipp(rig, line, rate=50)
    await pod.called(25)
    for i in range(6):
        agents = [wanted, agent(f"other{i}", other, numbers=[number()])]
        assert (await rig.proxy.sync(agents, epoch=1)).in_sync
    await pod.called(len(pod.invites) + 25)
    load.send_signal(signal.SIGUSR1)

    assert await load.wait() == 0


@real
async def test_calls_over_tcp(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, pods = await serve(rig, 2)

    load = await sipp(rig, line, rate=20, calls=10, transport="t1")
    assert await load.wait() == 0
    assert sum(pod.byes for pod in pods) == 10


@real
async def test_a_call_that_times_out_does_not_undo_a_drain(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, wanted, (pod,) = await serve(rig, 1)
    caller = await rig.caller()

    pod.dead = True
    call = asyncio.create_task(caller.call(line))
    await pod.missed(1)
    await rig.proxy.sync([with_state(wanted, INACTIVE, pod)], epoch=1)
    assert (await call).status == 503
    pod.dead = False

    await until(rig, wanted, SeenState.INACTIVE, pod)
    await asyncio.sleep(2 * TIMING.probe_interval_s)
    seen = await rig.proxy.observe()
    assert seen.state_of(wanted.uid, pod.uri) is SeenState.INACTIVE


@real
async def test_what_the_proxy_answers_by_itself(make_rig: MakeRig) -> None:
    rig = await make_rig()
    caller = await rig.caller()
    host, port = caller.proxy
    at = f"sip:{host}:{port}"
    in_dialog = [("to", f"<{at}>;tag=nobody")]

    assert (await caller.ask("OPTIONS", at, [])).status == 200
    assert (await caller.ask("REGISTER", at, [])).status == 405
    assert (await caller.ask("BYE", at, in_dialog)).status == 481
    assert (await caller.ask("OPTIONS", at, [("max-forwards", "0")])).status == 483


@real
async def test_a_foreign_row_keeps_what_its_owner_set(make_rig: MakeRig) -> None:
    rig = await make_rig()
    foreign = await rig.pod()
    await rig.add_foreign_row(77, foreign.uri)
    async with aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, rig.endpoints[0], LIMIT_S)
        commands = DIALECTS[rig.installed.driver]().commands(rpc)
        await commands.reload_destinations()
        await commands.set_state((77, foreign.uri), Held.DRAINED)

        await rig.proxy.sync([agent("card", await rig.pod())], epoch=1)

        assert (await commands.memory())[77, foreign.uri].held is Held.DRAINED


@real
@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_the_proxys_own_database_may_be_away(
    make_rig: MakeRig, tmp_path: Path, how: str
) -> None:
    rig = await make_rig()
    tap = TcpTap(rig.installed.database_address)
    await tap.open()
    name = rig.installed.database_url.rpartition("/")[2]
    url = f"postgresql://callfleet@127.0.0.1:{tap.port}/{name}"
    instance = RunningProxy(rig.installed.driver, url, tmp_path)
    await instance.start_beside()
    try:
        rig.use([instance])
        line, wanted, (stays, goes) = await serve(rig, 2)
        caller = await rig.caller()

        tap.hang() if how == "hangs" else await tap.cut()
        drained = with_state(wanted, INACTIVE, goes)
        outcome = await rig.proxy.sync([drained], epoch=1)
        assert outcome.in_sync  # a drain needs no reload
        late = await rig.pod()
        more = replace(drained, rows=(*drained.rows, WantedRow(late.uri, "late")))
        outcome = await rig.proxy.sync([more], epoch=1)
        assert outcome.instances[instance.endpoint]
        assert not outcome.state_of(wanted.uid, late.uri).out
        for _ in range(4):
            assert (await caller.call(line)).status == 200
        assert len(stays.invites) == 4

        tap.flow() if how == "hangs" else await tap.open()
        await synced(rig, [more])
        await until(rig, wanted, SeenState.ACTIVE, late)
    finally:
        instance.stop()
        await tap.cut()


@pytest.fixture
def rtpengine(tmp_path: Path) -> Iterator[str]:
    """A media relay on loopback, without its kernel module; its control address."""
    program = shutil.which("rtpengine")
    if program is None:
        pytest.skip("rtpengine is not on PATH (Debian: rtpengine-daemon)")
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "rtpengine.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *["setpriv", "--pdeathsig", "KILL", program, "--config-file=none", "--table=-1"],
                *["--foreground", "--log-stderr", "--interface=127.0.0.1"],
                f"--listen-ng={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for_relay(address)
        yield f"udp:{address}"
    finally:
        process.kill()
        process.wait()


def wait_for_relay(address: str) -> None:
    """Until rtpengine answers a ping: a proxy that starts before it does without it for a while."""
    host, port = address.split(":")
    deadline = time.monotonic() + LIMIT_S
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        while time.monotonic() < deadline:
            probe.sendto(b"1 d7:command4:pinge", (host, int(port)))
            with suppress(OSError):
                assert b"pong" in probe.recv(1500)
                return
    pytest.fail("rtpengine does not answer")


@real
async def test_media_goes_through_the_relay_where_an_agent_wants_it(
    make_rig: MakeRig, rtpengine: str, tmp_path: Path
) -> None:
    rig = await make_rig()
    instance = RunningProxy(
        rig.installed.driver, rig.installed.database_url, tmp_path, relay=rtpengine
    )
    await instance.start_beside()
    try:
        rig.use([instance])
        direct, wanted, (pod,) = await serve(rig, 1)
        other = await rig.pod()
        line = number()
        relayed = agent("relayed", other, numbers=[line], media="relay")
        await rig.proxy.sync([wanted, relayed], epoch=1)
        await until(rig, relayed, SeenState.ACTIVE, other)
        caller = await rig.caller()

        answer = await caller.call(direct, sdp(4000))
        assert "m=audio 4000 " in pod.offers[0]
        assert "m=audio 20000 " in answer.body

        async with media_ends() as (callers, agents):
            other.media_port = agents.port
            answer = await caller.call(line, sdp(callers.port), hang_up=False)
            assert answer.status == 200
            to_caller, to_agent = audio_port(other.offers[0]), audio_port(answer.body)
            assert len({to_caller, to_agent, callers.port, agents.port}) == 4

            await asyncio.gather(callers.send(50, to_agent), agents.send(50, to_caller))
            await callers.got(50)
            await agents.got(50)
            await caller.hang_up(answer)

        # Each end hears the other, whole and in order, and from nobody but the relay.
        assert [packet for packet, _ in agents.received] == list(map(callers.packet, range(50)))
        assert [packet for packet, _ in callers.received] == list(map(agents.packet, range(50)))
        assert {source for _, source in agents.received} == {("127.0.0.1", to_caller)}
        assert {source for _, source in callers.received} == {("127.0.0.1", to_agent)}
        assert other.byes == 1
    finally:
        instance.stop()


@real
async def test_without_its_relay_a_call_is_refused_and_not_mute(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    rig = await make_rig()
    nobody = f"udp:127.0.0.1:{free_port()}"
    instance = RunningProxy(
        rig.installed.driver, rig.installed.database_url, tmp_path, relay=nobody
    )
    await instance.start_beside()
    try:
        rig.use([instance])
        pod = await rig.pod()
        line = number()
        relayed = agent("relayed", pod, numbers=[line], media="relay")
        await rig.proxy.sync([relayed], epoch=1)
        await until(rig, relayed, SeenState.ACTIVE, pod)

        answer = await (await rig.caller()).call(line, sdp(4000))

        assert (answer.status, answer.get("retry-after")) == (503, "5")
        assert not pod.invites
    finally:
        instance.stop()


@real
async def test_the_log_holds_no_number(make_rig: MakeRig) -> None:
    rig = await make_rig()
    line, _, pods = await serve(rig, 2)
    unknown = number()
    caller = await rig.caller()
    pods[0].dead = True

    await caller.call(line)
    await caller.call(line)
    await caller.call(unknown)
    for message in (
        f"INVITE sip:{unknown}@127.0.0.1 SIP/2.0\r\nVia: nothing\r\nTo: <sip:{unknown}\r\n\r\n",
        f"INVITE sip:{unknown} SIP/2.0\r\n\r\n",
        f"{unknown}\r\n\r\n",
    ):
        caller.send_raw(message.encode())
    assert (await caller.ask("OPTIONS", "sip:127.0.0.1", [])).status == 200

    log = next(iter(rig.running.values())).log.read_text(errors="replace")
    assert line.strip("+") not in log
    assert unknown.strip("+") not in log


async def test_remote_commands_are_on_the_private_port_only(installed: Install) -> None:
    found = await installed("kamailio")
    instance = found.instances[0]
    body = b'{"jsonrpc":"2.0","method":"core.version","id":1}'
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as session:
        private = f"http://127.0.0.1:{instance.rpc_port}"
        async with session.get(f"{private}/healthz") as answer:
            assert answer.status == 200
        async with session.get(f"{private}/metrics") as answer:
            assert "kamailio_" in await answer.text()
        async with session.get(f"{private}/other") as answer:
            assert answer.status == 404
        async with session.post(f"http://127.0.0.1:{instance.sip_port}/RPC", data=body) as answer:
            assert answer.status == 404


@pytest.mark.parametrize(("clients", "status"), [("10.0.0.0/8", 403), ("", 200)])
async def test_remote_commands_come_from_named_networks_only(
    installed: Install, tmp_path: Path, clients: str, status: int
) -> None:
    found = await installed("kamailio")
    instance = RunningProxy("kamailio", found.database_url, tmp_path, rpc_clients=clients)
    instance.launch()
    try:
        body = b'{"jsonrpc":"2.0","method":"core.version","id":1}'
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as session:
            await answers(session, f"http://127.0.0.1:{instance.rpc_port}/healthz")
            async with session.post(instance.endpoint, data=body) as answer:
                assert answer.status == status
    finally:
        instance.stop()


async def answers(session: aiohttp.ClientSession, url: str) -> None:
    """Until a server that starts answers."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            async with session.get(url) as answer:
                assert answer.status == 200
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    pytest.fail(f"no answer from {url}")


@pytest.mark.parametrize("driver", ["kamailio", "opensips"])
def test_the_configuration_with_a_relay_is_accepted(driver: str, tmp_path: Path) -> None:
    program = require(driver)
    proxy = RunningProxy(driver, "postgresql://nobody@127.0.0.1:9/none", tmp_path)
    relay = {"CALLFLEET_RTPENGINE": "udp:127.0.0.1:22222"}
    command = {
        "kamailio": [program, "-c", "-f", str(FILES / "kamailio" / "kamailio.cfg")],
        "opensips": [
            *[program, "-C", "-f", str(FILES / "opensips" / "opensips.cfg")],
            *["-p", f"awk -f {FILES / 'opensips' / 'environment.awk'}"],
        ],
    }[driver]

    done = subprocess.run(
        command, env=os.environ | proxy.environment() | relay, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_opensips_needs_its_environment(tmp_path: Path) -> None:
    files = FILES / "opensips"
    command = ["awk", "-f", str(files / "environment.awk"), str(files / "opensips.cfg")]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)

    assert done.returncode == 1
    assert "is not set" in done.stderr
    assert ALLOWED not in done.stdout
