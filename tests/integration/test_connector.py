"""The connector with real SIP, RTP, processes and sockets; its workers speak in tones."""

import asyncio
import os
import shutil
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from callfleet.v1 import fleet_pb2, fleet_pb2_grpc
from callfleet_agent.app.connector import Connector
from callfleet_agent.app.errors import AddressInUseError
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.rtp import RtpPacket
from fakes.connector import LOOPBACK, call, phone, running, settings, with_ports
from fakes.patient_clock import PatientClock
from fakes.sip_by_hand import Sip, in_dialog, offer, until

KEY, BYE, KILL = Turn(keys="1"), Turn(keys="*"), Turn(keys="D")


async def metrics(connector: Connector) -> str:
    url = f"http://{LOOPBACK}:{connector.http_port}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return await answer.text()


async def test_a_call_is_answered_and_the_caller_hangs_up() -> None:
    async with running() as connector:
        report = await call(connector, KEY)
        assert (report.outcome, report.ended_by, report.codec) == ("ok", "local", "PCMU")
        assert report.turns[0].answer_ms is not None
        assert report.packets_lost == 0
        await until(lambda: connector.calls == 0)
        text = await metrics(connector)
        assert 'callfleet_calls_ended_total{by="caller"} 1.0' in text
        assert "callfleet_answer_seconds_count 1.0" in text


async def test_the_agent_says_good_bye_to_its_end_and_hangs_up(tmp_path: Path) -> None:
    async with running() as connector:
        report = await call(connector, BYE, hang_up=False, record=tmp_path / "call.wav")
        assert (report.outcome, report.ended_by) == ("ok", "agent")
        assert len(report.answers_ms) == 1
        assert (tmp_path / "call.wav").stat().st_size > 16000
        await until(lambda: connector.calls == 0)
        assert 'callfleet_calls_ended_total{by="agent"} 1.0' in await metrics(connector)


@pytest.mark.parametrize("options", [{"transport": "tcp"}, {"codecs": ("PCMA",)}])
async def test_tcp_and_the_other_codec(options: dict[str, Any]) -> None:
    async with running() as connector:
        report = await call(connector, KEY, **options)
        assert report.outcome == "ok"
        assert report.codec == options.get("codecs", ("PCMU",))[0]
        assert len(report.answers_ms) == 1


async def test_a_killed_worker_loses_no_call() -> None:
    async with running() as connector:
        supervisor = connector.supervisor
        assert supervisor is not None
        await until(lambda: len(supervisor.pids) == 2)  # calls are taken before the spare is ready
        before = set(supervisor.pids.values())
        report = await call(connector, KEY, KILL, KEY)
        assert report.outcome == "ok"
        assert [turn.answer_ms is not None for turn in report.turns] == [True, True, True]
        await until(lambda: connector.metrics.slo.workers_lost == 1)  # a thread tells of its end
        await until(lambda: len(supervisor.pids) == 2)
        assert len(before & set(supervisor.pids.values())) == 1
        assert "callfleet_calls_moved_total 1.0" in await metrics(connector)


async def test_a_call_that_waits_for_a_worker_is_told_and_one_that_has_one_is_not() -> None:
    may_start = asyncio.Event()
    may_start.set()
    async with running(may_start=may_start) as connector:
        supervisor = connector.supervisor
        assert supervisor is not None
        await until(lambda: len(supervisor.pids) == 2)
        caller = phone(connector, listen_s=150.0)
        calling = asyncio.create_task(caller.run())
        await until(lambda: connector.metrics.slo.answered == 1)
        registry = connector.metrics.registry
        await until(lambda: registry.get_sample_value("callfleet_calls_waiting") == 0)

        may_start.clear()
        for pid in supervisor.pids.values():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: registry.get_sample_value("callfleet_calls_waiting") == 1)
        assert "callfleet_calls_waiting 1.0" in await metrics(connector)
        assert connector.calls == 1

        may_start.set()
        await until(lambda: registry.get_sample_value("callfleet_calls_waiting") == 0)
        assert "callfleet_calls_waiting 0.0" in await metrics(connector)
        assert connector.calls == 1
        caller.stop()
        assert (await calling).outcome == "stopped"
        await until(lambda: connector.calls == 0)
        assert registry.get_sample_value("callfleet_calls_waiting") == 0


