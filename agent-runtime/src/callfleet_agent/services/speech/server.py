"""The process of one engine: gRPC and HTTP, ready after a real inference, drained by SIGTERM."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from callfleet.v1 import asr_pb2_grpc, tts_pb2_grpc
from callfleet_agent.identity import TlsFiles
from callfleet_agent.services import recognition, synthesis
from callfleet_agent.services.edge import Edge
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.http import health_app, serve_http
from callfleet_agent.services.ownership import own_namespace
from callfleet_agent.services.policy import pool_policy
from callfleet_agent.services.server import Part, ServiceServer
from callfleet_agent.services.speech.asr_service import AsrService
from callfleet_agent.services.speech.load import Load
from callfleet_agent.services.speech.tts_service import TtsService
from callfleet_agent.services.speech.warm_up import Figures, warm_up
from callfleet_agent.services.tls import server_credentials

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Addresses as host and port; `at_once` requests run at most. With `tls`, the folder of an
    identity, `listen` is mutual TLS, and `plain` is one in the clear beside it; without, `listen`
    is in the clear. At the end running requests have `drain_s` seconds.
    """

    engine: str
    listen: tuple[str, int] = ("0.0.0.0", 9090)  # noqa: S104
    http: tuple[str, int] = ("0.0.0.0", 8080)  # noqa: S104
    at_once: int = 4
    voice: str = ""
    tls: Path | None = None
    plain: tuple[str, int] | None = None
    drain_s: float = 30.0


class SpeechServer:
    """Loads an engine with `make`, and serves it until told to stop."""

    def __init__(
        self,
        settings: ServerSettings,
        make: Callable[[], Any],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._make = make
        self._clock = clock
        self._not_ready: str | None = "the model is being loaded"
        self._figures: Figures | None = None
        self._load = Load(settings.at_once)
        self._threads = ThreadPoolExecutor(settings.at_once, "engine")
        self.port = 0
        self.http_port = 0

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Until `stop`, and then until running requests have ended, or their time for that is over.

        Raises ServicesError when the engine does not load or an address cannot be used, and
        TlsFilesError when the identity cannot be.
        """
        app = health_app(self._load.registry, lambda: None, lambda: self._not_ready)
        app.router.add_get("/figures", self._tell_figures)
        runner = await serve_http(app, *self._settings.http)
        self.http_port = int(runner.addresses[0][1])
        server: ServiceServer | None = None
        engine = None
        try:
            loop = asyncio.get_running_loop()
            engine = await loop.run_in_executor(self._threads, self._make)
            self._figures = await loop.run_in_executor(self._threads, warm_up, engine, self._clock)
            server = self._server(engine)
            self.port = await server.start(*self._settings.listen, plain=self._settings.plain)
            self._not_ready = None
            _log.info("the engine is ready", extra={"engine": self._settings.engine})
            ready()
            await stop.wait()
            self._not_ready = "draining"
        finally:
            if server is not None:
                await server.close(self._settings.drain_s)
            if engine is not None:
                engine.close()
            self._threads.shutdown(wait=False, cancel_futures=True)
            await runner.cleanup()

    async def _tell_figures(self, _: web.Request) -> web.Response:
        if self._figures is None:
            return web.Response(status=503, text="not measured yet\n")
        return web.json_response(self._figures.as_json())

    def _server(self, engine: Any) -> ServiceServer:
        folder = self._settings.tls
        files = TlsFiles.in_folder(folder) if folder is not None else None
        part = self._part(engine)
        edge = Edge(
            rules=pool_policy(_home(files) if files is not None else ""),
            readers=part.readers,
            verifier=None,
            buckets=None,
            watcher=self._load,
            plain=files is None or self._settings.plain is not None,
        )
        return ServiceServer([part], edge, server_credentials(files) if files else None)

    def _part(self, engine: Any) -> Part:
        settings = self._settings
        if hasattr(engine, "begin"):
            return Part(
                recognition.NAME,
                asr_pb2_grpc.add_ASRServiceServicer_to_server,
                AsrService(settings.engine, engine, self._load, self._threads),
                recognition.READERS,
            )
        return Part(
            synthesis.NAME,
            tts_pb2_grpc.add_TTSServiceServicer_to_server,
            TtsService(settings.voice, engine, self._load, self._threads),
            synthesis.READERS,
        )


def _home(files: TlsFiles) -> str:
    """The namespace whose agents are let in. Without one, those of every namespace would be."""
    home = own_namespace(files)
    if not home:
        raise ServicesError(
            f"{files.certificate} names no namespace: a URI like "
            "spiffe://callfleet.io/ns/NAMESPACE/providerpool/NAME is needed"
        )
    return home
