"""The demo bank inside another process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from callfleet_agent.app.errors import AppError
from callfleet_agent.banking import DemoCustomer, demo_customers, serve_demo_bank


@asynccontextmanager
async def demo_bank(host: str, port: int, status: str) -> AsyncIterator[None]:
    """Serve a demo bank until the block ends.

    Raises:
        AppError: the status is unknown, or the port cannot be used.
    """
    serving = asyncio.ensure_future(serve_demo_bank(host, port, customers(status)))
    await asyncio.sleep(0)
    try:
        done, _ = await asyncio.wait({serving}, timeout=0.2)
        if done:
            await serving
        yield
    except OSError as error:
        raise AppError(f"the demo bank cannot listen on {host}:{port}: {error.strerror}") from error
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await serving


def customers(status: str) -> tuple[DemoCustomer, ...]:
    """The demo bank's customers, whose cards all have this status.

    Raises:
        AppError: the status is unknown.
    """
    try:
        return demo_customers(status)
    except (KeyError, ValueError) as error:
        raise AppError(f"--card-status: {status!r} is no status of a card; {error}") from error
