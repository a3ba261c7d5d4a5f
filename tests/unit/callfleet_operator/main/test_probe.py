"""Whether an external engine answers, and what is told about it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]

from callfleet_operator.main.probe import HttpProbe
from callfleet_operator.model import ProviderPool
from callfleet_operator.ports.probe import Figures, Progress
from identities import Authority


def patient() -> HttpProbe:
    """Nothing here is about its limits but the test that says so."""
    return HttpProbe(limit_s=60.0, pod_limit_s=60.0)


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
async def engine(
    status: int, seen: list[web.Request], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/v1" if tls is None else f"https://localhost:{port}/v1"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "ok"),
    [(200, True), (404, True), (302, True), (401, False), (403, False), (503, False)],
)
async def test_what_an_answer_means(status: int, ok: bool) -> None:
    probe = patient()
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
    probe = patient()
    seen: list[web.Request] = []
    async with engine(200, seen) as url:
        await probe.probe(pool(url, "elevenlabs"), "k")
    await probe.close()
    assert seen[0].headers["xi-api-key"] == "k"
    assert "Authorization" not in seen[0].headers


async def test_an_engine_that_hangs_is_given_up() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_get("/{path:.*}", hang)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port, probe = runner.addresses[0][1], HttpProbe(limit_s=0.1, pod_limit_s=0.1)
    outcome = await probe.probe(pool(f"http://127.0.0.1:{port}/v1"), None)
    assert (outcome.ok, outcome.message) == (False, "the engine did not answer within 0.1 s")
    assert await probe.figures("127.0.0.1", port) is None
    await probe.close()
    await runner.cleanup()


async def test_nobody_there() -> None:
    probe = patient()
    outcome = await probe.probe(pool("http://127.0.0.1:1"), None)
    await probe.close()
    assert not outcome.ok
    assert "could not be reached" in outcome.message


# --- engines behind a CA of one's own -----------------------------------------------------------
def https(folder: Path, authority: Authority, most: ssl.TLSVersion) -> ssl.SSLContext:
    files = authority.issue(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.maximum_version = most
    return context


def pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("ca", "most", "ok", "message"),
    [
        ("its own", ssl.TLSVersion.TLSv1_3, True, ""),
        ("another's", ssl.TLSVersion.TLSv1_3, False, "spec.external.caSecretName"),
        ("none", ssl.TLSVersion.TLSv1_3, False, "spec.external.caSecretName"),
        ("no pem", ssl.TLSVersion.TLSv1_3, False, "holds no CA"),
        ("its own", ssl.TLSVersion.TLSv1_2, False, "could not be reached"),
    ],
)
async def test_an_engine_is_verified_by_the_ca_that_the_pool_names(
    tmp_path: Path, ca: str, most: ssl.TLSVersion, ok: bool, message: str
) -> None:
    authority, probe = Authority(), patient()
    given = {"its own": pem(authority), "another's": pem(Authority()), "no pem": "x", "none": None}
    async with engine(200, [], https(tmp_path, authority, most)) as url:
        outcome = await probe.probe(pool(url), "sk-secret", given[ca])
    await probe.close()
    assert (outcome.ok, message in outcome.message) == (ok, True)


@pytest.mark.parametrize(("known", "ok"), [(True, True), (False, False)])
async def test_so_is_a_server_of_ours(tmp_path: Path, known: bool, ok: bool) -> None:
    authority, probe = Authority(), patient()
    files = authority.issue(tmp_path)
    server, told = grpc.aio.server(), health.HealthServicer()
    await told.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(told, server)
    pair = [(files.key.read_bytes(), files.certificate.read_bytes())]
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials(pair))
    await server.start()
    ca = pem(authority if known else Authority())
    outcome = await probe.probe(pool(f"https://localhost:{port}", "whisper"), None, ca)
    await probe.close()
    await server.stop(None)
    assert outcome.ok is ok


# --- servers that speak our gRPC -----------------------------------------------------------------
@asynccontextmanager
async def speaking(status: Any) -> AsyncIterator[str]:
    """A server with the health service, or with `status` None one without."""
    server, told = grpc.aio.server(), health.HealthServicer()
    if status is not None:
        await told.set("", status)
        health_pb2_grpc.add_HealthServicer_to_server(told, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("status", "ok", "message"),
    [
        (health_pb2.HealthCheckResponse.SERVING, True, ""),
        (health_pb2.HealthCheckResponse.NOT_SERVING, False, "not serving"),
        (None, True, ""),
    ],
)
@pytest.mark.parametrize("name", ["whisper", "vosk", "piper"])
async def test_a_server_of_ours_that_somebody_else_runs(
    name: str, status: Any, ok: bool, message: str
) -> None:
    probe = patient()
    async with speaking(status) as url:
        outcome = await probe.probe(pool(url, name), None)
    await probe.close()
    assert outcome.ok is ok
    assert message in outcome.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://[::1]:1"])
async def test_no_server_of_ours_there(url: str) -> None:
    probe = patient()
    outcome = await probe.probe(pool(url, "piper"), None)
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
    probe = patient()
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
    probe = patient()
    assert await probe.figures("::1", 9) is None
    assert await probe.progress("127.0.0.1", 9) is None
    await probe.close()
    assert await told_by_a_pod({}) == (None, None)
