"""What stands beside an engine: ready, figures and drain, with a server of its protocol."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from callfleet_agent.app.cli.root import callfleet
from callfleet_agent.services.engine_probe import EngineProbe, Pace, Target, probe_app
from ports import free_port

LIMIT_S = 60.0  # for everything that comes by itself: tests share a machine
PACE = Pace(retry_s=0.02, ask_again_s=0.05, routes_s=0.01, drain_every_s=0.02)


@dataclass
class FakeEngine:
    """An OpenAI-compatible server as vLLM and llama-server are, with faults."""

    loaded: bool = True
    chat: bool = True
    version: dict[str, str] = field(default_factory=lambda: {"version": "0.11.0"})
    running: float = 0.0
    asked: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._stream)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        app.router.add_get("/version", self._told)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request) if self.chat else web.Response(status=400)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body["model"])
        if not self.loaded:
            return web.Response(status=503)
        text = 'data: {"choices": []}\n\ndata: [DONE]\n\n'
        return web.Response(text=text, content_type="text/event-stream")

    async def _transcribe(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.asked.append(str(form["model"]))
        return web.json_response({"text": ""}, status=200 if self.loaded else 503)

    async def _told(self, _: web.Request) -> web.Response:
        return web.json_response(self.version)

    async def _metrics(self, _: web.Request) -> web.Response:
        text = f'# HELP x\nvllm:num_requests_running{{model="m"}} {self.running}\nother 5\n'
        return web.Response(text=text)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def watching(
    engine: FakeEngine,
    stage: Literal["llm", "asr"] = "llm",
    *,
    needed: bool = True,
    drain_s: float = LIMIT_S,
) -> AsyncIterator[tuple[EngineProbe, str, aiohttp.ClientSession]]:
    async with served(engine.app()) as url, aiohttp.ClientSession() as session:
        target = Target(
            "vllm",
            stage,
            f"{url}/v1",
            "m",
            "vllm:num_requests_running",
            drain_s,
        )
        probe = EngineProbe(target, session, PACE, needed=needed)
        async with served(probe_app(probe)) as own:
            work = asyncio.create_task(probe.run())
            try:
                yield probe, own, session
            finally:
                work.cancel()
                await asyncio.wait([work])


async def status(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as response:
        return response.status


async def until(wanted: Callable[[], Awaitable[bool]], seconds: float = LIMIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not await wanted():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)


async def until_status(session: aiohttp.ClientSession, url: str, wanted: int) -> None:
    async def reached() -> bool:
        return await status(session, url) == wanted

    await until(reached)


async def until_listening(session: aiohttp.ClientSession, url: str) -> None:
    async def answered() -> bool:
        try:
            return await status(session, url) == 200
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.03)
            return False

    await until(answered, 3 * LIMIT_S)  # a process starts


async def test_ready_only_after_a_real_answer_and_only_as_long_as_there_are_any() -> None:
    engine = FakeEngine(loaded=False)
    async with watching(engine) as (_, own, session):

        async def asked() -> bool:
            return bool(engine.asked)

        await until(asked)
        assert await status(session, f"{own}/readyz") == 503
        engine.loaded = True
        await until_status(session, f"{own}/readyz", 200)
        engine.loaded = False
        await until_status(session, f"{own}/readyz", 503)
        engine.loaded = True
        await until_status(session, f"{own}/readyz", 200)
    assert set(engine.asked) == {"m"}


@pytest.mark.parametrize("chat", [True, False])
async def test_the_figures_of_an_answer(chat: bool) -> None:
    began = time.monotonic()
    async with watching(FakeEngine(chat=chat)) as (_, own, session):
        await until_status(session, f"{own}/readyz", 200)
        async with session.get(f"{own}/figures") as response:
            told = await response.json()
    assert told["engineVersion"] == "0.11.0"
    assert 0 < told["firstResultMs"] < milliseconds_since(began)
    assert told["realTimeFactor"] is None


def milliseconds_since(began: float) -> float:
    """One of several answers took less than all of them."""
    return 1000 * (time.monotonic() - began)


async def test_the_figures_of_a_recognition() -> None:
    began = time.monotonic()
    async with watching(FakeEngine(version={}), "asr") as (probe, own, session):
        await until_status(session, f"{own}/readyz", 200)
        assert probe.figures()["engineVersion"] == ""
    first, factor = probe.first_result_ms, probe.real_time_factor
    assert first is not None
    assert factor is not None
    assert 0 < first < milliseconds_since(began)
    assert factor == pytest.approx(first / 1000, abs=0.001)  # it asks for a second of sound


async def test_a_drain_waits_for_the_last_request() -> None:
    engine = FakeEngine(running=2.0)
    async with watching(engine) as (_, own, session):
        await until_status(session, f"{own}/readyz", 200)
        drain = asyncio.create_task(status(session, f"{own}/drain"))
        await until_status(session, f"{own}/readyz", 503)
        await asyncio.sleep(0.1)
        assert not drain.done()
        engine.running = 0.0
        assert await asyncio.wait_for(drain, LIMIT_S) == 200


async def test_a_drain_does_not_wait_for_ever() -> None:
    async with watching(FakeEngine(running=1.0), drain_s=0.1) as (_, own, session):
        assert await asyncio.wait_for(status(session, f"{own}/drain"), LIMIT_S) == 200


async def test_beside_a_worker_of_several_nodes_nothing_is_asked() -> None:
    engine = FakeEngine(loaded=False, running=1.0)
    async with watching(engine, needed=False) as (_, own, session):
        assert await status(session, f"{own}/readyz") == 200
        assert await asyncio.wait_for(status(session, f"{own}/drain"), LIMIT_S) == 200
    assert engine.asked == []


async def test_the_command_has_metrics_for_all_on_a_port_with_nothing_else() -> None:
    own, for_all = free_port("127.0.0.1"), free_port("127.0.0.1")
    async with served(FakeEngine(running=2.0).app()) as url, aiohttp.ClientSession() as session:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "callfleet_agent.main", "serve", "engine-probe",
            "--engine", "vllm", "--stage", "asr", "--url", f"{url}/v1", "--model", "m",
            "--http", f"127.0.0.1:{own}", "--metrics", f"127.0.0.1:{for_all}",
        )  # fmt: skip
        try:
            await until_listening(session, f"http://127.0.0.1:{own}/readyz")
            for path in ("/drain", "/readyz", "/figures", "/v1/models"):
                assert await status(session, f"http://127.0.0.1:{for_all}{path}") == 404
            async with session.get(f"http://127.0.0.1:{for_all}/metrics") as answer:
                assert (answer.status, answer.headers["Server"]) == (200, "callfleet")
                assert 'vllm:num_requests_running{model="m"} 2.0' in await answer.text()
            assert await status(session, f"http://127.0.0.1:{own}/metrics") == 404
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.parametrize("option", ["--http", "--metrics"])
async def test_an_address_that_is_none_is_named(option: str) -> None:
    command = ["serve", "engine-probe", "--engine", "vllm", "--stage", "llm", "--model", "m"]
    words = [*command, "--url", "http://127.0.0.1:9/v1", option, "8083"]
    done = await asyncio.to_thread(CliRunner().invoke, callfleet, words)
    assert done.exit_code != 0
    assert f"{option}: '8083' is no address" in done.output


async def test_an_engine_that_is_away() -> None:
    async with aiohttp.ClientSession() as session:
        target = Target("vllm", "llm", "http://127.0.0.1:9/v1", "m", "x", 2 * LIMIT_S)
        probe = EngineProbe(target, session, PACE)
        work = asyncio.create_task(probe.run())
        await asyncio.sleep(0.1)
        assert not probe.ready
        await asyncio.wait_for(probe.drain(), LIMIT_S)
        work.cancel()
        await asyncio.wait([work])
