"""Servers of engines, in the foreground: `callfleet serve asr` and `callfleet serve tts`."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import Any

from callfleet_agent.app import last_words, logs
from callfleet_agent.app.errors import AppError
from callfleet_agent.app.listen import is_loopback, parse_address
from callfleet_agent.app.settings import log_level
from callfleet_agent.identity import TlsFilesError
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
    listen, tls, plain = options["listen"], options["tls"], options["plain_listen"]
    address = parse_address(listen, "--listen")
    if tls is None and not options["plaintext"] and not is_loopback(address[0]):
        raise AppError(
            f"--listen: others can reach {listen}, and without --tls they are answered in the "
            "clear, whoever they are; give --tls DIR, or --plaintext where that is wanted"
        )
    settings = ServerSettings(
        engine=options["engine"],
        listen=address,
        tls=tls,
        plain=parse_address(plain, "--plain-listen") if plain else None,
        http=parse_address(options["http"], "--http"),
        at_once=options["concurrency"],
        drain_s=options["drain_seconds"],
        voice=options.get("voice") or "",
    )
    try:
        asyncio.run(_until_told(SpeechServer(settings, make)))
    except (ServicesError, TlsFilesError) as error:
        last_words.write(last_words.ENGINE_FAILED, str(error))
        raise AppError(str(error)) from error


async def _until_told(server: SpeechServer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.run(stop)
