"""Connections serve one request after another; servers that promise to keep them and do not: no
provider fails for that."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Dialog
from callfleet_agent.providers import Message, Prompt, ProviderError
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.transcriber_openai import OpenAITranscriber
from callfleet_agent.time_limit import at_most
from fakes.model_server import FakeOpenAI, Trouble, collected
from identities import SERVICE, Authority

STREAM = b'data: {"choices": [{"delta": {"content": "yes"}, "finish_reason": "stop"}]}\n\n'
TEXT = b'{"text": "yes"}'
WITHIN_S = 60.0  # on a busy machine


@dataclass
class FakeClosing:
    """Answers `each` requests on a connection, and hangs up on the next one unanswered."""

    each: int
    kind: bytes
    body: bytes
    connections: int = 0
    requests: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        for _ in range(self.each):
            if not await self._read(reader):
                return
            head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % (self.kind, len(self.body)) + self.body)
        await self._read(reader)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bool:
        """A request; False when none comes any more."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        self.requests += 1
        lengths = [line for line in head.splitlines() if line.lower().startswith(b"content-length")]
        if lengths:
            await reader.readexactly(int(lengths[0].split(b":")[1]))
            return True
        while await reader.readuntil(b"\r\n") != b"0\r\n":  # in chunks
            pass
        await reader.readuntil(b"\r\n")
        return True


@asynccontextmanager
async def listening(fake: FakeClosing) -> AsyncIterator[EngineSettings]:
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield EngineSettings(engine="llamacpp", endpoints=(f"http://127.0.0.1:{port}/v1",))
    server.close()
    for writer in fake.writers:
        writer.close()
    await asyncio.sleep(0)


def nothing() -> None:
    """A connection stands."""


async def answered(engine: OpenAIResponder) -> str:
    return "".join(await collected(engine.answer(Prompt((Message("user", "Hello?"),)), nothing)))


async def heard(engine: OpenAITranscriber) -> str | None:
    utterance = engine.begin(Dialog().grammars()[0], ())
    utterance.feed(Pcm8k.silence(800))
    return (await utterance.recognise(nothing)).text


async def test_an_answer_is_asked_for_again_on_a_new_connection() -> None:
    fake = FakeClosing(1, b"text/event-stream", STREAM)
    async with listening(fake) as settings:
        engine = OpenAIResponder(settings)
        assert [await answered(engine) for _ in range(3)] == ["yes"] * 3
        await engine.stop()
    assert (fake.connections, fake.requests) == (3, 5)


async def test_so_is_what_was_said_with_all_of_its_sound() -> None:
    fake = FakeClosing(1, b"application/json", TEXT)
    async with listening(fake) as settings:
        engine = OpenAITranscriber(settings)
        assert [await heard(engine) for _ in range(2)] == ["yes"] * 2
        await engine.stop()
    assert fake.connections == 2


async def test_a_server_that_hangs_up_on_a_new_connection_has_failed() -> None:
    fake = FakeClosing(0, b"text/event-stream", STREAM)
    async with listening(fake) as settings:
        engine = OpenAIResponder(settings)
        with pytest.raises(ProviderError) as caught:
            await answered(engine)
        await engine.stop()
    assert caught.value.fault is Fault.TRUNCATED
    assert fake.requests == 1


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of an answer may take longer than any test."""
    monkeypatch.setattr("callfleet_agent.providers.http.REST_LIMIT_S", 3600.0)


def responder(server: FakeOpenAI, ca_file: Path | None = None) -> OpenAIResponder:
    base = server.base.replace("127.0.0.1", "localhost")  # as the certificate has it
    return OpenAIResponder(EngineSettings(engine="vllm", endpoints=(base,), ca_file=ca_file))


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
async def test_answers_that_are_heard_to_their_end_share_connections(
    tmp_path: Path, is_secure: bool, patience: None
) -> None:
    server, ca_file = FakeOpenAI(), None
    if is_secure:
        files = Authority().issue(tmp_path, SERVICE)
        server.tls, ca_file = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files.ca
        server.tls.load_cert_chain(files.certificate, files.key)
    server.gap_s = 0.002  # the end of the body comes a moment after that of the answer
    async with server:
        engine = responder(server, ca_file)
        for _ in range(20):
            assert await answered(engine) == "Your card is on its way."
        await engine.stop()
    # Each request comes at once, while the end of the one before is still on its way: two may share
    # the work. Without a pause this was one connection for each answer.
    assert len(server.callers) <= 3
    assert len(server.requests) == 20


async def test_an_error_leaves_its_connection_to_the_next_request(patience: None) -> None:
    async with FakeOpenAI() as server:
        engine = responder(server)
        server.trouble = Trouble.error(429, "1")
        for _ in range(5):
            with pytest.raises(ProviderError):
                await answered(engine)
        await engine.stop()
    assert len(server.callers) <= 2


async def test_who_is_interrupted_frees_the_server_at_once() -> None:
    async with FakeOpenAI("one two three four") as server:
        server.trouble = Trouble.stall(3)
        engine = responder(server)
        answer = engine.answer(Prompt((Message("user", "Hello?"),)), nothing)
        assert await anext(answer) == "one"
        await answer.aclose()  # type: ignore[attr-defined]
        async with at_most(WITHIN_S):
            await server.was_left.wait()
        server.trouble = None
        assert await answered(engine) == "one two three four"
        await engine.stop()


@dataclass
class FakeEndless:
    """Says that its answer is over, and never ends it; `rest`: what it sends instead, on and on."""

    rest: bytes = b""
    hung_up_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for event in (STREAM, b"data: [DONE]\n\n"):
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            while self.rest:
                writer.write(b"%x\r\n%b\r\n" % (len(self.rest), self.rest))
                await writer.drain()
            while await reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
        finally:
            self.hung_up_on.set()
            writer.close()


@pytest.mark.parametrize("rest", [b"", b": nothing of importance\n" * 100], ids=["silent", "noisy"])
async def test_a_server_that_never_ends_its_answer_is_left(rest: bytes) -> None:
    fake = FakeEndless(rest)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    base = f"http://127.0.0.1:{port}/v1"
    engine = OpenAIResponder(EngineSettings(engine="llamacpp", endpoints=(base,)))
    async with at_most(WITHIN_S):
        assert await answered(engine) == "yes"
        await fake.hung_up_on.wait()
    await engine.stop()
    server.close()


async def test_neither_an_answer_nor_stopping_waits_for_its_rest(patience: None) -> None:
    fake = FakeEndless()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    base = f"http://127.0.0.1:{port}/v1"
    engine = OpenAIResponder(EngineSettings(engine="llamacpp", endpoints=(base,)))
    async with at_most(WITHIN_S):
        assert await answered(engine) == "yes"
        assert not fake.hung_up_on.is_set()
        await engine.stop()
        await fake.hung_up_on.wait()
    server.close()