def end_every_worker(connector: Connector) -> None:
    """When it returns their ends of all links are closed, of which nobody has been told yet."""
    assert connector.supervisor is not None
    for pid in connector.supervisor.pids.values():
        os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # who waits for it, too, was told first
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def test_keys_pressed_while_no_worker_has_the_call_reach_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with running() as connector:
        keys = Turn(keys="123")

        def show(_: str, text: str) -> None:
            if text == keys.shown:
                end_every_worker(connector)

        report = await phone(connector, keys, BYE, show=show, hang_up=False).run()
    assert (report.outcome, report.ended_by) == ("ok", "agent")
    turns = [record.turn_turn for record in caplog.records if hasattr(record, "turn_turn")]
    assert turns == [1, 2, 3]


async def test_a_key_that_comes_with_the_end_of_its_worker_reaches_the_next_one() -> None:
    async with running() as connector:
        sip = Sip(connector)
        try:
            answer = await sip.ask(sip.request("INVITE", offer("0")))
            await sip.send(in_dialog(sip, answer, "ACK", 1).encode())
            await sip.ask(key(sip, answer, 2))
            await until(lambda: connector.metrics.slo.turns == 1)
            end_every_worker(connector)
            await sip.ask(key(sip, answer, 3))
            await until(lambda: connector.metrics.slo.turns == 2)
            await sip.ask(in_dialog(sip, answer, "BYE", 4))
        finally:
            sip.close()


def key(sip: Sip, answer: str, number: int) -> str:
    """A key as INFO."""
    pressed = in_dialog(sip, answer, "INFO", number, "Signal=1\r\nDuration=100\r\n")
    return pressed.replace("application/sdp", "application/dtmf-relay")


async def test_a_full_pod_says_when_to_come_again_and_stays_alive_for_probes() -> None:
    async with running(settings(capacity={"callsPerPod": 1})) as connector:
        first = phone(connector, listen_s=150.0)
        calling = asyncio.create_task(first.run())
        await until(lambda: connector.calls == 1)
        second = await call(connector)
        assert (second.outcome, second.status, second.retry_after_s) == ("refused", 503, 10)
        sip = Sip(connector)
        try:
            assert (await sip.ask(sip.request("OPTIONS"))).startswith("SIP/2.0 200")
        finally:
            sip.close()
        assert connector.not_ready() is None
        first.stop()
        assert (await calling).outcome == "stopped"
        assert 'callfleet_calls_refused_total{reason="full"} 1.0' in await metrics(connector)


async def test_no_common_codec_is_488_and_no_port_is_lost() -> None:
    async with running(with_ports(settings(), 1)) as connector:
        sip = Sip(connector)
        try:
            answer = await sip.ask(sip.request("INVITE", offer("18")))
            assert answer.startswith("SIP/2.0 488")
        finally:
            sip.close()
        await until(lambda: connector.calls == 0)
        assert 'callfleet_calls_refused_total{reason="no-codec"} 1.0' in await metrics(connector)
        assert connector.metrics.slo.refused == 0


async def test_without_a_free_port_a_call_is_refused() -> None:
    async with running(with_ports(settings(), 1)) as connector:
        first = phone(connector, listen_s=150.0)
        calling = asyncio.create_task(first.run())
        await until(lambda: connector.metrics.slo.answered == 1)
        second = await call(connector)
        assert (second.status, second.retry_after_s) == (503, 10)
        first.stop()
        await calling
        assert 'callfleet_calls_refused_total{reason="no-port"} 1.0' in await metrics(connector)


