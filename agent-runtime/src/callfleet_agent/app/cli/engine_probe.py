"""`callfleet serve engine-probe`: what stands beside an engine in its pod."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack, suppress
from typing import Any

import click

from callfleet_agent.app.cli.exits import explained

_EPILOG = """\b
Example:
  callfleet serve engine-probe --engine vllm --stage llm --url http://127.0.0.1:8000/v1 --model m
"""


@click.command("engine-probe", epilog=_EPILOG)
@click.option("--engine", required=True, help="Name of the engine, for logs.")
@click.option("--stage", type=click.Choice(["llm", "asr"]), required=True, help="What it does.")
@click.option("--url", required=True, help="Its base URL, up to /v1.")
@click.option("--model", required=True, help="Name of its model in requests.")
@click.option("--http", default="0.0.0.0:8081", show_default=True, help="Where to listen.")
@click.option(
    "--metrics",
    default="0.0.0.0:8083",
    show_default=True,
    help="Where the engine's /metrics are, and nothing else.",
)
@click.option("--drain-seconds", default=60.0, show_default=True, help="Longest wait at the end.")
@click.option("--running-metric", default="", help="Gauge of requests that run, in /metrics.")
@click.option("--only-index", help="Needed only in the pod with this $POD_INDEX.")
def engine_probe(**options: Any) -> None:
    """Ask an engine real questions: /readyz, /figures, and /drain for its end.

    Its /metrics are told on a port of their own, which all may reach.
    """
    from callfleet_agent.app import logs
    from callfleet_agent.app.settings import log_level

    logs.configure("callfleet-engine-probe", log_level())
    with explained():
        asyncio.run(_serve(options))


async def _serve(options: dict[str, Any]) -> None:
    import aiohttp

    from callfleet_agent.app.listen import parse_address
    from callfleet_agent.services.engine_metrics import EngineMetrics, metrics_app
    from callfleet_agent.services.engine_probe import EngineProbe, Target, probe_app
    from callfleet_agent.services.http import serve_http

    target = Target(
        engine=options["engine"],
        stage=options["stage"],
        url=options["url"].rstrip("/"),
        model=options["model"],
        running_metric=options["running_metric"],
        drain_s=options["drain_seconds"],
    )
    only = options["only_index"]
    needed = only is None or only == os.environ.get("POD_INDEX", only)
    own = parse_address(options["http"], "--http")
    open_to_all = parse_address(options["metrics"], "--metrics")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        probe = EngineProbe(target, session, needed=needed)
        metrics = EngineMetrics(f"{target.root}/metrics", session, needed)
        for app, address in ((probe_app(probe), own), (metrics_app(metrics), open_to_all)):
            runner = await serve_http(app, *address)
            stack.push_async_callback(runner.cleanup)
        work = asyncio.create_task(probe.run())
        try:
            await stop.wait()
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
