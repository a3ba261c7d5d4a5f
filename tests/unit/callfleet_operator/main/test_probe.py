"""Whether an external engine answers, and what is told about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from callfleet_operator.main.probe import HttpProbe
from callfleet_operator.model import ProviderPool
from callfleet_operator.ports.probe import Figures, Progress


def pool(url: str, engine: str = "openai") -> ProviderPool:
    spec: dict[str, Any] = {"engine": engine, "model": {"name": "m"}}
    spec["external"] = {"baseUrl": url, "secretRef": {"name": "s"}}
    return ProviderPool.model_validate(
        {
            "apiVersion": "callfleet.io/v1alpha1",
            "kind": "ProviderPool",
            "metadata": {"name": "pool"},
            "spec": spec,
        }
    )


@asynccontextmanager
async def engine(status: int, seen: list[web.Request]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "ok"),
    [(200, True), (404, True), (302, True), (401, False), (403, False), (503, False)],
)
async def test_what_an_answer_means(status: int, ok: bool) -> None:
    probe = HttpProbe()
    seen: list[web.Request] = []
    try:
        async with engine(status, seen) as url:
            outcome = await probe.probe(pool(url), "sk-secret")
    finally:
        await probe.close()
    assert outcome.ok is ok
    assert "sk-secret" not in outcome.message
    assert len(seen) == 1
    assert seen[0].path == "/v1/models"
    assert seen[0].headers["Authorization"] == "Bearer sk-secret"


async def test_elevenlabs_has_a_header_of_its_own() -> None:
    probe = HttpProbe()
    seen: list[web.Request] = []
    async with engine(200, seen) as url:
        await probe.probe(pool(url, "elevenlabs"), "k")
    await probe.close()
    assert seen[0].headers["xi-api-key"] == "k"
    assert "Authorization" not in seen[0].headers


async def test_nobody_there() -> None:
    probe = HttpProbe()
    outcome = await probe.probe(pool("http://127.0.0.1:1"), None)
    await probe.close()
    assert not outcome.ok
    assert "could not be reached" in outcome.message


# --- pods of pools: whatever they say is checked -------------------------------------------------
async def told_by_a_pod(answers: dict[str, web.Response]) -> tuple[Figures | None, Progress | None]:
    async def answer(request: web.Request) -> web.Response:
        return answers.get(request.path, web.Response(status=404))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    probe = HttpProbe()
    try:
        return await probe.figures("127.0.0.1", port), await probe.progress("127.0.0.1", port)
    finally:
        await probe.close()
        await runner.cleanup()


async def test_figures_and_progress_of_a_pod() -> None:
    figures = {"engineVersion": "1" * 99, "firstResultMs": 12.6, "realTimeFactor": 0.12345}
    told = await told_by_a_pod(
        {
            "/figures": web.json_response(figures),
            "/progress": web.json_response({"bytes": 3, "totalBytes": 4}),
        }
    )
    assert told == (Figures("1" * 64, 13, 0.123), Progress(3, 4))


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"bytes": true, "totalBytes": -1}'])
async def test_a_pod_that_says_nothing_sensible(text: str) -> None:
    figures, progress = await told_by_a_pod(
        {"/figures": web.Response(text=text), "/progress": web.Response(text=text)}
    )
    assert figures in (None, Figures())
    assert progress is None


async def test_a_pod_that_does_not_answer() -> None:
    probe = HttpProbe()
    assert await probe.figures("::1", 9) is None
    assert await probe.progress("127.0.0.1", 9) is None
    await probe.close()
    assert await told_by_a_pod({}) == (None, None)
