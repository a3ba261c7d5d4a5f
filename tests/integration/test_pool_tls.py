"""Servers of pools over mutual TLS 1.3: who is let in, who is asked, and files that change."""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from callfleet.v1 import asr_pb2_grpc, common_pb2
from callfleet_agent.audio import Pcm, Pcm8k, Pcm22k
from callfleet_agent.chain import Fault
from callfleet_agent.dialog import Dialog
from callfleet_agent.identity import TlsFiles
from callfleet_agent.providers import ProviderError
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.providers.synthesiser_grpc import GrpcSynthesiser
from callfleet_agent.providers.transcriber_grpc import GrpcTranscriber
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.speech.server import ServerSettings, SpeechServer
from callfleet_operator.identity.authority import Authority
from callfleet_operator.identity.certificates import KeyPair, make_ca, make_leaf
from callfleet_operator.identity.names import (
    OPERATOR,
    Subject,
    agent_subject,
    client_subject,
    pool_subject,
    service_subject,
)
from fakes.model_server import collected
from fakes.speech import FakeRecogniser, FakeVoice
from ports import free_port

HOST = "127.0.0.1"
GRAMMAR = Dialog().grammars()[0]
HOUR_S = 3600.0
LIMIT_S = 60.0  # for everything that comes by itself: tests share a machine
AGENT = agent_subject("bank", "card-line")
POOL = pool_subject("bank", "ears", "ears-pool")
HERE = Subject(POOL.identity, (*POOL.hosts, "localhost"))


def new_ca() -> KeyPair:
    return make_ca("test", time.time(), 10 * HOUR_S)


