"""An engine's figures on a port for all: what comes through, and what does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from callfleet_agent.services.engine_metrics import FRESH_S, EngineMetrics, metrics_app
from callfleet_agent.services.http import serve_http

GAUGE = "vllm:num_requests_running"
PATIENT = aiohttp.ClientTimeout(total=60)  # tests share a machine


@dataclass
class FakeEngine:
    """Requests and metrics on one port, as vLLM and llama-server have them."""

    status: int = 200
    more: bytes = b""
    stalls: asyncio.Event | None = None
    asked: list[web.Request] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await (self.stalls.wait() if self.stalls else asyncio.sleep(0.02))
        self.at_once -= 1
        registry = CollectorRegistry()
        Gauge(GAUGE, "Requests that run", registry=registry).set(3)
        written, kind = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(
            status=self.status,
            body=written(registry) + self.more,
            headers={"Content-Type": kind, "Location": "/elsewhere"},
        )


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = await serve_http(app, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def shown(
    engine: FakeEngine, **limits: Any
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """The address for all, and a client."""
    async with served(engine.app()) as url, aiohttp.ClientSession() as session:
        metrics = EngineMetrics(f"{url}/metrics", session, **{"timeout": PATIENT, **limits})
        async with served(metrics_app(metrics)) as own:
            yield own, session


async def test_the_engines_figures_come_through() -> None:
    async with (
        shown(FakeEngine()) as (own, session),
        session.get(f"{own}/metrics", headers={"Accept": "application/openmetrics-text"}) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        (family,) = text_string_to_metric_families(await answer.text())
    assert (family.name, family.samples[0].value) == (GAUGE, 3)


async def test_nothing_of_a_request_reaches_the_engine() -> None:
    engine = FakeEngine()
    async with shown(engine) as (own, session):
        private = {"Authorization": "Bearer x", "X-Own": "x"}
        async with session.get(f"{own}/metrics?name=x", headers=private) as answer:
            assert answer.status == 200
    (asked,) = engine.asked
    assert (asked.method, asked.path_qs) == ("GET", "/metrics")
    assert not private.keys() & asked.headers.keys()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/drain", 404),
        ("GET", "/readyz", 404),
        ("GET", "/figures", 404),
        ("GET", "/v1/models", 404),
        ("POST", "/v1/chat/completions", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/metrics/../v1/models", 404),
        ("GET", "/%2e%2e/v1/models", 404),
        ("GET", "//metrics", 404),
        ("POST", "/metrics", 405),
        ("HEAD", "/metrics", 405),
        ("OPTIONS", "/metrics", 405),
    ],
)
async def test_everything_else_is_refused_and_not_asked(
    method: str, path: str, status: int
) -> None:
    """Written by hand: clients tidy paths up before they send them."""
    engine = FakeEngine()
    async with shown(engine) as (own, _):
        host, _, port = own.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert int((await reader.readline()).split()[1]) == status
        writer.close()
        await writer.wait_closed()
    assert engine.asked == []


async def test_however_many_ask_the_engine_is_asked_once_a_second() -> None:
    engine, clock = FakeEngine(), [0.0]
    async with shown(engine, now=lambda: clock[0]) as (own, session):

        async def read() -> int:
            async with session.get(f"{own}/metrics") as answer:
                return answer.status

        assert set(await asyncio.gather(*(read() for _ in range(20)))) == {200}
        clock[0] = FRESH_S
        assert await read() == 200
        assert len(engine.asked) == 1
        clock[0] = FRESH_S + 0.1
        assert set(await asyncio.gather(*(read() for _ in range(20)))) == {200}
    assert (len(engine.asked), engine.most_at_once) == (2, 1)


async def failing(engine: FakeEngine, **limits: Any) -> tuple[int, str]:
    async with shown(engine, **limits) as (own, session), session.get(f"{own}/metrics") as answer:
        if engine.stalls is not None:
            engine.stalls.set()
        return answer.status, (await answer.text()).strip()


async def test_what_the_engine_says_is_bounded() -> None:
    said = b"# x\n" * 100
    assert await failing(FakeEngine(more=said), most_bytes=300) == (
        502,
        "the engine says more than 300 bytes",
    )
    assert (await failing(FakeEngine(more=said), most_bytes=1000))[0] == 200


async def test_the_time_is_bounded() -> None:
    short = aiohttp.ClientTimeout(total=0.05)
    told = await failing(FakeEngine(stalls=asyncio.Event()), timeout=short)
    assert told == (502, "the engine does not answer in time")


@pytest.mark.parametrize("status", [302, 404, 503])
async def test_an_engine_that_has_none_is_no_figure_and_no_redirect_is_followed(
    status: int,
) -> None:
    engine = FakeEngine(status=status)
    assert await failing(engine) == (502, f"the engine answers {status}")
    assert [request.path for request in engine.asked] == ["/metrics"]


async def test_an_engine_that_is_away() -> None:
    async with aiohttp.ClientSession() as session:
        reading = await EngineMetrics("http://127.0.0.1:9/metrics", session).read()
    assert (reading.body, reading.failed) == (b"", "the engine cannot be reached")


async def test_beside_a_worker_of_several_nodes_there_are_none_and_that_is_no_fault() -> None:
    engine = FakeEngine()
    async with (
        shown(engine, needed=False) as (own, session),
        session.get(f"{own}/metrics") as answer,
    ):
        assert (answer.status, await answer.read()) == (200, b"")
    assert engine.asked == []
