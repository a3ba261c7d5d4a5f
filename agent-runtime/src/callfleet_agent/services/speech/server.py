"""The process of one engine: gRPC and HTTP, ready after a real inference, drained by SIGTERM."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]

from callfleet.v1 import asr_pb2_grpc, tts_pb2_grpc
from callfleet_agent.audio import Pcm16k
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.http import health_app, serve_http
from callfleet_agent.services.speech.asr_service import AsrService
from callfleet_agent.services.speech.load import Load
from callfleet_agent.services.speech.tts_service import TtsService

DRAIN_LIMIT_S: Final = 30.0
WARM_UP: Final = "One moment, please."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Addresses as host and port; `at_once` requests run at most."""

    engine: str
    listen: tuple[str, int] = ("0.0.0.0", 9090)  # noqa: S104
    http: tuple[str, int] = ("0.0.0.0", 8080)  # noqa: S104
    at_once: int = 4
    voice: str = ""


class SpeechServer:
    """Loads an engine with `make`, and serves it until told to stop."""

    def __init__(self, settings: ServerSettings, make: Callable[[], Any]) -> None:
        self._settings = settings
        self._make = make
        self._not_ready: str | None = "the model is being loaded"
        self._load = Load(settings.at_once)
        self._threads = ThreadPoolExecutor(settings.at_once, "engine")
        self.port = 0

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Until `stop`, and then until running requests have ended.

        Raises ServicesError when the engine does not load or an address cannot be used.
        """
        app = health_app(self._load.registry, lambda: None, lambda: self._not_ready)
        runner = await serve_http(app, *self._settings.http)
        server, engine = grpc.aio.server(), None
        try:
            engine = await asyncio.get_running_loop().run_in_executor(self._threads, self._make)
            await asyncio.get_running_loop().run_in_executor(self._threads, _warm, engine)
            status = self._add(server, engine)
            host, port = self._settings.listen
            try:
                self.port = server.add_insecure_port(f"{host}:{port}")
            except RuntimeError:
                raise ServicesError(f"cannot listen for gRPC on {host}:{port}") from None
            await server.start()
            self._not_ready = None
            _log.info("the engine is ready", extra={"engine": self._settings.engine})
            ready()
            await stop.wait()
            self._not_ready = "draining"
            await status.enter_graceful_shutdown()
        finally:
            await server.stop(DRAIN_LIMIT_S)
            if engine is not None:
                engine.close()
            self._threads.shutdown(wait=False, cancel_futures=True)
            await runner.cleanup()

    def _add(self, server: grpc.aio.Server, engine: Any) -> health.HealthServicer:
        settings = self._settings
        if hasattr(engine, "begin"):
            asr = AsrService(settings.engine, engine, self._load, self._threads)
            asr_pb2_grpc.add_ASRServiceServicer_to_server(asr, server)  # type: ignore[no-untyped-call]
        else:
            tts = TtsService(settings.voice, engine, self._load, self._threads)
            tts_pb2_grpc.add_TTSServiceServicer_to_server(tts, server)  # type: ignore[no-untyped-call]
        status = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(status, server)
        return status


def _warm(engine: Any) -> None:
    """A real inference: an engine that cannot do it never becomes ready."""
    try:
        if not hasattr(engine, "begin"):
            if not sum(len(piece) for piece in engine.speak(WARM_UP, 1.0)):
                raise ServicesError("the voice gives no sound")
            return
        hearing = engine.begin()
        hearing.partial(Pcm16k.silence(Pcm16k.rate))
        hearing.final()
    except RuntimeError as error:
        engine.close()
        raise ServicesError(f"the engine does not work: {error}") from error
