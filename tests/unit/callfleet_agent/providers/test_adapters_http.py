"""The adapters over HTTP, against servers that speak the documented formats, with every fault."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.wav import read_wav
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Dialog
from callfleet_agent.providers import Message, Prompt, ProviderError
from callfleet_agent.providers.http import retry_after
from callfleet_agent.providers.ports import Cut
from callfleet_agent.providers.responder_openai import OpenAIResponder
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_elevenlabs import ElevenLabsSynthesiser
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.synthesiser_openai import OpenAISynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.providers.transcriber_openai import OpenAITranscriber
from fakes.model_server import KEY, FakeElevenLabs, FakeOpenAI, Trouble, collected
from identities import Authority

GRAMMAR = Dialog().grammars()[0]
PROMPT = Prompt((Message("system", "Be short."), Message("user", "Hello?")))
Attempt = Callable[[EngineSettings], Awaitable[object]]


def nothing() -> None:
    """A connection stands."""


@contextmanager
def not_listening() -> Iterator[int]:
    """A port that refuses, and that nobody else can get meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


async def chat(settings: EngineSettings) -> str:
    engine = OpenAIResponder(settings)
    try:
        return "".join(await collected(engine.answer(PROMPT, nothing)))
    finally:
        await engine.stop()


async def transcribe(settings: EngineSettings) -> object:
    engine = OpenAITranscriber(settings)
    try:
        utterance = engine.begin(GRAMMAR, ())
        utterance.feed(Pcm8k.silence(4000))
        utterance.feed(Pcm8k.silence(4000))
        return await utterance.recognise(nothing)
    finally:
        await engine.stop()


async def say(settings: EngineSettings) -> Pcm8k:
    kind = ElevenLabsSynthesiser if settings.engine == "elevenlabs" else OpenAISynthesiser
    engine = kind(settings)
    try:
        pieces = await collected(engine.speech("Hello.", nothing, private=True))
        return sum(pieces, Pcm8k(b""))
    finally:
        await engine.stop()


@pytest.fixture
async def openai() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI("Your card is on its way. It comes today.") as server:
        yield server


@pytest.fixture
async def elevenlabs() -> AsyncIterator[FakeElevenLabs]:
    async with FakeElevenLabs() as server:
        yield server


