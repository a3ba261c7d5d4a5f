"""Nothing but its end ends a call: not a pod's way out, not the trouble of another."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from callfleet_agent.app.connector import Connector
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.session import PodIntent
from fakes.connector import call, phone, running
from fakes.sip_by_hand import Sip, in_dialog, offer, until

KEY, KILL = Turn(keys="1"), Turn(keys="D")


def workers_of(connector: Connector) -> list[int]:
    assert connector.supervisor is not None
    return list(connector.supervisor.pids.values())


@contextmanager
def failing_once(logger: str, message: str) -> Iterator[None]:
    """Code that logs this message fails there, the first time."""
    left = [message]

    def fail(record: logging.LogRecord) -> bool:
        if record.msg in left:
            left.remove(record.msg)
            raise RuntimeError("made to fail")
        return True

    wanted = logging.getLogger(logger)
    wanted.addFilter(fail)
    before = wanted.level
    wanted.setLevel(logging.INFO)
    try:
        yield
    finally:
        wanted.removeFilter(fail)
        wanted.setLevel(before)
    assert not left


async def test_a_worker_that_takes_no_more_costs_no_call() -> None:
    async with running(worker_arguments=["--calls", "1"]) as connector:
        await until(lambda: len(workers_of(connector)) == 2)
        first = phone(connector, KEY, listen_s=150.0)
        second = phone(connector, KEY, listen_s=150.0)
        calling = [asyncio.create_task(each.run()) for each in (first, second)]
        await until(lambda: connector.metrics.slo.turns == 2)
        third = asyncio.create_task(call(connector, KEY))
        await until(lambda: connector.calls == 3)
        await asyncio.sleep(1.0)  # longer than eight quick refusals take
        assert connector.calls == 3
        first.stop()
        report = await third
        assert (report.outcome, len(report.answers_ms)) == ("ok", 1)
        second.stop()
        assert [(await each).outcome for each in calling] == ["stopped", "stopped"]


async def test_sigterm_to_connector_and_workers_ends_no_call() -> None:
    async with running() as connector:
        await until(lambda: len(workers_of(connector)) == 2)
        talking = phone(connector, KEY, KEY, KEY)
        calling = asyncio.create_task(talking.run())
        await until(lambda: connector.metrics.slo.turns == 1)
        connector.terminate()
        for pid in workers_of(connector):
            os.kill(pid, signal.SIGTERM)
        report = await calling
        assert (report.outcome, report.ended_by) == ("ok", "local")
        assert len(report.answers_ms) == 3


async def test_a_call_that_is_being_set_up_holds_the_pod() -> None:
    async with running() as connector:
        sip = Sip(connector)
        try:
            answer = await sip.ask(sip.request("INVITE"))  # without an offer: our ACK brings it
            connector.terminate()
            connector.want(1, PodIntent.DRAINING, row_confirmed_inactive=True)
            await asyncio.sleep(0.5)
            assert connector.calls == 1
            await sip.send(in_dialog(sip, answer, "ACK", 1, offer("0")).encode())
            assert (await sip.ask(in_dialog(sip, answer, "BYE", 2))).startswith("SIP/2.0 200")
            await until(lambda: connector.calls == 0)
        finally:
            sip.close()


async def test_a_failure_in_one_call_says_bye_to_its_caller_and_to_no_other() -> None:
    async with running(worker_arguments=["--calls", "1"]) as connector:
        await until(lambda: len(workers_of(connector)) == 2)
        other = phone(connector, KEY, listen_s=150.0)
        calling = asyncio.create_task(other.run())
        await until(lambda: connector.metrics.slo.turns == 1)
        with failing_once("callfleet_agent.app.call_turns", "the call goes on with another worker"):
            report = await call(connector, KILL, hang_up=False)
        assert report.ended_by == "agent"
        # It is counted when the phone's answer to the BYE is back.
        await until(lambda: connector.metrics.slo.failed == 1 and connector.calls == 1)
        other.stop()
        assert (await calling).outcome == "stopped"


async def test_a_failure_at_a_calls_very_end_ends_no_other() -> None:
    async with running() as connector:
        other = phone(connector, KEY, listen_s=150.0)
        calling = asyncio.create_task(other.run())
        await until(lambda: connector.metrics.slo.turns == 1)
        with failing_once("callfleet_agent.app.agent_call", "call detail record"):
            assert (await call(connector, KEY)).outcome == "ok"
            await until(lambda: connector.calls == 1)
        assert (await call(connector, KEY)).outcome == "ok"
        other.stop()
        assert (await calling).outcome == "stopped"
