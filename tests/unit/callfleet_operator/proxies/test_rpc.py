"""JSON-RPC: every way in which a proxy does not answer is one error with a reason."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from callfleet_operator.proxies.errors import RpcError
from callfleet_operator.proxies.rpc import JsonRpc

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[JsonRpc]]
PATIENT_S = 60.0


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """An endpoint on loopback that answers by a handler."""
    runners: list[web.AppRunner] = []
    session = aiohttp.ClientSession()

    async def start(handler: Handler, limit_s: float = PATIENT_S) -> JsonRpc:
        app = web.Application()
        app.router.add_post("/RPC", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        return JsonRpc(session, f"http://{host}:{port}/RPC", limit_s)

    yield start
    await session.close()
    for runner in runners:
        await runner.cleanup()


async def test_a_result(serve: Serve) -> None:
    asked: list[object] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append((request.content_type, json.loads(await request.text())))
        return web.json_response({"jsonrpc": "2.0", "result": {"a": 1}, "id": 1})

    rpc = await serve(handler)
    assert await rpc.call("ds_list", {"full": 1}) == {"a": 1}
    assert await rpc.call("version") == {"a": 1}

    assert asked == [
        (
            "application/json",
            {"jsonrpc": "2.0", "method": "ds_list", "params": {"full": 1}, "id": 1},
        ),
        ("application/json", {"jsonrpc": "2.0", "method": "version", "id": 2}),
    ]


@pytest.mark.parametrize(
    ("body", "status", "text", "refused"),
    [
        ('{"error": {"code": 500, "message": "Reload Failed"}}', 500, "m: 500 Reload", True),
        ('{"error": "no"}', 200, "m:", True),
        ("<html>", 404, "no JSON", False),
        ("[]", 200, "no object", False),
    ],
)
async def test_refusals(serve: Serve, body: str, status: int, text: str, refused: bool) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    rpc = await serve(handler)
    with pytest.raises(RpcError, match=text) as caught:
        await rpc.call("m")

    assert caught.value.refused is refused


async def test_a_proxy_that_hangs(serve: Serve) -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    rpc = await serve(handler, 0.3)
    with pytest.raises(RpcError, match=r"m: no answer in 0\.3 s"):
        await rpc.call("m")


async def test_a_proxy_that_breaks_off(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        raise AssertionError

    rpc = await serve(handler)
    with pytest.raises(RpcError, match="m: "):
        await rpc.call("m")


async def test_a_proxy_that_is_away() -> None:
    with socket.socket() as free:  # nobody listens, and nobody else can get it
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(RpcError) as caught:
                await JsonRpc(session, f"http://127.0.0.1:{port}/RPC", PATIENT_S).call("m")

    assert "127.0.0.1" not in str(caught.value)
