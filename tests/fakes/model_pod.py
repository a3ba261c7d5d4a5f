"""A model server as a pod: OpenAI's protocol, spoken by espeak-ng at the pace of speech.

    python -m fakes.model_pod [--port 8000] [--dies-when-it-hears]

It says on standard output what it was asked for, and dies at once when it is told to end.
"""

import argparse
import asyncio
import os
import signal
from typing import Final

import orjson
from aiohttp import web

from callfleet_agent.audio import Pcm24k
from callfleet_agent.audio.resample import resample
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from fakes.model_server import FakeOpenAI

PIECE_S: Final = 0.1


class SpeakingModel(FakeOpenAI):
    """Speaks what it is given, not faster than a person would."""

    def __init__(self, *, dies_when_it_hears: bool = False) -> None:
        super().__init__()
        self._voice = EspeakSynthesiser("en-us", 165)
        self._dies_when_it_hears = dies_when_it_hears

    def application(self) -> web.Application:
        """Its web application, to be served by others."""
        application = self._application()
        application.router.add_get("/v1/models", self._models)
        return application

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        print("heard", flush=True)
        if self._dies_when_it_hears:
            os._exit(1)
        return await super()._transcribe(request)

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        text = orjson.loads(await request.read())["input"]
        sound = resample(await self._voice.speech(text, private=True), Pcm24k)
        print("speaking", flush=True)
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        step = int(PIECE_S * Pcm24k.rate)
        for start in range(0, len(sound), step):
            await response.write(sound.slice(start, start + step).data)
            await asyncio.sleep(PIECE_S)
        await response.write_eof()
        print("spoke", flush=True)
        return response


def main() -> None:
    """Until it is killed."""
    parser = argparse.ArgumentParser(prog="python -m fakes.model_pod")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--dies-when-it-hears", action="store_true")
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    model = SpeakingModel(dies_when_it_hears=told.dies_when_it_hears)
    web.run_app(
        model.application(), port=told.port, access_log=None, print=None, handle_signals=False
    )


if __name__ == "__main__":
    main()
