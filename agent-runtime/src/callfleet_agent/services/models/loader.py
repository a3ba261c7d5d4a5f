"""`callfleet model fetch`: one fetch, its progress on a port while it lasts."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from callfleet_agent.services.http import serve_http
from callfleet_agent.services.models.address import parse
from callfleet_agent.services.models.fetch import Fetch
from callfleet_agent.services.models.sources import Credentials, source

# A stall is no progress; how long the whole takes is nobody's business but the model's.
_LIMITS = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)


@dataclass(frozen=True)
class Wanted:
    """A model: where it comes from, what it must be, and what opens it (`file` in it)."""

    uri: str
    checksum: str | None = None
    engine: str | None = None
    file: str = ""


async def load(wanted: Wanted, folder: Path, credentials: Path | None, http: str | None) -> None:
    """Raises ModelError, and ServicesError for an address that cannot be used."""
    found = source(parse(wanted.uri), Credentials.read(credentials))
    fetch = Fetch(found, folder, wanted.checksum, wanted.engine, wanted.file)
    async with AsyncExitStack() as stack:
        if http is not None:
            host, _, port = http.rpartition(":")
            runner = await serve_http(progress_app(fetch), host, int(port))
            stack.push_async_callback(runner.cleanup)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=_LIMITS, trust_env=True)
        )
        await fetch.run(session)


def progress_app(fetch: Fetch) -> web.Application:
    """/progress: bytes that are there, and of the whole."""

    async def progress(_: web.Request) -> web.Response:
        return web.json_response(fetch.progress.as_json())

    app = web.Application()
    app.router.add_get("/progress", progress)
    return app
