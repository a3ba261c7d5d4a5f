"""A call whose pipeline fails: its link breaks, so the connector gives it to another worker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.banking import Bank
from callfleet_agent.dialog import DialogSettings
from callfleet_agent.pipeline.call import CallFailedError, Engines, run_call
from callfleet_agent.pipeline.ports import CallLink
from callfleet_agent.pipeline.responder_rules import RuleResponder
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.voice_activity import Floats, VoiceActivityModel
from callfleet_agent.providers import ResponderChain, SynthesiserChain, TranscriberChain
from callfleet_agent.providers.lineup import Lineup
from callfleet_agent.transport.link_server import LinkServer
from fakes.engines import PATIENT, FakeEngine, lineup
from fakes.line import FakeLine

NOISE = Pcm8k.from_samples(np.random.default_rng(1).normal(0, 3000, 1600))


class Broken(VoiceActivityModel):
    """A model that fails as soon as there is something to hear."""

    def run(self, window: Floats, state: Floats) -> tuple[float, Floats]:
        if float(np.abs(window).max()) > 0.1:
            raise ZeroDivisionError("a secret")
        return super().run(window, state)


def engines(model: VoiceActivityModel) -> Engines:
    ears = lineup(FakeEngine(["help"]), limits=PATIENT)
    voices = lineup(FakeEngine([Pcm8k.silence(800)]), limits=PATIENT)
    nobody: Lineup[Any] = Lineup()
    return Engines(
        model=model,
        transcriber=TranscriberChain(lambda: ears),
        responder=RuleResponder(DialogSettings()),
        synthesiser=SynthesiserChain(lambda: voices),
        models=ResponderChain(lambda: nobody),
        by_rules=lambda: True,
        bank=cast("Bank", None),
    )


def handler(
    model: VoiceActivityModel, ended: "asyncio.Future[BaseException | None]"
) -> Callable[[CallLink], Awaitable[None]]:
    async def handle(link: CallLink) -> None:
        try:
            await run_call(link, engines(model), WorkerSettings())
        except BaseException as error:
            ended.set_result(error)
            raise
        ended.set_result(None)

    return handle


async def test_an_ear_that_fails_breaks_the_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.get_running_loop().create_future()
    server = LinkServer(str(tmp_path / "s"), handler(Broken(), ended))
    await server.start()
    with caplog.at_level(logging.ERROR):
        async with FakeLine(tmp_path / "s") as line:
            await line.heard_out()
            saying = asyncio.create_task(line.play(NOISE))
            await line.until_lost()
            await asyncio.gather(saying, return_exceptions=True)
    await server.stop()
    error = await ended
    assert isinstance(error, CallFailedError)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "a secret" not in caplog.text


async def test_a_call_that_is_hung_up_has_not_failed(tmp_path: Path) -> None:
    ended = asyncio.get_running_loop().create_future()
    server = LinkServer(str(tmp_path / "s"), handler(VoiceActivityModel(), ended))
    await server.start()
    async with FakeLine(tmp_path / "s") as line:
        await line.heard_out()
    assert await ended is None
    await server.stop()
