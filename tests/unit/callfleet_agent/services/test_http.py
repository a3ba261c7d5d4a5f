"""Health, readiness and metrics."""

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.http import SAFE_HEADERS, health_app, serve_http


async def test_the_three_pages() -> None:
    registry = CollectorRegistry()
    Counter("calls", "Calls", registry=registry).inc()
    app = health_app(registry, lambda: None, lambda: "the workers are not warm yet")
    runner = await serve_http(app, "127.0.0.1", 0)
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            async with client.get("/healthz") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
            async with client.get("/readyz") as answer:
                assert answer.status == 503
                assert await answer.text() == "the workers are not warm yet\n"
            for path in ("/healthz", "/readyz", "/metrics", "/nothing"):
                async with client.get(path) as answer:
                    assert SAFE_HEADERS.items() <= dict(answer.headers).items(), path
            async with client.get("/metrics") as answer:
                assert "calls_total 1.0" in await answer.text()
        with pytest.raises(ServicesError, match=f"127.0.0.1:{port}"):
            await serve_http(health_app(registry, lambda: None, lambda: None), "127.0.0.1", port)
    finally:
        await runner.cleanup()