async def https(
    server: FakeOpenAI,
    folder: Path,
    authority: Authority,
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> FakeOpenAI:
    """The same server again, behind TLS up to this version."""
    files = authority.issue(folder / "server")
    await server.stop()
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(files.certificate, files.key)
    server.tls.maximum_version = most
    return await server.__aenter__()


class TestAnswers:
    @pytest.mark.parametrize("engine", ["openai", "vllm", "llamacpp"])
    async def test_a_model_answers_in_pieces(self, openai: FakeOpenAI, engine: str) -> None:
        settings = EngineSettings(engine=engine, endpoints=(openai.base,), model="made-up")
        assert await chat(settings) == "Your card is on its way. It comes today."
        request = openai.requests[0]
        assert request["stream"] is True
        assert request["model"] == "made-up"
        assert request["messages"][1] == {"role": "user", "content": "Hello?"}
        limit = "max_completion_tokens" if engine == "openai" else "max_tokens"
        assert request[limit] == PROMPT.max_tokens

    async def test_tool_calls_are_lines_of_their_own(self, openai: FakeOpenAI) -> None:
        settings = EngineSettings(engine="vllm", endpoints=(openai.base,))
        openai.calls = [("help", "{}"), ("where_is_my_card", '{"customer_id":\n "c-1"}')]
        assert (await chat(settings)).split("\n") == [
            "", "<help {}>", "", '<where_is_my_card {"customer_id": "c-1"}>', "",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "calls", [[("help", "{" + "x" * 5000 + "}")], [("help", "{}")] * 10], ids=["long", "many"]
    )
    async def test_too_much_of_them_is_no_answer(
        self, openai: FakeOpenAI, calls: list[tuple[str, str]]
    ) -> None:
        openai.calls = calls
        with pytest.raises(ProviderError, match="malformed"):
            await chat(EngineSettings(engine="vllm", endpoints=(openai.base,)))

    async def test_speech_is_heard(self, openai: FakeOpenAI) -> None:
        settings = EngineSettings(
            engine="vllm", endpoints=(openai.base,), model="whisper-small", language="en-US"
        )
        heard = await transcribe(settings)
        assert getattr(heard, "text", None) == "where is my credit card"
        request = openai.requests[0]
        assert request["language"] == "en"
        sound = read_wav(request["file"])
        assert (sound.rate, sound.seconds) == (16000, 1.0)

    async def test_silence_is_nothing(self, openai: FakeOpenAI) -> None:
        openai.heard = " "
        heard = await transcribe(EngineSettings(engine="openai", endpoints=(openai.base,)))
        assert getattr(heard, "text", "") is None

    async def test_a_voice_speaks(self, openai: FakeOpenAI) -> None:
        settings = EngineSettings(engine="openai", endpoints=(openai.base,), voice="nova")
        sound = await say(settings)
        assert sound.seconds == pytest.approx(0.5)
        assert openai.requests[0]["voice"] == "nova"
        assert openai.requests[0]["response_format"] == "pcm"

    @pytest.mark.parametrize("suffix", ["", "/v1", "/v1/"])
    async def test_elevenlabs_speaks(self, elevenlabs: FakeElevenLabs, suffix: str) -> None:
        settings = EngineSettings(
            engine="elevenlabs", endpoints=(elevenlabs.url + suffix,), voice="a/b", speed=2.0
        )
        sound = await say(settings)
        assert sound.seconds == pytest.approx(0.5)
        request = elevenlabs.requests[0]
        assert request["output_format"] == "pcm_16000"
        assert request["voice"] == "a/b"
        assert request["voice_settings"] == {"speed": 1.2}


@pytest.mark.parametrize(
    ("finish", "cut"),
    [
        ("stop", []), ("length", [Cut.LENGTH]), ("content_filter", [Cut.FILTER]),
        ("tool_calls", []), ("a_new_word", []),
    ],
)  # fmt: skip
async def test_why_an_answer_ends_is_told(openai: FakeOpenAI, finish: str, cut: list[Cut]) -> None:
    openai.finish = finish
    engine = OpenAIResponder(EngineSettings(engine="vllm", endpoints=(openai.base,)))
    pieces = await collected(engine.answer(PROMPT, nothing))
    await engine.stop()
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == openai.answers[0]
    assert [piece for piece in pieces if isinstance(piece, Cut)] == cut


@pytest.mark.parametrize("finish", ["abort", "error"])
async def test_a_request_that_its_server_gave_up_was_cut(openai: FakeOpenAI, finish: str) -> None:
    openai.finish = finish
    with pytest.raises(ProviderError) as caught:
        await chat(EngineSettings(engine="vllm", endpoints=(openai.base,)))
    assert caught.value.fault is Fault.TRUNCATED


class TestKeys:
    async def test_the_key_is_sent_and_followed(self, openai: FakeOpenAI, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(KEY + "\n")
        settings = EngineSettings(engine="openai", endpoints=(openai.base,), key_file=file)
        engine = OpenAIResponder(settings)
        openai.key = KEY
        assert await collected(engine.answer(PROMPT, nothing))
        openai.key = "another"
        with pytest.raises(ProviderError, match="unauthorised"):
            await collected(engine.answer(PROMPT, nothing))
        file.write_text("another")
        assert await collected(engine.answer(PROMPT, nothing))
        await engine.stop()

    async def test_elevenlabs_has_a_header_of_its_own(
        self, elevenlabs: FakeElevenLabs, tmp_path: Path
    ) -> None:
        file = tmp_path / "key"
        file.write_text(KEY)
        elevenlabs.key = KEY
        await say(EngineSettings(engine="elevenlabs", endpoints=(elevenlabs.url,), key_file=file))

    @pytest.mark.parametrize("attempt", [chat, transcribe, say])
    async def test_a_key_that_is_not_there_is_a_fault(
        self, openai: FakeOpenAI, tmp_path: Path, attempt: Attempt
    ) -> None:
        settings = EngineSettings(
            engine="openai", endpoints=(openai.base,), key_file=tmp_path / "none"
        )
        with pytest.raises(ProviderError) as caught:
            await attempt(settings)
        assert caught.value.fault is Fault.UNAUTHORISED
        assert not openai.requests

    async def test_its_ca_is_followed(self, openai: FakeOpenAI, tmp_path: Path) -> None:
        authority = Authority()
        openai = await https(openai, tmp_path, authority)
        trusted = authority.issue(tmp_path / "trusted").ca
        base = openai.base.replace("127.0.0.1", "localhost")
        engine = OpenAIResponder(
            EngineSettings(engine="openai", endpoints=(base,), ca_file=trusted)
        )
        whole = "Your card is on its way. It comes today."
        assert "".join(await collected(engine.answer(PROMPT, nothing))) == whole
        Authority().issue(tmp_path / "trusted")  # another CA, in its place
        with pytest.raises(ProviderError) as caught:
            await collected(engine.answer(PROMPT, nothing))
        assert caught.value.fault is Fault.REFUSED
        trusted.write_text("half a file")
        with pytest.raises(ProviderError):
            await collected(engine.answer(PROMPT, nothing))
        authority.issue(tmp_path / "trusted")
        assert "".join(await collected(engine.answer(PROMPT, nothing))) == whole
        await engine.stop()
        await openai.stop()

    async def test_nothing_before_tls_1_3_is_spoken(
        self, openai: FakeOpenAI, tmp_path: Path
    ) -> None:
        authority = Authority()
        openai = await https(openai, tmp_path, authority, ssl.TLSVersion.TLSv1_2)
        settings = EngineSettings(
            engine="openai", endpoints=(openai.base.replace("127.0.0.1", "localhost"),),
            ca_file=authority.issue(tmp_path / "trusted").ca,
        )  # fmt: skip
        with pytest.raises(ProviderError) as caught:
            await chat(settings)
        assert caught.value.fault is Fault.REFUSED
        await openai.stop()

    async def test_a_ca_file_that_is_not_there_is_a_fault(self, tmp_path: Path) -> None:
        settings = EngineSettings(
            engine="openai", endpoints=("https://127.0.0.1:1",), ca_file=tmp_path / "none"
        )
        with pytest.raises(ProviderError, match="unauthorised"):
            await chat(settings)


STATUSES = [
    (Trouble.error(401), Fault.UNAUTHORISED),
    (Trouble.error(403), Fault.UNAUTHORISED),
    (Trouble.error(400), Fault.BAD_REQUEST),
    (Trouble.error(404), Fault.BAD_REQUEST),
    (Trouble.error(429, "7"), Fault.RATE_LIMITED),
    (Trouble.error(500), Fault.SERVER_ERROR),
    (Trouble.error(503), Fault.SERVER_ERROR),
    (Trouble.error(302), Fault.MALFORMED),
    (Trouble.wrong_content(), Fault.MALFORMED),
    (Trouble.cut(0), Fault.TRUNCATED),
    (Trouble.cut(1), Fault.TRUNCATED),
]


class TestFaults:
    @pytest.mark.parametrize("attempt", [chat, transcribe, say])
    @pytest.mark.parametrize(("trouble", "fault"), STATUSES)
    async def test_each_has_its_name(
        self, openai: FakeOpenAI, attempt: Attempt, trouble: Trouble, fault: Fault
    ) -> None:
        openai.trouble = trouble
        with pytest.raises(ProviderError) as caught:
            await attempt(EngineSettings(engine="openai", endpoints=(openai.base,)))
        assert caught.value.fault is fault
        assert caught.value.retry_after_s == (7.0 if fault is Fault.RATE_LIMITED else None)

    @pytest.mark.parametrize(("trouble", "fault"), STATUSES)
    async def test_of_elevenlabs(
        self, elevenlabs: FakeElevenLabs, trouble: Trouble, fault: Fault
    ) -> None:
        elevenlabs.trouble = trouble
        with pytest.raises(ProviderError) as caught:
            await say(EngineSettings(engine="elevenlabs", endpoints=(elevenlabs.url,)))
        assert caught.value.fault is fault

    @pytest.mark.parametrize("attempt", [chat, transcribe, say])
    async def test_refused(self, attempt: Attempt) -> None:
        with not_listening() as port:
            settings = EngineSettings(engine="openai", endpoints=(f"http://127.0.0.1:{port}",))
            with pytest.raises(ProviderError) as caught:
                await attempt(settings)
        assert caught.value.fault is Fault.REFUSED

    async def test_another_endpoint_of_the_same_pool_is_tried(self, openai: FakeOpenAI) -> None:
        with not_listening() as port:
            dead = f"http://127.0.0.1:{port}/v1"
            settings = EngineSettings(engine="vllm", endpoints=(dead, openai.base))
            for _ in range(3):
                assert await chat(settings)

    @pytest.mark.parametrize("attempt", [chat, transcribe])
    async def test_nonsense(self, openai: FakeOpenAI, attempt: Attempt) -> None:
        openai.trouble = Trouble.garbage()
        with pytest.raises(ProviderError, match="malformed"):
            await attempt(EngineSettings(engine="openai", endpoints=(openai.base,)))

    async def test_a_stream_without_its_end_was_cut(self, openai: FakeOpenAI) -> None:
        openai.trouble = Trouble.early_end(4)
        with pytest.raises(ProviderError, match="truncated"):
            await chat(EngineSettings(engine="openai", endpoints=(openai.base,)))

    async def test_half_a_sample_was_cut(self, elevenlabs: FakeElevenLabs) -> None:
        elevenlabs.trouble = Trouble.early_end(1)
        with pytest.raises(ProviderError, match="truncated"):
            await say(EngineSettings(engine="elevenlabs", endpoints=(elevenlabs.url,)))

    async def test_a_json_that_is_too_long(self, openai: FakeOpenAI) -> None:
        openai.heard = "a" * (1 << 21)
        with pytest.raises(ProviderError, match="malformed"):
            await transcribe(EngineSettings(engine="openai", endpoints=(openai.base,)))


async def test_it_is_told_when_a_connection_stands(openai: FakeOpenAI) -> None:
    openai.trouble = Trouble.stall(0)
    engine = OpenAIResponder(EngineSettings(engine="vllm", endpoints=(openai.base,)))
    standing = asyncio.Event()
    asking = asyncio.ensure_future(collected(engine.answer(PROMPT, standing.set)))
    async with asyncio.timeout(60):
        await standing.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await engine.stop()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, 60.0) == seconds


class TestWarm:
    """A connection that is made ahead of being needed."""

    @pytest.mark.parametrize("fake", [FakeOpenAI, FakeElevenLabs])
    async def test_the_first_request_finds_it(
        self, fake: type[FakeOpenAI] | type[FakeElevenLabs]
    ) -> None:
        async with fake() as server:
            name = "openai" if fake is FakeOpenAI else "elevenlabs"
            kind = OpenAISynthesiser if fake is FakeOpenAI else ElevenLabsSynthesiser
            engine = kind(EngineSettings(engine=name, endpoints=(f"{server.url}/v1",)))
            await engine.warm()
            assert (server.listed, len(server.callers)) == (1, 1)
            await collected(engine.speech("Hello.", nothing, private=True))
            assert len(server.callers) == 1
            await engine.stop()

    async def test_at_each_endpoint(self) -> None:
        async with FakeOpenAI() as one, FakeOpenAI() as other:
            engine = OpenAIResponder(
                EngineSettings(engine="vllm", endpoints=(one.base, f"{other.base}/"))
            )
            await engine.warm()
            assert (one.listed, other.listed) == (1, 1)
            await engine.stop()

    @pytest.mark.parametrize("why", ["away", "key", "no key file"])
    async def test_what_goes_wrong_is_left_to_the_request(self, why: str, tmp_path: Path) -> None:
        async with FakeOpenAI() as server:
            server.key = KEY
            missing = tmp_path / "missing" if why == "no key file" else None
            settings = EngineSettings(engine="openai", endpoints=(server.base,), key_file=missing)
            engine = OpenAITranscriber(settings)
            if why == "away":
                await server.stop()
            await engine.warm()
            await engine.stop()

    async def test_a_server_that_hangs_is_waited_for_a_while_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("callfleet_agent.providers.http.WARM_LIMIT_S", 0.05)
        with socket.create_server(("127.0.0.1", 0)) as hanging:
            endpoint = f"http://127.0.0.1:{hanging.getsockname()[1]}/v1"
            engine = OpenAIResponder(EngineSettings(engine="vllm", endpoints=(endpoint,)))
            await engine.warm()
            await engine.stop()

    @pytest.mark.parametrize("kind", [GrpcSynthesiser, GrpcTranscriber])
    async def test_our_own_servers(
        self, kind: type[GrpcSynthesiser] | type[GrpcTranscriber], tmp_path: Path
    ) -> None:
        for scheme, authority in (("grpc", None), ("grpcs", tmp_path / "missing")):
            engine = kind(
                EngineSettings(
                    engine="piper", endpoints=(f"{scheme}://127.0.0.1:1",), ca_file=authority
                )
            )
            await engine.warm()
            await engine.stop()
