"""/healthz, /readyz and /metrics of one process."""

from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from callfleet_agent.services.errors import ServicesError

# For a browser that is led to one of these pages. No Strict-Transport-Security: it must not be sent
# over plain HTTP (RFC 6797, 7.2), and these pages stay inside the cluster.
SAFE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "callfleet",
}


def health_app(
    registry: CollectorRegistry,
    unhealthy: Callable[[], str | None],
    not_ready: Callable[[], str | None],
) -> web.Application:
    """The web application; the callables give a reason, or None when all is well."""

    def answer(reason: str | None) -> web.Response:
        status = 200 if reason is None else 503
        return web.Response(status=status, text=f"{reason or 'ok'}\n")

    async def healthz(_: web.Request) -> web.Response:
        return answer(unhealthy())

    async def readyz(_: web.Request) -> web.Response:
        return answer(not_ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


async def serve_http(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Listen, and have every answer carry SAFE_HEADERS; the caller cleans the runner up.

    Raises:
        ServicesError: the address cannot be used.
    """
    app.on_response_prepare.append(_be_safe)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ServicesError(f"cannot listen for HTTP on {host}:{port}: {error.strerror}") from error
    return runner


async def _be_safe(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SAFE_HEADERS)
