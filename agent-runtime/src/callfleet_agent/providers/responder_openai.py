"""Language models that speak the OpenAI protocol: OpenAI itself, vLLM, llama.cpp's server.

Chat completions, streamed (https://platform.openai.com/docs/api-reference/chat/create). The stream
is whole when `[DONE]` or a finish_reason has come; one that ends before that was cut.
"""

from collections.abc import AsyncIterator
from typing import Any

import orjson

from callfleet_agent.chain import Fault
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.http import HttpClient, expect
from callfleet_agent.providers.ports import Connected, Prompt
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.sse import EventReader

_DONE = b"[DONE]"


class OpenAIResponder:
    """One model at one provider."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._http = HttpClient(settings)

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        await self._http.close()

    async def answer(self, prompt: Prompt, connected: Connected) -> AsyncIterator[str]:
        """The answer's text as it comes."""
        reader, whole = EventReader(), False
        headers = {"Accept": "text/event-stream"}
        request = self._http.post(
            "/chat/completions", connected, json_body=self._body(prompt), headers=headers
        )
        async with request as response:
            expect(response, "text/event-stream")
            async for chunk in response.content.iter_any():
                for data in _events(reader, chunk):
                    if data == _DONE:
                        return
                    text, ends = _read(data)
                    whole = whole or ends
                    if text:
                        yield text
        if not whole:
            raise ProviderError(Fault.TRUNCATED)

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


def _read(data: bytes) -> tuple[str, bool]:
    """The text of one chunk, and whether it is the last one with text."""
    try:
        chunk = orjson.loads(data)
        if "error" in chunk:
            raise ProviderError(Fault.SERVER_ERROR)
        choices = chunk["choices"]
        if not choices:  # the usage comes in a chunk of its own
            return "", False
        choice = choices[0]
        text = choice.get("delta", {}).get("content") or ""
        if not isinstance(text, str):
            raise ProviderError(Fault.MALFORMED)
        return text, choice.get("finish_reason") is not None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ProviderError(Fault.MALFORMED) from None
