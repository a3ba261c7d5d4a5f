"""Marked secrets go into every RPC of every service; afterwards nothing that is watched holds one.

Logs (at DEBUG, of the services and of the worker processes that hold streams), metrics, traces,
errors and Redis' key names are searched, with the secrets in every form in which they could be
written.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToJson
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status
from prometheus_client import generate_latest
from redis.asyncio import Redis

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet.v1 import common_pb2, connector_pb2, llm_pb2, tts_pb2
from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.platform_settings import ROLES
from callfleet_agent.audio import Pcm8k
from callfleet_agent.services.policy import POLICY
from fakes.bank import Fault
from fakes.model_server import FakeOpenAI, Trouble
from identities import AGENT, CLIENT, channel
from marked import (
    BIRTH,
    CALLER,
    CARD,
    CODE,
    CUSTOMER,
    DISPLAY,
    HEADER,
    MODEL_SAID,
    NUMBER,
    SAID,
    SECRETS,
    SPOKEN,
    SPOKEN_BIRTH,
    everything_logged,
    spans_kept,
    traced,
)
from platform_rig import Rig, proof, rigged
from private import leaks
from rpcs import METHODS
from spoken_streams import PCM, PCMU, chunks, spoken
from stores import Server, database, migrated

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spoken(minutes=0.6, again=False),
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here"),
]
RPCS: Final = {name.rpartition(".")[2]: method for name, method in METHODS.items()}
TEXTS: Final = (SAID, DISPLAY * 100, CALLER, HEADER)
ANSWER_S: Final = 60.0
PROVED: Final = "BankingService/AuthenticateCustomer"
JUDGED: Final = [
    bank_pb.AUTHENTICATION_STATUS_VERIFIED, bank_pb.AUTHENTICATION_STATUS_PENDING,
    bank_pb.AUTHENTICATION_STATUS_VERIFIED, bank_pb.AUTHENTICATION_STATUS_VERIFIED,
]  # fmt: skip
BLOCK: Final = bank_pb.TRANSACTION_TYPE_CARD_BLOCK
TRANSACTIONS: Final[tuple[tuple[Any, dict[str, Any]], ...]] = (
    (bank_pb.TRANSACTION_TYPE_CARD_INQUIRY, {"cardId": HEADER}),
    (bank_pb.TRANSACTION_TYPE_BALANCE_CHECK, {"accountId": HEADER}),
    (BLOCK, {"cardId": HEADER, "reason": "lost"}),
    (BLOCK, {"cardId": SAID, "reason": DISPLAY}),
    (BLOCK, {SAID: CALLER}),
)


class Asker:
    """Asks as an agent where agents may, and as a program elsewhere; refusals are collected."""

    def __init__(self, rig: Rig, as_client: grpc.aio.Channel) -> None:
        self.rig = rig
        self.errors: list[str] = []
        self._channels: dict[str, Any] = {AGENT: rig.channel, CLIENT: as_client}
        self.tokens = {name: rig.tokens.metadata(name) for name in self._channels}

    def call(self, rpc: str, *messages: Any, metadata: Any = None) -> Any:
        method = RPCS[rpc]
        name = f"/callfleet.v1.{rpc}"
        who = AGENT if "voiceagent" in POLICY[name].roles else CLIENT
        kinds = {(False, False): "unary_unary", (False, True): "unary_stream"}
        kind = kinds.get((method.client_streaming, method.server_streaming), "stream_stream")
        made = getattr(self._channels[who], kind)(
            name,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        is_one = not method.client_streaming or hasattr(messages[0], "__aiter__")
        request = messages[0] if is_one else iter(messages)
        return made(
            request, metadata=self.tokens[who] if metadata is None else metadata, timeout=240
        )

    async def ask(self, rpc: str, *messages: Any, metadata: Any = None) -> list[Any]:
        """What is answered; nothing when it is refused."""
        call = self.call(rpc, *messages, metadata=metadata)
        try:
            return [one async for one in call] if hasattr(call, "__aiter__") else [await call]
        except grpc.aio.AioRpcError as error:
            self.errors.append(shown(error))
            return []


def shown(error: grpc.aio.AioRpcError) -> str:
    """All that a refusal says; its details as text, in which ids stand alone."""
    metadata: Any = error.trailing_metadata() or ()
    trailers: dict[str, Any] = dict(metadata)
    status = trailers.pop("grpc-status-details-bin", b"")
    return f"{error.details()} {trailers} {MessageToJson(Status.FromString(status))}"


def proofs(session: str) -> list[bank_pb.AuthenticationRequest]:
    """A date of birth, the wish for a code, the code; and digits of a card."""
    born = bank_pb.AUTHENTICATION_METHOD_DATE_OF_BIRTH
    code = bank_pb.AUTHENTICATION_METHOD_ONE_TIME_CODE
    given: tuple[tuple[str, Any], ...] = ((BIRTH, born), ("", code), (CODE, code))
    made = [proof(session, one, customer_id=NUMBER, method=method) for one, method in given]
    return [*made, proof(session, CARD, customer_id=NUMBER)]


def said(session: str) -> context_pb.ContextUpdateRequest:
    """What a conversation holds."""
    line = context_pb.ConversationMessage(role=context_pb.ROLE_CALLER, content=SAID)
    update = context_pb.ContextUpdateRequest(
        session_id=session, append=[line], request_id=str(uuid4())
    )
    update.customer_data.update({"phone": CALLER, "name": DISPLAY, "pin": CARD})
    return update


async def judged(asker: Asker, session: str) -> list[Any]:
    """The verdicts on every kind of proof."""
    given = proofs(session)
    return [verdict.status for one in given for verdict in await asker.ask(PROVED, one)]


async def transacted(asker: Asker, session: str) -> list[Any]:
    """What came of every kind of transaction."""
    card = bank_pb.CardDeliveryRequest(session_id=session, customer_id=NUMBER, card_id=HEADER)
    await asker.ask("BankingService/QueryCardDelivery", card)
    outcomes: list[Any] = []
    for kind, arguments in TRANSACTIONS:
        request = bank_pb.TransactionRequest(
            transaction_id=str(uuid4()), session_id=session, customer_id=NUMBER,
            transaction_type=kind,
        )  # fmt: skip
        request.query_parameters.update(arguments)
        answers = await asker.ask("BankingService/ProcessTransaction", request)
        outcomes += [one.outcome for one in answers]
    return outcomes


async def in_the_bank(asker: Asker, session: str) -> None:
    """Proofs and transactions, with a bank that works and with one that does not."""
    assert await judged(asker, session) == JUDGED  # what is looked for got inside
    outcomes = await transacted(asker, session)
    for fault in (Fault.status(500, times=9), Fault.malformed(times=9)):
        asker.rig.bank.fault = fault
        outcomes += await transacted(asker, session)
        await asker.ask(PROVED, proof(session, CARD, customer_id=NUMBER))
    asker.rig.bank.fault = None
    made = bank_pb.TransactionResponse
    assert {made.OUTCOME_COMPLETED, made.OUTCOME_PENDING} <= set(outcomes)


async def in_text(asker: Asker, model: FakeOpenAI, session: str) -> str:
    """Answers to what is typed, also with a model that fails; the text of all."""
    told = ""
    for trouble in (None, Trouble.garbage(), Trouble.error(500)):
        model.trouble = trouble
        for text in (SAID, "where is my credit card", NUMBER, CARD, DISPLAY):
            request = llm_pb2.TextProcessingRequest(
                text=text, session_id=session,
                context=context_pb.ConversationContext(conversation_history=said(session).append),
            )  # fmt: skip
            pieces = await asker.ask("LLMService/ProcessText", request)
            told += "".join(one.text for one in pieces)
    await asker.ask("LLMService/UpdateContext", said(session))
    return told


async def in_sound(asker: Asker) -> None:
    """Speech that is heard, and a text that is spoken."""
    session = str(uuid4())
    heard = chunks(await spoken(SPOKEN), session_id=session)
    assert await asker.ask("ASRService/RecognizeSpeech", *heard), asker.errors[-1:]
    assert await asker.ask("VADService/ProcessAudio", *heard), asker.errors[-1:]
    text = f"{SAID}. {NUMBER}. {SPOKEN}, {CARD}. {BIRTH}."
    request = tts_pb2.TextSynthesisRequest(
        text=text, session_id=session, format=PCM, sample_rate=8000
    )
    assert await asker.ask("TTSService/SynthesizeText", request)


async def in_a_stream(asker: Asker, *sentences: str) -> None:
    """A conversation over a stream: each sentence after one of the agent's, and the last one again
    and again, since on a busy machine two of them may be heard as one."""
    service = "AIVoiceConnectorService"
    made = connector_pb2.CreateSessionRequest(
        format=PCMU, sample_rate=8000, caller_phone=CALLER, sip_call_id=f"{uuid4()}@phone"
    )
    (began,) = await asker.ask(f"{service}/CreateSession", made)
    sounds = [chunks(await spoken(one), 160) for one in sentences]
    answers: asyncio.Queue[str] = asyncio.Queue()

    async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
        yield chunks(Pcm8k.silence(160), session_id=began.session_id)[0]
        numbers = count(1)
        for sound in chain(sounds, repeat(sounds[-1])):
            with suppress(TimeoutError):  # the agent may have nothing to say
                await asyncio.wait_for(answers.get(), ANSWER_S)
            for chunk in sound:
                chunk.sequence_number = next(numbers)
                yield chunk

    async def listen() -> None:
        async for chunk in asker.call(f"{service}/ProcessAudioStream", caller()):
            if chunk.end_of_utterance:
                answers.put_nowait(chunk.correlation_id)

    listening = asyncio.create_task(listen())
    question = connector_pb2.SessionStatusRequest(session_id=began.session_id)
    turns = 0
    async with asyncio.timeout(240):
        while turns < len(sentences) - 1:  # of the last two one may be heard as more of the other
            await asyncio.sleep(1.0)
            (status,) = await asker.ask(f"{service}/GetSessionStatus", question)
            turns = status.turns
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    over = session_pb.EndSessionRequest(session_id=began.session_id)
    assert await asker.ask(f"{service}/EndSession", over)


async def in_every_field(asker: Asker, session: str) -> None:
    """Each text in each field of each request, and tokens that are none."""
    for text in (BIRTH, SPOKEN_BIRTH, CODE):
        await asker.ask(PROVED, proof(session, text, customer_id=NUMBER, method=99))
    for rpc, method in RPCS.items():
        for field in method.input_type.fields:
            if field.cpp_type != FieldDescriptor.CPPTYPE_STRING or field.is_repeated:
                continue
            for text in TEXTS:
                message: Any = GetMessageClass(method.input_type)()
                if field.name != "session_id" and "session_id" in method.input_type.fields_by_name:
                    message.session_id = session
                value = text if field.type == field.TYPE_STRING else text.encode()
                setattr(message, field.name, value)
                await asker.ask(rpc, message)
        good = asker.tokens[AGENT][0][1]
        for bad in (f"Bearer {HEADER}", HEADER, f"{good[:-4]}AAAA"):
            metadata = (("authorization", bad), ("x-correlation-id", DISPLAY.encode().hex()))
            await asker.ask(rpc, GetMessageClass(method.input_type)(), metadata=metadata)


async def without_tables(asker: Asker, postgres: Server, session: str) -> None:
    """The database refuses, and says with what."""
    async with database(postgres.url) as connected, connected.transaction() as connection:
        for table in ("banking_transactions", "conversation_contexts"):
            await connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO gone_{table}")
    await asker.ask(PROVED, proof(session, CARD, customer_id=NUMBER))
    await asker.ask("ContextStoreService/UpdateContext", said(session))
    question = llm_pb2.TextProcessingRequest(text=SAID, session_id=session)
    await asker.ask("LLMService/ProcessText", question)


async def test_requests_to_the_services_leave_nothing_private_behind(
    tmp_path: Path,
    postgres: Server,
    redis_server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    monkeypatch.setenv("CALLFLEET_LOG_LEVEL", "DEBUG")
    more = {
        "roles": ROLES, "burst": 1e5, "per_minute": 6e5, "agents_per_minute": 6e5, "calls": 8,
    }  # fmt: skip
    with everything_logged() as log, spans_kept() as spans:
        async with (
            FakeOpenAI(MODEL_SAID) as model,
            rigged(
                tmp_path, postgres.url, redis_server.url, llm_url=model.base, llm_model="m", **more
            ) as rig,
            channel(rig.platform.port, rig.authority.issue(tmp_path / "client", CLIENT)) as client,
        ):
            rig.bank.state.customers.append(CUSTOMER)
            rig.bank.state.codes.draw = lambda: CODE
            asker = Asker(rig, client)
            session = await rig.session(caller_phone=CALLER)
            assert await asker.ask("ContextStoreService/UpdateContext", said(session))
            told = await in_text(asker, model, await rig.session(caller_phone=CALLER))
            await in_sound(asker)
            await in_a_stream(asker, "where is my credit card", SPOKEN, SAID)
            await in_the_bank(asker, session)
            await in_every_field(asker, session)
            metrics = generate_latest(rig.platform.metrics.registry).decode()
            await without_tables(asker, postgres, session)
        watched = {"log": log.getvalue(), "traces": traced(spans)}
    async with Redis.from_url(redis_server.url) as redis:
        keys = [key.decode() for key in await redis.keys("*")]
    captured = capfd.readouterr()
    watched |= {
        "workers' log": captured.err,
        "output": captured.out,
        "errors": "\n".join(asker.errors),
        "metrics": metrics,
        "keys": "\n".join(keys),
    }

    assert MODEL_SAID in told
    assert "shipped" in told
    assert len(asker.errors) > 200
    assert keys
    assert "ProgrammingError" in watched["log"]  # the database's own words were logged, and cleaned
    tokens = {who: token[0][1].removeprefix("Bearer ") for who, token in asker.tokens.items()}
    found = {name: leaks(text, SECRETS | tokens) for name, text in watched.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}
