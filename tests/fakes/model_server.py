"""Model servers that really listen and speak the documented wire formats, with faults.

FakeOpenAI is OpenAI's protocol as OpenAI, vLLM and llama.cpp speak it (chat completions with
`stream`, audio transcriptions, audio speech); FakeElevenLabs is the streaming text-to-speech of
ElevenLabs. The shapes are those of their API references, with made-up content.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import orjson
from aiohttp import web

KEY = "key-of-a-test"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a request meets. `after`: pieces that come before a stall or a cut."""

    kind: str
    after: int = 0
    status: int = 0
    retry_after: str | None = None

    @classmethod
    def error(cls, status: int, retry_after: str | None = None) -> "Trouble":
        return cls("error", status=status, retry_after=retry_after)

    @classmethod
    def stall(cls, after: int) -> "Trouble":
        """Nothing more comes after so many pieces; with 0 the first never comes."""
        return cls("stall", after=after)

    @classmethod
    def cut(cls, after: int) -> "Trouble":
        """The connection is cut after so many pieces."""
        return cls("cut", after=after)

    @classmethod
    def early_end(cls, after: int) -> "Trouble":
        """The answer ends well, as far as HTTP goes, after so many pieces."""
        return cls("end", after=after)

    @classmethod
    def wrong_content(cls) -> "Trouble":
        """A page for people, with status 200."""
        return cls("wrong")

    @classmethod
    def garbage(cls) -> "Trouble":
        """The right kind of content, and nonsense in it."""
        return cls("garbage")