def mount(
    folder: Path, ca: KeyPair, subject: Subject, *, bundle: bytes = b"", ends: float = 0
) -> Path:
    """The identity as a kubelet puts it into a pod; `ends` seconds from now when it is told."""
    now = time.time()
    leaf = make_leaf(ca, subject, now + min(0.0, ends) - 1, HOUR_S if not ends else 1.0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.crt").write_bytes(bundle or ca.certificate)
    (folder / "tls.key").write_bytes(leaf.key)
    (folder / "tls.crt").write_bytes(leaf.certificate)
    return folder


class Serving:
    def __init__(self, server: SpeechServer, plain: int, http: int) -> None:
        self.port, self.plain, self.http = server.port, plain, http

    @property
    def secure(self) -> str:
        return f"grpcs://localhost:{self.port}"


@asynccontextmanager
async def serving(
    engine: Any, tls: Path, *, plain: bool = False, at_once: int = 4
) -> AsyncIterator[Serving]:
    ports = free_port(HOST), free_port(HOST)
    settings = ServerSettings(
        engine="fake", listen=(HOST, 0), http=(HOST, ports[1]), voice="hum", tls=tls,
        plain=(HOST, ports[0]) if plain else None, at_once=at_once,
    )  # fmt: skip
    server = SpeechServer(settings, lambda: engine)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(server.run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        yield Serving(server, *ports)
    finally:
        stop.set()
        await task


async def metrics_of(server: Serving) -> str:
    url = f"http://{HOST}:{server.http}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def nothing() -> None:
    """A connection stands."""


async def heard(identity: Path | None, *endpoints: str, ca: Path | None = None) -> str | None:
    """What the pool understands of a second of quiet; ProviderError when it does not answer."""
    told = EngineSettings(engine="whisper", endpoints=endpoints, identity=identity, ca_file=ca)
    engine = GrpcTranscriber(told)
    utterance = engine.begin(GRAMMAR, ())
    utterance.feed(Pcm8k.silence(8000))
    try:
        async with asyncio.timeout(LIMIT_S):
            return (await utterance.recognise(nothing)).text
    finally:
        utterance.close()
        await engine.stop()


async def fault_of(identity: Path | None, endpoint: str, ca: Path | None = None) -> Fault:
    with pytest.raises(ProviderError) as caught:
        await heard(identity, endpoint, ca=ca)
    return caught.value.fault


async def test_an_agent_of_the_namespace_is_heard_and_spoken_to(tmp_path: Path) -> None:
    ca = new_ca()
    me = mount(tmp_path / "agent", ca, AGENT)
    async with serving(FakeRecogniser(), mount(tmp_path / "ears", ca, HERE)) as ears:
        assert await heard(me, ears.secure) == "16000"
    async with serving(FakeVoice(), mount(tmp_path / "voice", ca, HERE)) as voice:
        told = EngineSettings(engine="piper", endpoints=(voice.secure,), identity=me)
        engine = GrpcSynthesiser(told)
        assert (
            sum(map(len, await collected(engine.speech("Hello.", nothing, private=True)))) == 4000
        )
        await engine.stop()


@pytest.mark.parametrize("role", ["asr", "ai-voice-connector"])
async def test_services_of_the_platform_work_with_pools(tmp_path: Path, role: str) -> None:
    ca = new_ca()
    me = mount(tmp_path / "service", ca, service_subject("callfleet-system", role, "x"))
    async with serving(FakeRecogniser(), mount(tmp_path / "ears", ca, HERE)) as ears:
        assert await heard(me, ears.secure) == "16000"


@pytest.mark.parametrize(
    "subject",
    [
        agent_subject("other", "card-line"),
        client_subject("bank", "kiosk"),
        service_subject("callfleet-system", "tts", "x"),
        POOL,
        OPERATOR,
    ],
    ids=lambda subject: subject.identity.removeprefix("spiffe://callfleet.io/"),
)
async def test_nobody_else_is_let_in(tmp_path: Path, subject: Subject) -> None:
    ca = new_ca()
    other = mount(tmp_path / "other", ca, subject)
    async with serving(FakeRecogniser(), mount(tmp_path / "ears", ca, HERE)) as ears:
        assert await fault_of(other, ears.secure) is Fault.UNAUTHORISED
        metrics = await metrics_of(ears)
        # asked twice where the refusal came while the sound was sent
        refused = 'callfleet_engine_identity_refused_total{code="IDENTITY_FORBIDDEN"} '
        assert refused + "1.0" in metrics or refused + "2.0" in metrics


async def test_certificates_that_prove_nothing(tmp_path: Path) -> None:
    """Of another CA, ended, and none at all; and a request in the clear."""
    ca = new_ca()
    strange = mount(tmp_path / "strange", new_ca(), AGENT, bundle=ca.certificate)
    ended = mount(tmp_path / "ended", ca, AGENT, ends=-5)
    folder = mount(tmp_path / "ears", ca, HERE)
    async with serving(FakeRecogniser(), folder) as ears:
        assert await fault_of(strange, ears.secure) is Fault.REFUSED
        assert await fault_of(ended, ears.secure) is Fault.REFUSED
        assert await fault_of(None, ears.secure, ca=folder / "ca.crt") is Fault.REFUSED
        assert await fault_of(None, f"grpc://localhost:{ears.port}") is Fault.REFUSED
        assert await fault_of(tmp_path / "nowhere", ears.secure) is Fault.UNAUTHORISED


@pytest.mark.parametrize("kind", ["another pool", "another CA", "ended"])
async def test_an_agent_speaks_to_nobody_but_its_pool(tmp_path: Path, kind: str) -> None:
    """Whoever has the pool's address, and not its name, its CA or a certificate of today."""
    ca = new_ca()
    me = mount(tmp_path / "agent", ca, AGENT)
    folder = {
        "another pool": lambda: mount(tmp_path / "x", ca, pool_subject("bank", "x", "x-pool")),
        "another CA": lambda: mount(tmp_path / "x", new_ca(), HERE, bundle=ca.certificate),
        "ended": lambda: mount(tmp_path / "x", ca, HERE, ends=-5),
    }[kind]()
    async with serving(FakeRecogniser(), folder) as ears:
        assert await fault_of(me, ears.secure) is Fault.REFUSED


async def test_tls_1_2_is_not_spoken(tmp_path: Path) -> None:
    ca = new_ca()
    me = mount(tmp_path / "agent", ca, AGENT)
    context = ssl.create_default_context(cafile=me / "ca.crt")
    context.load_cert_chain(me / "tls.crt", me / "tls.key")
    context.set_alpn_protocols(["h2"])
    async with serving(FakeRecogniser(), mount(tmp_path / "ears", ca, HERE)) as ears:
        _, writer = await asyncio.open_connection("localhost", ears.port, ssl=context)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", ears.port, ssl=context)


async def test_a_pod_may_ask_for_its_own_health(tmp_path: Path) -> None:
    folder = mount(tmp_path / "ears", new_ca(), HERE)
    async with serving(FakeRecogniser(), folder) as ears:
        credentials = TlsFiles.in_folder(folder).credentials()
        async with grpc.aio.secure_channel(f"localhost:{ears.port}", credentials) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            told = await stub.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_S)
            assert told.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_certificate_without_a_namespace_serves_nobody(tmp_path: Path) -> None:
    with pytest.raises(ServicesError, match="names no namespace"):
        async with serving(FakeRecogniser(), mount(tmp_path / "x", new_ca(), OPERATOR)):
            pass


async def test_agents_of_a_former_version_are_answered_beside_those_of_this(tmp_path: Path) -> None:
    ca = new_ca()
    me, other = mount(tmp_path / "agent", ca, AGENT), tmp_path / "other"
    mount(other, ca, agent_subject("other", "card-line"))
    async with serving(FakeRecogniser(), mount(tmp_path / "ears", ca, HERE), plain=True) as ears:
        clear = f"grpc://localhost:{ears.plain}"
        assert await heard(None, clear) == "16000"
        # Where both are told, TLS is taken, and nobody falls back.
        assert await heard(me, clear, ears.secure) == "16000"
        assert await fault_of(other, ears.secure) is Fault.UNAUTHORISED
        with pytest.raises(ProviderError):
            await heard(other, clear, ears.secure)


class SlowVoice(FakeVoice):
    """Speaks when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def speak(self, text: str, speed: float) -> Iterator[Pcm]:
        self.go.wait(2 * LIMIT_S)
        yield Pcm22k.silence(2205)


async def test_a_server_that_has_too_much_to_do_says_so_at_once(tmp_path: Path) -> None:
    ca, voice = new_ca(), SlowVoice()
    me = mount(tmp_path / "agent", ca, AGENT)
    async with serving(voice, mount(tmp_path / "v", ca, HERE), at_once=1) as server:
        voice.go.clear()
        told = EngineSettings(engine="piper", endpoints=(server.secure,), identity=me)
        engine = GrpcSynthesiser(told)

        async def spoken() -> int:
            return len(await collected(engine.speech("Hello.", nothing, private=True)))

        asked = [asyncio.create_task(spoken()) for _ in range(12)]

        async def is_full() -> bool:
            told = await metrics_of(server)
            one_runs = "callfleet_engine_requests_running 1.0" in told
            return one_runs and "callfleet_engine_requests_waiting 8.0" in told

        async def rest_is_answered() -> bool:
            return sum(task.done() for task in asked) >= 3

        try:
            await until(is_full)
            await until(rest_is_answered)
            refused = [task.exception() for task in asked if task.done()]
        finally:
            voice.go.set()
        assert len(refused) == 3
        for error in refused:
            assert isinstance(error, ProviderError)
            assert (error.fault, error.retry_after_s) == (Fault.RATE_LIMITED, 1.0)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert len([one for one in answers if isinstance(one, int) and one]) == 9
        await engine.stop()


async def test_who_sends_nothing_does_not_hold_a_place_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callfleet_agent.services.speech.asr_service.IDLE_S", 0.2)
    ca = new_ca()
    files = TlsFiles.in_folder(mount(tmp_path / "agent", ca, AGENT))
    folder = mount(tmp_path / "ears", ca, HERE)
    async with (
        serving(FakeRecogniser(), folder) as ears,
        grpc.aio.secure_channel(f"localhost:{ears.port}", files.credentials()) as channel,
    ):
        stub: Any = asr_pb2_grpc.ASRServiceStub(channel)  # type: ignore[no-untyped-call]

        async def one_and_no_more() -> AsyncIterator[common_pb2.AudioChunk]:
            yield common_pb2.AudioChunk(audio_data=bytes(320), sample_rate=8000, format=1)  # type: ignore[arg-type]
            await asyncio.Event().wait()

        call = stub.RecognizeSpeech(one_and_no_more())
        with pytest.raises(grpc.aio.AioRpcError, match="no audio came"):
            await collected(call)


async def test_everything_changes_under_streams_and_none_fails(tmp_path: Path) -> None:
    """Two CAs after each other, as the operator does it: known before it signs."""
    first, second = new_ca(), new_ca()
    both = Authority(first, None, (second.certificate,)).bundle
    me, pool = tmp_path / "agent", tmp_path / "pool"

    def put(ca: KeyPair, bundle: bytes) -> None:
        for folder, subject in ((pool, HERE), (me, AGENT)):
            mount(folder, ca, subject, bundle=bundle)

    put(first, first.certificate)
    stopped, done = False, {"heard": 0, "spoken": 0}
    async with serving(FakeRecogniser(), pool) as ears, serving(FakeVoice(), pool) as voice:
        transcriber = GrpcTranscriber(
            EngineSettings(engine="whisper", endpoints=(ears.secure,), identity=me)
        )
        synthesiser = GrpcSynthesiser(
            EngineSettings(engine="piper", endpoints=(voice.secure,), identity=me)
        )

        async def listen() -> None:
            while not stopped:
                utterance = transcriber.begin(GRAMMAR, ())
                for _ in range(10):  # 1.5 s: over a change of files
                    utterance.feed(Pcm8k.silence(1200))
                    await asyncio.sleep(0.15)
                assert (await utterance.recognise(nothing)).text == "24000"
                utterance.close()
                done["heard"] += 1

        async def speak() -> None:
            while not stopped:
                assert await collected(synthesiser.speech("Hello.", nothing, private=True))
                done["spoken"] += 1
                await asyncio.sleep(0.05)

        working = [asyncio.create_task(listen()) for _ in range(3)]
        working.append(asyncio.create_task(speak()))

        async def go_on() -> None:
            """For as long as files are looked at, and until everybody was served meanwhile."""
            heard, spoken = done["heard"] + 3, done["spoken"] + 5
            await asyncio.sleep(2.5)

            async def served() -> bool:
                over = [task for task in working if task.done()]
                assert not over, over[0].exception()
                return done["heard"] >= heard and done["spoken"] >= spoken

            await until(served)

        for ca, bundle in ((first, both), (second, both), (second, second.certificate)):
            await go_on()
            put(ca, bundle)
        await go_on()
        stopped = True
        await asyncio.gather(*working)
        former = mount(tmp_path / "former", first, AGENT, bundle=both)
        assert await fault_of(former, ears.secure) is Fault.REFUSED
        await transcriber.stop()
        await synthesiser.stop()
    assert done["heard"] >= 6
    assert done["spoken"] >= 20