async def test_malformed_sip_is_counted_and_hurts_nobody() -> None:
    async with running() as connector:
        sip = Sip(connector)
        try:
            await sip.send(b"INVITE nonsense\r\n\r\n")
            await sip.send(b"\x00\xff" * 40)
            refused = await sip.ask(sip.request("INVITE").replace("CSeq: 1", "CSeq: x"))
            assert refused.startswith("SIP/2.0 400 Malformed CSeq")
            assert (await sip.ask(sip.request("OPTIONS"))).startswith("SIP/2.0 200")
        finally:
            sip.close()
        assert (await call(connector, KEY)).outcome == "ok"
        assert "callfleet_sip_malformed_total 3.0" in await metrics(connector)


async def test_sound_of_a_stranger_is_dropped() -> None:
    # A caller who is not heard for a second may come back from elsewhere; a stall is no such thing.
    async with running(rtp_pairs=1, clock=PatientClock()) as connector:
        caller = phone(connector, KEY, listen_s=150.0)
        calling = asyncio.create_task(caller.run())
        await until(lambda: connector.metrics.slo.turns == 1)  # so the caller's address is known
        port = connector.settings.listen.rtp_first
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for number in range(20):
            packet = RtpPacket(0, number, 160 * number, 7, b"\x00" * 160)
            stranger.sendto(bytes(packet), (LOOPBACK, port))
        stranger.close()
        for _ in range(300):  # turns of the loop, which takes a datagram in each
            await asyncio.sleep(0)
        caller.stop()
        report = await calling
        assert (report.outcome, report.ending.proper) == ("stopped", True)
        assert len(report.answers_ms) == 1
        assert report.packets_lost == 0
        await until(lambda: connector.calls == 0)
        assert "callfleet_rtp_dropped_total 20.0" in await metrics(connector)


def intent(state: int, *, epoch: int = 1, gone: bool = False) -> fleet_pb2.PodIntent:
    return fleet_pb2.PodIntent(
        correlation_id="c",
        epoch=epoch,
        state=state,  # type: ignore[arg-type]
        row_confirmed_inactive=gone,
        pod_uid="uid-1",
    )


async def answered(stream: Any, wanted: fleet_pb2.PodIntent) -> fleet_pb2.PodReport:
    """The report in answer to an intent: changes are reported in between, without its id."""
    await stream.write(wanted)
    while True:
        report: fleet_pb2.PodReport = await stream.read()
        if report.correlation_id == wanted.correlation_id:
            return report


async def test_the_operator_drains_the_pod_and_takes_it_back() -> None:
    async with running() as connector:
        caller = phone(connector, listen_s=150.0)
        calling = asyncio.create_task(caller.run())
        await until(lambda: connector.calls == 1)
        sip = Sip(connector)
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{connector.control_port}") as channel:
            stream = fleet_pb2_grpc.AgentPodServiceStub(channel).Control()  # type: ignore[no-untyped-call]
            report = await answered(stream, intent(fleet_pb2.POD_STATE_DRAINING))
            assert (report.state, report.calls, report.capacity, report.accepted_epoch) == (
                fleet_pb2.POD_STATE_DRAINING,
                1,
                20,
                1,
            )
            refused = await call(connector)
            assert (refused.status, refused.reason, refused.retry_after_s) == (503, "Draining", 60)
            assert (await sip.ask(sip.request("OPTIONS"))).startswith("SIP/2.0 503")
            assert connector.calls == 1
            assert connector.not_ready() is None
            await stream.write(intent(fleet_pb2.POD_STATE_SERVING, epoch=2))
            while (report := await stream.read()).state != fleet_pb2.POD_STATE_SERVING:
                pass
            assert (await sip.ask(sip.request("OPTIONS", number=2))).startswith("SIP/2.0 200")
            stream.cancel()
        sip.close()
        caller.stop()
        assert (await calling).outcome == "stopped"


async def test_after_sigterm_calls_are_taken_until_the_row_is_gone() -> None:
    async with running(clock=PatientClock()) as connector:  # the row is waited for 5 s
        caller = phone(connector, listen_s=150.0)
        calling = asyncio.create_task(caller.run())
        await until(lambda: connector.calls == 1)
        connector.terminate()
        late = await call(connector, KEY)
        assert late.outcome == "ok"
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{connector.control_port}") as channel:
            stream = fleet_pb2_grpc.AgentPodServiceStub(channel).Control()  # type: ignore[no-untyped-call]
            report = await answered(stream, intent(fleet_pb2.POD_STATE_SERVING, gone=True))
            assert report.terminating
            assert report.state == fleet_pb2.POD_STATE_DRAINING
            stream.cancel()
        assert (await call(connector)).status == 503
        assert connector.calls >= 1
        caller.stop()
        assert (await calling).outcome == "stopped"


