"""/healthz, /readyz and /metrics of one process."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from callfleet_agent.services.errors import ServicesError


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
    """Listen; the caller cleans the runner up.

    Raises:
        ServicesError: the address cannot be used.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ServicesError(f"cannot listen for HTTP on {host}:{port}: {error.strerror}") from error
    return runner
