"""Bad input at every service, speech too: a status with the field that is to blame, and nothing is
changed. The stored services' own cases are in test_platform_input.

One platform is for all tests of this file: each has conversations of its own, which end with it.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from sqlalchemy import text

from callfleet.v1 import (
    common_pb2,
    connector_pb2,
    context_pb2,
    llm_pb2,
    session_pb2,
    tts_pb2,
    vad_pb2,
)
from callfleet_agent.app.platform_settings import ROLES
from callfleet_agent.services.policy import POLICY
from fakes.sip_by_hand import until
from identities import AGENT, AUDIENCES, CLIENT, SCOPES, channel
from message_fields import Grown, blobs, lists, texts
from platform_rig import UNKNOWN, Refused, Rig, rigged
from rpcs import METHODS
from stores import Server, database, migrated

PCM, PCMU = common_pb2.AUDIO_FORMAT_PCM_S16LE, common_pb2.AUDIO_FORMAT_PCMU
INVALID = grpc.StatusCode.INVALID_ARGUMENT
HEARING = (
    "/callfleet.v1.VADService/ProcessAudio",
    "/callfleet.v1.ASRService/RecognizeSpeech",
    "/callfleet.v1.AIVoiceConnectorService/ProcessAudioStream",
)
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here"),
]


class Whole:
    """All services, with an agent's and a client's channel."""

    def __init__(self, rig: Rig, as_client: grpc.aio.Channel, database: Server) -> None:
        self.rig = rig
        self.database = database
        self._channels: dict[bool, Any] = {True: rig.channel, False: as_client}
        self._begun: list[str] = []

    def call(self, rpc: str, *messages: Any, metadata: Any = None) -> Any:
        method = METHODS[rpc]
        by_agent = "voiceagent" in POLICY[rpc].roles
        on = self._channels[by_agent]
        kinds = {
            (False, False): on.unary_unary,
            (False, True): on.unary_stream,
            (True, True): on.stream_stream,
        }
        made = kinds[method.client_streaming, method.server_streaming](
            rpc,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=method.output_type._concrete_class.FromString,
        )
        given = self.rig.tokens.metadata(AGENT if by_agent else CLIENT)
        request = iter(messages) if method.client_streaming else messages[0]
        return made(request, metadata=given if metadata is None else metadata, timeout=60)

    async def ask(self, rpc: str, *messages: Any) -> list[Any]:
        call = self.call(rpc, *messages)
        if METHODS[rpc].server_streaming:
            return [one async for one in call]
        return [await call]

    async def refused(self, rpc: str, *messages: Any, metadata: Any = None) -> Refused:
        call = self.call(rpc, *messages, metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await finished(call)
        return Refused.of(caught.value)

    async def conversation(self) -> str:
        made = await self.ask(
            "/callfleet.v1.AIVoiceConnectorService/CreateSession",
            connector_pb2.CreateSessionRequest(format=PCM, sample_rate=8000),
        )
        self._begun.append(made[0].session_id)
        return self._begun[-1]

    async def end_conversations(self) -> None:
        """Those that were begun, so that none of them ends by itself within another test."""
        for session in self._begun:
            end = session_pb2.EndSessionRequest(session_id=session)
            await self.ask("/callfleet.v1.AIVoiceConnectorService/EndSession", end)
        self._begun.clear()
        await self.settled()

    async def stored(self, *tables: str) -> list[str]:
        """The rows of the stores, what is owed to them included."""
        await self.settled()
        return await rows_of(self.database, *tables)

    async def settled(self) -> None:
        """What is owed to the stores is there."""
        owed = self.rig.platform.metrics.registry.get_sample_value
        await until(lambda: not owed("callfleet_journal_depth"))


async def finished(call: Any) -> None:
    if not hasattr(call, "__aiter__"):
        await call
        return
    async for _ in call:
        pass


TABLES = (
    "call_sessions", "conversation_contexts", "banking_transactions", "applied_requests",
    "audit_entries",
)  # fmt: skip
LASTING = ("call_sessions", "banking_transactions", "audit_entries")


async def rows_of(postgres: Server, *tables: str) -> list[str]:
    async with database(postgres.url) as connected, connected.transaction() as connection:
        rows: list[str] = []
        for table in tables or TABLES:
            found = await connection.execute(text(f"SELECT {table}::text FROM {table} ORDER BY 1"))
            rows += list(found.scalars())
    return rows


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(
    tmp_path_factory: pytest.TempPathFactory, module_postgres: Server, redis_process: Server
) -> AsyncIterator[Whole]:
    folder = tmp_path_factory.mktemp("platform")
    await asyncio.to_thread(migrated, module_postgres.url)
    rates = {"burst": 1e5, "per_minute": 6e5, "agents_per_minute": 6e6}  # these tests hurry
    more = {"roles": ROLES, "calls": 8, **rates}
    async with rigged(folder, module_postgres.url, redis_process.url, **more) as rig:
        files = rig.authority.issue(folder / "client", CLIENT)
        async with channel(rig.platform.port, files) as as_client:
            yield Whole(rig, as_client, module_postgres)


@pytest_asyncio.fixture(loop_scope="module")
async def whole(platform: Whole) -> AsyncIterator[Whole]:
    yield platform
    await platform.end_conversations()


# --- audio ------------------------------------------------------------------------------------

BAD_CHUNKS: dict[str, tuple[dict[str, Any], str]] = {
    "a byte too many": ({"audio_data": bytes((1 << 20) + 1)}, "audio_data"),
    "no format": ({"format": 0}, "format"),
    "unknown format": ({"format": 77}, "format"),
    "rate 0": ({"sample_rate": 0}, "sample_rate"),
    "negative rate": ({"sample_rate": -8000}, "sample_rate"),
    "unknown rate": ({"sample_rate": 11_025}, "sample_rate"),
    "negative time": ({"timestamp": -1}, "timestamp"),
    "far future": ({"timestamp": 2**60}, "timestamp"),
    "no uuid": ({"session_id": "x"}, "session_id"),
    "half a sample": ({"audio_data": b"123"}, "audio_data"),
    "G.711 at 16 kHz": ({"format": PCMU, "sample_rate": 16_000}, "sample_rate"),
    "another rate than before": ({"sample_rate": 16_000}, "sample_rate"),
    "another format than before": ({"format": PCMU}, "format"),
    "a gap": ({"sequence_number": 7}, "sequence_number"),
    "no uuid of the request": ({"correlation_id": "<x>"}, "correlation_id"),
}
WITHIN = {"another rate than before", "another format than before", "a gap"}


def chunk(session: str, **changed: Any) -> common_pb2.AudioChunk:
    good: dict[str, Any] = {
        "audio_data": bytes(320), "format": PCM, "sample_rate": 8000, "session_id": session,
    }  # fmt: skip
    return common_pb2.AudioChunk(**(good | changed))


async def assert_bad_audio_is_refused(whole: Whole, rpc: str, name: str, session: str) -> None:
    changed, field = BAD_CHUNKS[name]
    before = [chunk(session)] if name in WITHIN else []
    found = await whole.refused(rpc, *before, chunk(session, **changed))
    assert found.code is INVALID, (rpc, name, found)
    assert found.fields.get(field), (rpc, name, found.fields)


async def test_bad_audio_names_its_field_at_every_service_that_hears(whole: Whole) -> None:
    everything = await whole.stored()
    for rpc in HEARING[:2]:
        for name in BAD_CHUNKS:
            await assert_bad_audio_is_refused(whole, rpc, name, UNKNOWN)
    assert await whole.stored() == everything

    session = await whole.conversation()
    everything, lasting = await whole.stored(), await whole.stored(*LASTING)
    for name in BAD_CHUNKS.keys() - WITHIN:
        await assert_bad_audio_is_refused(whole, HEARING[2], name, session)
    assert await whole.stored() == everything
    for name in WITHIN:  # whoever sends a good chunk first is welcomed, which is remembered
        await assert_bad_audio_is_refused(whole, HEARING[2], name, session)
    assert await whole.stored(*LASTING) == lasting
    status = await whole.ask(
        "/callfleet.v1.AIVoiceConnectorService/GetSessionStatus",
        connector_pb2.SessionStatusRequest(session_id=session),
    )
    assert status[0].status == session_pb2.SESSION_STATUS_ACTIVE  # the conversation can go on


async def test_speech_takes_a_sessions_id_as_a_label_and_looks_nothing_up(whole: Whole) -> None:
    ended = await whole.rig.session()
    end = session_pb2.EndSessionRequest(session_id=ended)
    await whole.rig.ask(whole.rig.sessions.EndSession, end)
    before = await whole.stored()
    for session in (UNKNOWN, ended):
        for rpc in HEARING[:2]:
            await whole.ask(rpc, chunk(session))
        sound = await whole.ask(SPOKEN[0], SPOKEN[1](**(GOOD[SPOKEN] | {"session_id": session})))
        assert {piece.session_id for piece in sound} == {session}
    assert await whole.stored() == before


async def test_the_largest_chunk_is_taken(whole: Whole) -> None:
    largest = common_pb2.AudioChunk(audio_data=bytes(1 << 20), format=PCM, sample_rate=48_000)
    for rpc in HEARING[:2]:
        await whole.ask(rpc, largest)


# --- conversations ----------------------------------------------------------------------------


async def test_a_conversation_that_is_not_there_is_over_or_is_anothers(whole: Whole) -> None:
    connector = "/callfleet.v1.AIVoiceConnectorService/"
    llm = "/callfleet.v1.LLMService/"
    session = await whole.conversation()
    await whole.ask(connector + "EndSession", session_pb2.EndSessionRequest(session_id=session))
    recorded = await whole.rig.session()
    await whole.rig.ask(
        whole.rig.sessions.EndSession, session_pb2.EndSessionRequest(session_id=recorded)
    )

    def sound(of: str) -> common_pb2.AudioChunk:
        return common_pb2.AudioChunk(
            audio_data=bytes(320), format=PCM, sample_rate=8000, session_id=of
        )

    over = [
        await whole.refused(HEARING[2], sound(session)),
        await whole.refused(
            llm + "ProcessText", llm_pb2.TextProcessingRequest(text="hello", session_id=recorded)
        ),
    ]
    unknown = [
        await whole.refused(HEARING[2], sound(UNKNOWN)),
        await whole.refused(
            connector + "EndSession", session_pb2.EndSessionRequest(session_id=UNKNOWN)
        ),
        await whole.refused(
            connector + "GetSessionStatus",
            connector_pb2.SessionStatusRequest(session_id=UNKNOWN),
        ),
        await whole.refused(
            llm + "ProcessText",
            llm_pb2.TextProcessingRequest(text="hello", session_id=UNKNOWN),
        ),
        await whole.refused(
            llm + "UpdateContext", context_pb2.ContextUpdateRequest(session_id=UNKNOWN)
        ),
    ]
    for found in [*over, *unknown]:
        assert list(found.fields) == ["session_id"]
    for found in over:
        assert (found.code, found.detail.code) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "SESSION_ENDED",
        )
    for found in unknown:
        assert (found.code, found.detail.code) == (
            grpc.StatusCode.NOT_FOUND,
            "SESSION_NOT_FOUND",
        )


SPOKEN = ("/callfleet.v1.TTSService/SynthesizeText", tts_pb2.TextSynthesisRequest)
ASKED = ("/callfleet.v1.LLMService/ProcessText", llm_pb2.TextProcessingRequest)
BEGUN = (
    "/callfleet.v1.AIVoiceConnectorService/CreateSession",
    connector_pb2.CreateSessionRequest,
)
CHOSEN = ("/callfleet.v1.ASRService/SelectProvider", common_pb2.ProviderSelectionRequest)
SET = ("/callfleet.v1.VADService/Configure", vad_pb2.VADConfiguration)
GOOD: dict[Any, dict[str, Any]] = {
    SPOKEN: {"text": "Hello.", "session_id": UNKNOWN, "format": PCM, "sample_rate": 8000},
    ASKED: {"text": "hello", "session_id": UNKNOWN},
    BEGUN: {"format": PCM, "sample_rate": 8000},
    CHOSEN: {"stage": common_pb2.PROVIDER_STAGE_ASR, "provider": "sphinx"},
    SET: {},
}
CASES: list[tuple[str, Any, dict[str, Any], str]] = [
    ("empty text", SPOKEN, {"text": ""}, "text"),
    ("empty text", ASKED, {"text": ""}, "text"),
    ("long text", SPOKEN, {"text": "\u00e4" * 4097}, "text"),
    ("long text", ASKED, {"text": "x" * 8193}, "text"),
    ("NUL in a text", ASKED, {"text": "a\0b"}, "text"),
    ("no uuid", SPOKEN, {"session_id": "1"}, "session_id"),
    ("no uuid", ASKED, {"session_id": "1"}, "session_id"),
    ("unknown format", SPOKEN, {"format": 9}, "format"),
    ("rate 0", SPOKEN, {"sample_rate": 0}, "sample_rate"),
    ("a rate that is not spoken", SPOKEN, {"sample_rate": 44_100}, "sample_rate"),
    ("too fast", SPOKEN, {"speed": 9.0}, "speed"),
    ("no speed", SPOKEN, {"speed": float("nan")}, "speed"),
    ("an odd voice", SPOKEN, {"voice": "../../etc/passwd x"}, "voice"),
    ("an odd intent", ASKED, {"intent": "a b"}, "intent"),
    ("an odd language", ASKED, {"language": "english please"}, "language"),
    ("number in words", BEGUN, {"caller_phone": "five five five"}, "caller_phone"),
    ("number in words", BEGUN, {"dialed_number": "nine one one"}, "dialed_number"),
    ("unknown format", BEGUN, {"format": 9}, "format"),
    ("rate 0", BEGUN, {"sample_rate": 0}, "sample_rate"),
    ("G.711 at 16 kHz", BEGUN, {"format": PCMU, "sample_rate": 16_000}, "sample_rate"),
    ("no uuid", BEGUN, {"session_id": "x"}, "session_id"),
    ("a long Call-ID", BEGUN, {"sip_call_id": "x" * 256}, "sip_call_id"),
    ("no stage", CHOSEN, {"stage": 0}, "stage"),
    ("another's stage", CHOSEN, {"stage": common_pb2.PROVIDER_STAGE_TTS}, "stage"),
    ("no provider", CHOSEN, {"provider": ""}, "provider"),
    ("many fallbacks", CHOSEN, {"fallbacks": ["a"] * 9}, "fallbacks"),
    ("more than sure", SET, {"confidence_threshold": 1.5}, "confidence_threshold"),
    ("too long", SET, {"start_milliseconds": 5001}, "start_milliseconds"),
    ("too loud", SET, {"minimum_level_dbfs": 3.0}, "minimum_level_dbfs"),
]


async def test_bad_requests_of_speech_name_their_field(
    whole: Whole, caplog: pytest.LogCaptureFixture
) -> None:
    before = await whole.stored()
    for name, what, changed, field in CASES:
        rpc, kind = what
        found = await whole.refused(rpc, kind(**(GOOD[what] | changed)))
        assert found.code is INVALID, (rpc, name, found)
        assert field in found.fields, (rpc, name, found.fields)
    assert await whole.stored() == before
    assert "five five" not in caplog.text


async def test_a_huge_history_is_refused_as_an_argument_too(whole: Whole) -> None:
    history = [context_pb2.ConversationMessage(content="x" * 100)] * 400
    question = llm_pb2.TextProcessingRequest(
        text="hello",
        session_id=await whole.rig.session(),
        context=context_pb2.ConversationContext(conversation_history=history),
    )
    found = await whole.refused(ASKED[0], question)
    assert (found.code, list(found.fields)) == (INVALID, ["context.conversation_history"])


# --- who asks, and how often ------------------------------------------------------------------


def tokens_that_are_not_good(whole: Whole, rpc: str) -> Iterator[tuple[str, Any, grpc.StatusCode]]:
    by_agent = "voiceagent" in POLICY[rpc].roles
    subject = AGENT if by_agent else CLIENT
    mint, rule = whole.rig.tokens.mint(subject), POLICY[rpc]
    others = [audience for audience in AUDIENCES if audience != rule.audience]
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    yield "TOKEN_MISSING", (), unauthenticated
    for code, token, status in (
        ("TOKEN_AUDIENCE", mint.token(others, SCOPES), unauthenticated),
        (
            "TOKEN_SCOPE",
            mint.token([rule.audience], [scope for scope in SCOPES if scope != rule.scope]),
            grpc.StatusCode.PERMISSION_DENIED,
        ),
        (
            "TOKEN_OF_ANOTHER",
            whole.rig.tokens.mint(CLIENT if by_agent else AGENT).token([rule.audience], SCOPES),
            unauthenticated,
        ),
    ):
        yield code, (("authorization", f"Bearer {token}"),), status


async def test_a_token_for_another_audience_scope_or_client_opens_no_rpc(whole: Whole) -> None:
    before = await whole.stored()
    for rpc, method in METHODS.items():
        message = method.input_type._concrete_class()
        for code, metadata, status in tokens_that_are_not_good(whole, rpc):
            found = await whole.refused(rpc, message, metadata=metadata)
            assert (found.code, found.detail.code) == (status, code), (rpc, found)
            assert list(found.fields) == ["authorization"]
    assert await whole.stored() == before


async def test_a_client_over_its_rate_is_told_the_field_and_when_and_changes_nothing(
    tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    limits = {"burst": 1.0, "agents_per_minute": 0.6}  # one in 100 s
    async with rigged(tmp_path, postgres.url, redis_server.url, **limits) as rig:
        request = session_pb2.CallSession(session_id=str(uuid4()), sip_call_id="a@b")
        began = time.monotonic()
        await rig.ask(rig.sessions.CreateSession, request)
        before = await rows_of(postgres)
        end = session_pb2.EndSessionRequest(session_id=request.session_id)
        found = await rig.refused(rig.sessions.EndSession, end)
        assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert list(found.fields) == ["authorization"]
        took_s = time.monotonic() - began
        assert 100 - took_s <= int(found.trailers["retry-after"]) <= 100
        assert await rows_of(postgres) == before


# --- every field that may grow ----------------------------------------------------------------


async def test_text_that_is_no_utf8_is_refused_by_every_rpc_with_its_field(whole: Whole) -> None:
    before = await whole.stored()
    for case in texts("MARK"):
        raw = case.message.SerializeToString().replace(b"MARK", b"ab\xff\xfe")
        found = await whole.refused(case.rpc, Raw(raw))
        assert found.code is INVALID, str(case)
        assert found.fields == {case.field: "is not UTF-8"}, str(case)
        assert found.detail.field == case.field
    assert await whole.stored() == before


async def test_what_is_too_long_is_refused_by_every_rpc_with_its_field(whole: Whole) -> None:
    before = await whole.stored()
    cases: tuple[Grown, ...] = (
        *texts("a" * 64 * 1024), *lists(10_000), *blobs((1 << 20) + 2),
    )  # fmt: skip
    assert {case.rpc for case in cases} == METHODS.keys()
    for case in cases:
        found = await whole.refused(case.rpc, case.message)
        assert found.code is INVALID, str(case)
        assert case.field in found.fields, (str(case), found.fields)
    assert await whole.stored() == before


class Raw:
    """Bytes that say that they are a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:  # noqa: N802, the name is protobuf's
        return self._data
