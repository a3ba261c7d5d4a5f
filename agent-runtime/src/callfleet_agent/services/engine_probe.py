"""Stands beside an engine of another project's image: asks it real questions, and lets it end well.

Ready only after a real inference was answered, and as long as later ones are. What the first ones
took is the warm-up benchmark. A drain answers when no request runs any more.
"""

import asyncio
import io
import re
import statistics
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web

ROUNDS = 3
_QUESTION = "Say yes."
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=2)
_RATE, _SECONDS = 16000, 1.0
_FAILURES = (TimeoutError, ValueError, aiohttp.ClientError)


@dataclass(frozen=True, slots=True)
class Target:
    """`url` ends with the OpenAI protocol's /v1. `running_metric` is its gauge of requests."""

    engine: str
    stage: Literal["llm", "asr"]
    url: str
    model: str
    running_metric: str
    drain_s: float = 60.0

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")


@dataclass
class Pace:
    """How long is waited, in seconds: between tries, between later looks, before a drain looks."""

    retry_s: float = 2.0
    ask_again_s: float = 60.0
    routes_s: float = 5.0
    drain_every_s: float = 0.5
    now: Callable[[], float] = time.monotonic


@dataclass
class EngineProbe:
    """One engine, watched. `needed` is False beside a worker of several nodes, which has no API."""

    target: Target
    session: aiohttp.ClientSession
    pace: Pace = field(default_factory=Pace)
    needed: bool = True
    ready: bool = False
    draining: bool = False
    version: str = ""
    first_result_ms: float | None = None
    real_time_factor: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while self.needed:
            if self.first_result_ms is None:
                self.ready = await self._benchmark()
            else:
                self.ready = await self._ask() is not None
            await asyncio.sleep(self.pace.ask_again_s if self.ready else self.pace.retry_s)

    async def drain(self) -> None:
        """Until no request runs, or the time for that is over. New ones stop before: the pod is
        not ready from now on, and proxies are given a moment to hear of it.
        """
        self.draining = True
        if not self.needed:
            return
        ends = self.pace.now() + self.target.drain_s
        await asyncio.sleep(self.pace.routes_s)
        while True:
            if self.pace.now() >= ends or await self._running() == 0:
                return
            await asyncio.sleep(self.pace.drain_every_s)

    def figures(self) -> dict[str, Any]:
        return {
            "engineVersion": self.version,
            "firstResultMs": self.first_result_ms,
            "realTimeFactor": self.real_time_factor,
        }

    async def _benchmark(self) -> bool:
        """The first answer warms up and is not counted."""
        if await self._ask() is None:
            return False
        took = [took for _ in range(ROUNDS) if (took := await self._ask()) is not None]
        if not took:
            return False
        middle = statistics.median(took)
        self.first_result_ms = round(middle * 1000, 1)
        if self.target.stage == "asr":
            # All of the sound is there when it asks, so the first result is the whole work.
            self.real_time_factor = round(middle / _SECONDS, 3)
        self.version = await self._version()
        return True

    async def _ask(self) -> float | None:
        """Seconds until the first result (of an answer) or until all of it (of a recognition)."""
        ask = self._first_token if self.target.stage == "llm" else self._recognise
        began = self.pace.now()
        try:
            return self.pace.now() - began if await ask() else None
        except _FAILURES:
            return None

    async def _first_token(self) -> bool:
        """A model without a chat template answers completions only."""
        asked = {"model": self.target.model, "max_tokens": 4, "stream": True, "temperature": 0}
        messages = [{"role": "user", "content": _QUESTION}]
        chat = await self._streams("/chat/completions", {**asked, "messages": messages})
        return chat or await self._streams("/completions", {**asked, "prompt": _QUESTION})

    async def _streams(self, path: str, body: dict[str, Any]) -> bool:
        url = f"{self.target.url}{path}"
        async with self.session.post(url, json=body, timeout=_TIMEOUT) as response:
            if response.status != 200:
                return False
            async for line in response.content:
                if line.startswith(b"data:") and b"[DONE]" not in line:
                    return True
            return False

    async def _recognise(self) -> bool:
        form = aiohttp.FormData()
        form.add_field("model", self.target.model)
        form.add_field("file", _silence(), filename="silence.wav", content_type="audio/wav")
        url = f"{self.target.url}/audio/transcriptions"
        async with self.session.post(url, data=form, timeout=_TIMEOUT) as response:
            if response.status != 200:
                return False
            return "text" in await response.json(content_type=None)

    async def _version(self) -> str:
        """vLLM tells it at /version, llama-server at /props."""
        for path, name in (("/version", "version"), ("/props", "build_info")):
            told = await self._told(path)
            if told.get(name):
                return str(told[name])[:64]
        return ""

    async def _told(self, path: str) -> dict[str, Any]:
        try:
            async with self.session.get(f"{self.target.root}{path}", timeout=_TIMEOUT) as response:
                told = await response.json(content_type=None) if response.status == 200 else None
        except _FAILURES:
            return {}
        return told if isinstance(told, dict) else {}

    async def _running(self) -> float:
        """Requests that run, by the engine's own gauge; none when it cannot be asked any more."""
        gauge = re.compile(rf"^{re.escape(self.target.running_metric)}(?:{{[^}}]*}})? (\S+)", re.M)
        try:
            async with self.session.get(
                f"{self.target.root}/metrics", timeout=_TIMEOUT
            ) as response:
                return sum(float(value) for value in gauge.findall(await response.text()))
        except _FAILURES:
            return 0.0


def probe_app(probe: EngineProbe) -> web.Application:
    """/readyz, /figures and /drain."""

    async def readyz(_: web.Request) -> web.Response:
        good = (probe.ready or not probe.needed) and not probe.draining
        reason = "draining" if probe.draining else "the engine has not answered a request"
        return web.Response(status=200 if good else 503, text="ok\n" if good else f"{reason}\n")

    async def figures(_: web.Request) -> web.Response:
        return web.json_response(probe.figures())

    async def drain(_: web.Request) -> web.Response:
        await probe.drain()
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/figures", figures)
    app.router.add_get("/drain", drain)
    return app


def _silence() -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(bytes(int(_RATE * _SECONDS) * 2))
    return written.getvalue()
