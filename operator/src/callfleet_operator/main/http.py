"""/healthz, /readyz and /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

# For a browser that is led to one of these pages. No Strict-Transport-Security: it must not be sent
# over plain HTTP (RFC 6797, 7.2), and these pages stay inside the cluster.
SAFE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "callfleet",
}


@asynccontextmanager
async def serving(
    port: int, *, ready: Callable[[], list[str]], metrics: Callable[[], bytes]
) -> AsyncIterator[int]:
    """Serves while the context lasts; gives the port. `ready` names what is still missing."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = ready()
        if missing:
            return web.Response(status=503, text=f"not synced: {', '.join(missing)}\n")
        return web.Response(text="ok\n")

    async def show(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show)]
    )
    app.on_response_prepare.append(_be_safe)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, None, port)
        await site.start()
        # Of both families; with port 0 each has a port of its own, and 127.0.0.1 is the IPv4 one.
        yield int(min(runner.addresses, key=len)[1])
    finally:
        await runner.cleanup()


async def _be_safe(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SAFE_HEADERS)