async def test_a_port_in_use_is_said() -> None:
    async with running() as connector:
        given = settings()
        taken = replace(given, listen=replace(given.listen, sip_port=connector.sip_port))
        with pytest.raises(BaseExceptionGroup) as raised:
            await Connector(taken).run()
        matching = raised.value.subgroup(AddressInUseError)
        assert matching is not None
        assert f"127.0.0.1:{connector.sip_port}" in str(matching.exceptions)


async def test_health_and_readiness() -> None:
    async with running() as connector, aiohttp.ClientSession() as client:
        for page in ("healthz", "readyz"):
            url = f"http://{LOOPBACK}:{connector.http_port}/{page}"
            async with client.get(url) as answer:
                assert answer.status == 200


@pytest.mark.skipif(shutil.which("sipp") is None, reason="needs sipp")
async def test_sipp_calls_too(tmp_path: Path) -> None:
    """Not only our own phone says that calls are set up and ended as they should."""
    async with running(settings(capacity={"callsPerPod": 25})) as connector:
        process = await asyncio.create_subprocess_exec(
            "sipp", "-sn", "uac", f"{LOOPBACK}:{connector.sip_port}",
            "-i", LOOPBACK, "-m", "20", "-r", "10", "-d", "500", "-nostdin",
            "-timeout", "120s", "-timeout_error",
            cwd=tmp_path,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        await until(lambda: connector.calls == 0)
        text = await metrics(connector)
        assert "callfleet_calls_answered_total 20.0" in text
        assert 'callfleet_calls_ended_total{by="caller"} 20.0' in text


async def test_a_caller_who_goes_silent_does_not_hold_a_line() -> None:
    given = replace(settings(), media_timeout_s=0.5)
    async with running(given) as connector:
        sip = Sip(connector)
        try:
            assert (await sip.ask(sip.request("INVITE", offer("0")))).startswith("SIP/2.0 200")
            await until(lambda: connector.metrics.slo.failed == 1)
        finally:
            sip.close()


async def test_an_offerless_call_a_hold_and_a_resumption() -> None:
    async with running() as connector:
        sip = Sip(connector)
        try:
            answer = await sip.ask(sip.request("INVITE"))
            assert answer.startswith("SIP/2.0 200")
            assert "m=audio" in answer
            await sip.send(in_dialog(sip, answer, "ACK", 1, offer("0")).encode())
            await until(lambda: connector.metrics.slo.answered == 1)
            held = offer("0").replace("o=- 1 1", "o=- 1 2") + "a=sendonly\r\n"
            second = await sip.ask(in_dialog(sip, answer, "INVITE", 2, held))
            assert second.startswith("SIP/2.0 200")
            assert "a=recvonly" in second
            await sip.send(in_dialog(sip, answer, "ACK", 2).encode())
            wrong = offer("18").replace("o=- 1 1", "o=- 1 3")
            assert (await sip.ask(in_dialog(sip, answer, "INVITE", 3, wrong))).startswith(
                "SIP/2.0 488"
            )
            await sip.send(in_dialog(sip, answer, "ACK", 3).encode())
            fourth = await sip.ask(in_dialog(sip, answer, "INVITE", 4))
            assert fourth.startswith("SIP/2.0 200")
            again = offer("0").replace("o=- 1 1", "o=- 1 4")
            await sip.send(in_dialog(sip, answer, "ACK", 4, again).encode())
            assert (await sip.ask(in_dialog(sip, answer, "BYE", 5))).startswith("SIP/2.0 200")
            await until(lambda: connector.calls == 0)
        finally:
            sip.close()
        assert connector.metrics.slo.failed == 0
