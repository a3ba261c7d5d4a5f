"""Servers of engines, in the foreground: `callfleet serve asr` and `callfleet serve tts`."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import Any

from callfleet_agent.app import logs
from callfleet_agent.app.errors import AppError
from callfleet_agent.app.settings import log_level
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.speech.server import ServerSettings, SpeechServer


def serve_asr(options: Mapping[str, Any]) -> None:
    """Until SIGTERM or Ctrl-C.

    Raises:
        AppError: the engine, its model or an address cannot be used.
    """
    model, language = options["model"], options["language"]

    def make() -> Any:
        if options["engine"] == "vosk":
            from callfleet_agent.services.speech.recogniser_vosk import VoskRecogniser

            return VoskRecogniser(model, language)
        from callfleet_agent.services.speech.recogniser_whisper import WhisperRecogniser

        usual = "float16" if options["device"] == "cuda" else "int8"
        return WhisperRecogniser(
            model,
            options["device"],
            options["compute_type"] or usual,
            language,
            options["concurrency"],
        )

    _serve(options, make)


def serve_tts(options: Mapping[str, Any]) -> None:
    """Until SIGTERM or Ctrl-C.

    Raises:
        AppError: the engine, its voice or an address cannot be used.
    """

    def make() -> Any:
        from callfleet_agent.services.speech.voice_piper import PiperVoice

        return PiperVoice(options["model"].absolute(), options["piper_python"])

    _serve(options, make)


def _serve(options: Mapping[str, Any], make: Callable[[], Any]) -> None:
    logs.configure("callfleet-engine", log_level())
    settings = ServerSettings(
        engine=options["engine"],
        listen=parse_address(options["listen"], "--listen"),
        http=parse_address(options["http"], "--http"),
        at_once=options["concurrency"],
        voice=options.get("voice") or "",
    )
    try:
        asyncio.run(_until_told(SpeechServer(settings, make)))
    except ServicesError as error:
        raise AppError(str(error)) from error


def parse_address(text: str, option: str) -> tuple[str, int]:
    """`0.0.0.0:9090` as host and port.

    Raises:
        AppError: it is no address.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdigit() and int(port) < 65536):
        raise AppError(f"{option}: {text!r} is no address like 0.0.0.0:9090")
    return host, int(port)


async def _until_told(server: SpeechServer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.run(stop)
