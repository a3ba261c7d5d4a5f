"""Language models that speak the OpenAI protocol: OpenAI itself, vLLM, llama.cpp's server.

Chat completions, streamed (https://platform.openai.com/docs/api-reference/chat/create). The stream
is whole when `[DONE]` or a finish_reason has come; one that ends before that was cut.

Tools are named in the text of an answer, which every server can do; vLLM and llama.cpp have tool
calls of the protocol only where they were started for it. One that comes nevertheless is given as
the text that it stands for, so that there is one way to judge it.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import orjson

from callfleet_agent.chain import Fault
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.http import HttpClient, expect
from callfleet_agent.providers.ports import Connected, Cut, Prompt
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.sse import EventReader

_DONE = b"[DONE]"
_LONGEST_CALL: Final = 4096
_CUTS: Final = {"length": Cut.LENGTH, "content_filter": Cut.FILTER}
# vLLM's word for a request that was taken from it; other servers use the second one.
_BROKEN: Final = frozenset({"abort", "error"})


class OpenAIResponder:
    """One model at one provider."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._http = HttpClient(settings)

    async def start(self) -> None:
        """Nothing to load."""

    async def warm(self) -> None:
        await self._http.warm()

    async def stop(self) -> None:
        await self._http.close()

    async def answer(self, prompt: Prompt, connected: Connected) -> AsyncIterator[str | Cut]:
        """The answer's text as it comes."""
        reader, calls, whole = EventReader(), _Calls(), False
        cut: Cut | None = None
        headers = {"Accept": "text/event-stream"}
        request = self._http.post(
            "/chat/completions", connected, json_body=self._body(prompt), headers=headers
        )
        async with request as response:
            expect(response, "text/event-stream")
            async for chunk in response.content.iter_any():
                for data in _events(reader, chunk):
                    text, ends = _read(data, calls)
                    whole, cut = whole or ends is not None, _CUTS.get(ends or "", cut)
                    if text:
                        yield text
                    if data == _DONE:
                        if cut is not None:
                            yield cut
                        return
        if not whole:
            raise ProviderError(Fault.TRUNCATED)
        if cut is not None:
            yield cut

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        hosted = self._settings.engine == "openai"
        body: dict[str, Any] = {
            "messages": [{"role": line.role, "content": line.text} for line in prompt.messages],
            "stream": True,
            # OpenAI has replaced max_tokens; the others know it longest under that name.
            "max_completion_tokens" if hosted else "max_tokens": prompt.max_tokens,
        }
        if self._settings.model is not None:
            body["model"] = self._settings.model
        return body


def _events(reader: EventReader, chunk: bytes) -> list[bytes]:
    try:
        return reader.feed(chunk)
    except ValueError:
        raise ProviderError(Fault.MALFORMED) from None


class _Calls:
    """Tool calls of the protocol, which come in pieces."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._arguments: dict[int, str] = {}

    def take(self, pieces: list[dict[str, Any]]) -> None:
        for piece in pieces:
            index, function = int(piece.get("index") or 0), piece.get("function") or {}
            self._names[index] = self._names.get(index, "") + (function.get("name") or "")
            arguments = self._arguments.get(index, "") + (function.get("arguments") or "")
            self._arguments[index] = arguments
            if index > 8 or len(arguments) + len(self._names[index]) > _LONGEST_CALL:
                raise ProviderError(Fault.MALFORMED)

    def text(self) -> str:
        """Each as `<name {arguments}>` on a line of its own, once."""
        lines = [f"<{name} {self._arguments[at]}>" for at, name in self._names.items()]
        self._names, self._arguments = {}, {}
        return "".join("\n" + " ".join(line.split()) + "\n" for line in lines)


def _read(data: bytes, calls: _Calls) -> tuple[str, str | None]:
    """The text of one chunk, and why the answer ends with it, if it does."""
    if data == _DONE:
        return calls.text(), ""
    try:
        chunk = orjson.loads(data)
        if "error" in chunk:
            raise ProviderError(Fault.SERVER_ERROR)
        choices = chunk["choices"]
        if not choices:  # the usage comes in a chunk of its own
            return "", None
        choice = choices[0]
        delta = choice.get("delta", {})
        text = delta.get("content") or ""
        if not isinstance(text, str):
            raise ProviderError(Fault.MALFORMED)
        calls.take(delta.get("tool_calls") or [])
        ends = choice.get("finish_reason")
        if ends in _BROKEN:
            raise ProviderError(Fault.TRUNCATED)
        return (text, None) if ends is None else (text + calls.text(), str(ends))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise ProviderError(Fault.MALFORMED) from None