class _Server:
    """`async with … as server:` then `server.url`; set `trouble` and `first_s`, look at
    `requests`. With `tls` set before, it is https."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self.first_s = 0.0
        self.gap_s = 0.0
        self.key: str | None = None
        self.requests: list[dict[str, Any]] = []
        self.listed = 0  # how often its models were asked for
        self.callers: set[Any] = set()  # addresses; a kept connection keeps its own
        self.abandoned = 0  # requests that were given up while they were answered
        self.was_left = asyncio.Event()
        self.url = ""
        self.tls: ssl.SSLContext | None = None
        self._stalling = asyncio.Event()
        self._runner: web.AppRunner | None = None

    def _application(self) -> web.Application:
        raise NotImplementedError

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self.listed += 1
        self._called_by(request)
        if self.key is not None and not self._has_key(request):
            return _error(401)
        return web.json_response({"object": "list", "data": [{"id": "made-up"}] * 200})

    def _called_by(self, request: web.Request) -> None:
        assert request.transport is not None
        self.callers.add(request.transport.get_extra_info("peername"))

    async def __aenter__(self) -> Self:
        application = self._application()
        application.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'http' if self.tls is None else 'https'}://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Dies: connections are cut, new ones are refused."""
        runner, self._runner = self._runner, None
        if runner is not None:
            server = runner.server
            for connection in [] if server is None else list(server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()

    async def _refusal(self, request: web.Request) -> web.StreamResponse | None:
        self._called_by(request)
        if self.first_s:
            await asyncio.sleep(self.first_s)
        trouble = self.trouble
        if self.key is not None and not self._has_key(request):
            return _error(401)
        if trouble is not None and trouble.kind == "error":
            return _error(trouble.status, trouble.retry_after)
        if trouble is not None and trouble.kind == "wrong":
            return web.Response(text="<html>Bad gateway</html>", content_type="text/html")
        return None

    def _has_key(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.key}"

    async def _stream(
        self, request: web.Request, content_type: str, pieces: list[bytes]
    ) -> web.StreamResponse:
        try:
            return await self._streamed(request, content_type, pieces)
        except (asyncio.CancelledError, ConnectionError):
            self.abandoned += 1
            self.was_left.set()
            raise

    async def _streamed(
        self, request: web.Request, content_type: str, pieces: list[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        trouble = self.trouble
        for number, piece in enumerate([*pieces, None]):
            if trouble is not None and trouble.after == number:
                if trouble.kind == "stall":
                    await self._stalling.wait()
                if trouble.kind == "cut":
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                if trouble.kind == "end":
                    break
            if piece is not None:
                await response.write(piece)
                await asyncio.sleep(self.gap_s)
        await response.write_eof()
        return response


class FakeOpenAI(_Server):
    """`answers` are spoken by the model in turn, word by word; `heard` is what it transcribes.
    `calls` are tool calls of the protocol (name and arguments) that it makes instead; `finish`
    says why an answer ends."""

    def __init__(self, *answers: str, heard: str = "where is my credit card") -> None:
        super().__init__()
        self.answers = list(answers) or ["Your card is on its way."]
        self.heard = heard
        self.calls: list[tuple[str, str]] = []
        self.finish = "stop"
        self.speech = sine(0.5, 24000)

    @property
    def base(self) -> str:
        """What a base URL of this protocol is."""
        return f"{self.url}/v1"

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._chat)
        application.router.add_post("/v1/audio/transcriptions", self._transcribe)
        application.router.add_post("/v1/audio/speech", self._speech)
        return application

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(orjson.loads(await request.read()))
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        if self.trouble is not None and self.trouble.kind == "garbage":
            return await self._stream(request, "text/event-stream", [b"data: {]\n\n"])
        answer = self._answer(self.requests[-1])
        words = answer.split(" ") if answer else []
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": f" {word}" if n else word} for n, word in enumerate(words)]
        deltas += [delta for n, call in enumerate(self.calls) for delta in _call_in_pieces(n, call)]
        events = [_event(_chunk(delta)) for delta in deltas]
        finish = "tool_calls" if self.calls else self.finish
        events += [_event(_chunk({}, finish)), b"data: [DONE]\n\n"]
        return await self._stream(request, "text/event-stream; charset=utf-8", events)

    def _answer(self, _: dict[str, Any]) -> str:
        """What is said to a request."""
        if self.calls:
            return ""
        return self.answers[min(len(self.requests), len(self.answers)) - 1]

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        with file.file:
            self.requests.append({**fields, "file": file.file.read()})
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        if self.trouble is not None and self.trouble.kind == "garbage":
            return web.Response(body=b'{"text": 3}', content_type="application/json")
        body = orjson.dumps({"text": self.heard, "usage": {"type": "duration", "seconds": 2}})
        return await self._stream(request, "application/json", [body[:9], body[9:]])

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(orjson.loads(await request.read()))
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        return await self._stream(request, "audio/pcm", _cut(self.speech))


class FakeElevenLabs(_Server):
    """Speaks a tone."""

    def __init__(self) -> None:
        super().__init__()
        self.speech = sine(0.5, 16000)

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/text-to-speech/{voice}/stream", self._speak)
        return application

    def _has_key(self, request: web.Request) -> bool:
        return request.headers.get("xi-api-key") == self.key

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        voice, form = request.match_info["voice"], request.query.get("output_format")
        self.requests.append({**body, "voice": voice, "output_format": form})
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        return await self._stream(request, "audio/pcm", _cut(self.speech))


def sine(seconds: float, rate: int, hertz: float = 440.0) -> bytes:
    """A tone at -10 dBFS, s16le."""
    at = np.arange(int(seconds * rate)) / rate
    return (10000 * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes()


def _cut(sound: bytes) -> list[bytes]:
    """Pieces of an odd number of bytes, as a network cuts them."""
    return [sound[start : start + 3333] for start in range(0, len(sound), 3333)]


def _call_in_pieces(index: int, call: tuple[str, str]) -> list[dict[str, Any]]:
    """A tool call as it is streamed: its name first, its arguments in pieces."""
    name, arguments = call
    middle = len(arguments) // 2
    first = {"index": index, "id": f"call_{index}", "type": "function"}
    return [
        {"tool_calls": [{**first, "function": {"name": name, "arguments": ""}}]},
        {"tool_calls": [{"index": index, "function": {"arguments": arguments[:middle]}}]},
        {"tool_calls": [{"index": index, "function": {"arguments": arguments[middle:]}}]},
    ]


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1800000000,
        "model": "made-up",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _error(status: int, retry_after: str | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    body = {"error": {"message": "made up", "type": "made_up", "code": None}}
    return web.json_response(body, status=status, headers=headers)


async def collected(pieces: AsyncIterator[Any]) -> list[Any]:
    """All that comes."""
    return [piece async for piece in pieces]
