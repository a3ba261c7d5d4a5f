"""A session, its context and its transactions are there for the identity that made it, and for
nobody else: neither to read nor to write, neither from Redis nor from PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from redis.asyncio import Redis
from sqlalchemy import text

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.services.actor import acts_for
from callfleet_agent.services.ownership import access_of, own_namespace, voice_agent_of
from callfleet_agent.session.access import Access
from fakes.bank import Fault
from identities import AGENT, CLIENT, OPERATOR, SERVICE, Authority, channel
from platform_rig import PHONE, Refused, Rig, proof, rigged
from stores import Server, database, migrated

SAME_NAMESPACE = AGENT.replace("card-line", "loan-line")
OTHER_NAMESPACE = AGENT.replace("/ns/bank/", "/ns/insurance/")
CONNECTOR = "spiffe://callfleet.io/ns/callfleet-system/service/ai-voice-connector"
LLM = "spiffe://callfleet.io/ns/callfleet-system/service/llm"
LLM_ELSEWHERE = LLM.replace("callfleet-system", "insurance")
STRANGERS = {
    "another agent of the namespace": SAME_NAMESPACE,
    "an agent of its name in another namespace": OTHER_NAMESPACE,
    "a connector of the platform": CONNECTOR,
}
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture
async def rig(tmp_path: Path, postgres: Server, redis_server: Server) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    async with rigged(tmp_path, postgres.url, redis_server.url, burst=1e4) as running:
        yield running


@asynccontextmanager
async def other(rig: Rig, identity: str) -> AsyncIterator["As"]:
    files = rig.authority.issue(rig.folder / str(uuid4()), identity)
    async with channel(rig.platform.port, files) as on:
        yield As(rig, on, identity)


class As:
    """Asks with another identity."""

    def __init__(self, rig: Rig, on: grpc.aio.Channel, identity: str) -> None:
        self._on: Any = on
        self._metadata = rig.tokens.metadata(identity)

    async def ask(self, service: str, name: str, request: Any, kind: Any) -> Any:
        rpc = self._on.unary_unary(
            f"/callfleet.v1.{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=kind.FromString,
        )
        return await rpc(request, metadata=self._metadata, timeout=60)

    async def refused(self, service: str, name: str, request: Any) -> Refused:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(service, name, request, type(request))
        return Refused.of(caught.value)


def everything_about(session: str, call: str) -> list[tuple[str, str, Any]]:
    """Every request that names a session."""
    said = context_pb.ConversationMessage(role=context_pb.ROLE_CALLER, content="planted")
    return [
        ("SessionManagerService", "GetSession", session_pb.GetSessionRequest(session_id=session)),
        ("SessionManagerService", "GetSession", session_pb.GetSessionRequest(sip_call_id=call)),
        (
            "SessionManagerService",
            "UpdateSession",
            session_pb.UpdateSessionRequest(
                session=session_pb.CallSession(session_id=session, avc_instance="evil"),
                update_mask=FieldMask(paths=["avc_instance"]),
            ),
        ),
        ("SessionManagerService", "EndSession", session_pb.EndSessionRequest(session_id=session)),
        ("ContextStoreService", "GetContext", context_pb.ContextRequest(session_id=session)),
        (
            "ContextStoreService",
            "UpdateContext",
            context_pb.ContextUpdateRequest(session_id=session, append=[said]),
        ),
        ("BankingService", "AuthenticateCustomer", proof(session)),
        (
            "BankingService",
            "QueryCardDelivery",
            bank_pb.CardDeliveryRequest(session_id=session, customer_id="200417"),
        ),
        (
            "BankingService",
            "ProcessTransaction",
            bank_pb.TransactionRequest(
                transaction_id=str(uuid4()),
                session_id=session,
                customer_id="200417",
                transaction_type=bank_pb.TRANSACTION_TYPE_CARD_BLOCK,
            ),
        ),
    ]


async def stored(postgres: Server) -> list[tuple[Any, ...]]:
    tables = ("call_sessions", "conversation_contexts", "banking_transactions", "applied_requests")
    async with database(postgres.url) as connected, connected.transaction() as connection:
        rows: list[tuple[Any, ...]] = []
        for table in tables:
            found = await connection.execute(text(f"SELECT {table}::text FROM {table} ORDER BY 1"))
            rows += [tuple(row) for row in found]
    return rows


@pytest.mark.parametrize("identity", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("from_where", ["Redis", "PostgreSQL"])
async def test_to_a_stranger_nothing_is_there_and_nothing_is_changed(
    rig: Rig, postgres: Server, redis_server: Server, identity: str, from_where: str
) -> None:
    session = await rig.verified()
    update = context_pb.ContextUpdateRequest(session_id=session)
    update.customer_data.update({"name": "Ada"})
    await rig.ask(rig.contexts.UpdateContext, update)
    found = await rig.ask(rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session))
    before, asked = await stored(postgres), len(rig.bank.requests)

    async with other(rig, identity) as stranger:
        for service, name, request in everything_about(session, found.sip_call_id):
            if from_where == "PostgreSQL":
                await emptied(redis_server)
            refused = await stranger.refused(service, name, request)
            assert refused.code is NOT_FOUND, (name, refused)
            assert "SESSION_NOT_FOUND" in refused.detail.code or "CONTEXT" in refused.detail.code
        cleanup = context_pb.CleanupRequest(session_id=session)
        removed = await stranger.ask(
            "ContextStoreService", "CleanupContext", cleanup, context_pb.CleanupResponse
        )
        taken = await stranger.refused(
            "SessionManagerService",
            "CreateSession",
            session_pb.CallSession(session_id=session, sip_call_id=found.sip_call_id),
        )

    assert removed.removed == 0
    assert taken.detail.code == "SESSION_EXISTS"
    assert await stored(postgres) == before
    assert len(rig.bank.requests) == asked
    context = await rig.ask(rig.contexts.GetContext, context_pb.ContextRequest(session_id=session))
    assert dict(context.customer_data) == {"name": "Ada"}


async def emptied(redis_server: Server) -> None:
    async with Redis.from_url(redis_server.url) as redis:
        await redis.flushall()


async def test_a_call_id_finds_the_askers_own_session(rig: Rig) -> None:
    mine = await rig.session()
    call = (
        await rig.ask(rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=mine))
    ).sip_call_id
    async with other(rig, SAME_NAMESPACE) as stranger:
        theirs = await stranger.ask(
            "SessionManagerService",
            "CreateSession",
            session_pb.CallSession(sip_call_id=call),
            session_pb.SessionResponse,
        )
        by_call = session_pb.GetSessionRequest(sip_call_id=call)
        seen = await stranger.ask(
            "SessionManagerService", "GetSession", by_call, session_pb.CallSession
        )
    assert seen.session_id == theirs.session_id != mine
    found = await rig.ask(rig.sessions.GetSession, session_pb.GetSessionRequest(sip_call_id=call))
    assert found.session_id == mine


async def test_an_agent_cannot_file_a_session_under_the_name_of_another(rig: Rig) -> None:
    named = session_pb.CallSession(sip_call_id="a@b", voice_agent="bank/loan-line")
    refused = await rig.refused(rig.sessions.CreateSession, named)
    assert (refused.code, list(refused.fields)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        ["voice_agent"],
    )
    found = await rig.ask(
        rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=await rig.session())
    )
    assert found.voice_agent == "bank/card-line"


async def test_expired_contexts_of_others_stay(rig: Rig, postgres: Server) -> None:
    session = await rig.session()
    await rig.ask(rig.contexts.UpdateContext, context_pb.ContextUpdateRequest(session_id=session))
    async with database(postgres.url) as connected, connected.transaction() as connection:
        await connection.execute(text("UPDATE conversation_contexts SET expires_at = now()"))
    cleanup = context_pb.CleanupRequest(expired=True)
    async with other(rig, OTHER_NAMESPACE) as stranger:
        theirs = await stranger.ask(
            "ContextStoreService", "CleanupContext", cleanup, context_pb.CleanupResponse
        )
    mine = await rig.ask(rig.contexts.CleanupContext, cleanup)
    assert (theirs.removed, mine.removed) == (0, 1)


async def test_the_platforms_own_services_and_the_operator_see_what_they_serve(rig: Rig) -> None:
    session = await rig.session(caller_phone=PHONE)
    question = session_pb.GetSessionRequest(session_id=session)
    for identity in (OPERATOR, LLM):
        async with other(rig, identity) as served:
            found = await served.ask(
                "SessionManagerService", "GetSession", question, session_pb.CallSession
            )
            assert found.session_id == session
    async with other(rig, LLM_ELSEWHERE) as somebody:
        refused = await somebody.refused("SessionManagerService", "GetSession", question)
    assert refused.code is NOT_FOUND


async def test_what_belongs_to_nobody_is_shown_to_no_agent(rig: Rig, postgres: Server) -> None:
    session = await rig.session()
    async with database(postgres.url) as connected, connected.transaction() as connection:
        await connection.execute(text("UPDATE call_sessions SET owner = ''"))
    async with Redis.from_url(rig.platform.settings.redis_url) as redis:
        await redis.flushall()
    question = session_pb.GetSessionRequest(session_id=session)
    assert (await rig.refused(rig.sessions.GetSession, question)).code is NOT_FOUND


async def test_who_sees_what(tmp_path: Path) -> None:
    home = own_namespace(Authority().issue(tmp_path / "server", SERVICE))
    assert home == "callfleet-system"
    assert own_namespace(Authority().issue(tmp_path / "nobody")) == ""
    assert access_of(AGENT, home) == Access(AGENT)
    assert access_of(CLIENT, home) == Access(CLIENT)
    assert access_of(CONNECTOR, home) == Access(CONNECTOR)
    assert access_of(OPERATOR, home).everything
    assert access_of(LLM, home).everything
    assert not access_of(LLM, "").everything
    assert not access_of(LLM_ELSEWHERE, home).everything
    assert not access_of("none", home).covers("")
    assert not access_of("none", home).covers(AGENT)
    assert voice_agent_of(AGENT) == "bank/card-line"
    assert voice_agent_of(CLIENT) is None
    with acts_for(AGENT):
        pass


# --- two writers, and an id that comes again --------------------------------------------------


async def test_of_two_writers_that_read_the_same_session_one_is_told(rig: Rig) -> None:
    session = await rig.session()
    read = await rig.ask(rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session))

    def move(pod: str) -> Any:
        return rig.sessions.UpdateSession(
            session_pb.UpdateSessionRequest(
                session=session_pb.CallSession(session_id=session, avc_instance=pod),
                update_mask=FieldMask(paths=["avc_instance"]),
                expected_version=read.version,
            ),
            metadata=rig.tokens.metadata(AGENT),
        )

    answers = await asyncio.gather(
        *(move(f"pod-{number}") for number in range(6)), return_exceptions=True
    )
    done = [one for one in answers if isinstance(one, session_pb.SessionResponse)]
    late = [Refused.of(one) for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    found = await rig.ask(rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session))

    assert read.version == 1
    assert [one.version for one in done] == [found.version] == [2]
    assert {(one.code, one.detail.code) for one in late} == {
        (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
    }
    assert {tuple(one.fields) for one in late} == {("expected_version",)}
    assert len(late) == 5


async def test_two_writers_of_different_fields_lose_nothing(rig: Rig) -> None:
    session = await rig.session()
    config = session_pb.CallSession(session_id=session)
    config.ai_provider_config.update({"asr": ["whisper"]})
    await asyncio.gather(
        rig.ask(
            rig.sessions.UpdateSession,
            session_pb.UpdateSessionRequest(
                session=config, update_mask=FieldMask(paths=["ai_provider_config"])
            ),
        ),
        rig.ask(
            rig.sessions.UpdateSession,
            session_pb.UpdateSessionRequest(
                session=session_pb.CallSession(session_id=session, avc_instance="pod-9"),
                update_mask=FieldMask(paths=["avc_instance"]),
            ),
        ),
    )
    found = await rig.ask(rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session))
    assert (found.version, found.avc_instance) == (3, "pod-9")
    assert list(found.ai_provider_config["asr"]) == ["whisper"]


async def test_the_id_of_a_proof_is_worth_nothing_with_another_proof(
    rig: Rig, postgres: Server
) -> None:
    session = await rig.session()
    request_id = str(uuid4())
    right = proof(session, request_id=request_id)
    first = await rig.ask(rig.banking.AuthenticateCustomer, right)
    asked = rig.bank.state.authentications
    again = await rig.ask(rig.banking.AuthenticateCustomer, right)
    for wrong in (
        proof(session, "0000", request_id=request_id),
        proof(session, "4271", request_id=request_id, method=bank_pb.AUTHENTICATION_METHOD_PIN),
        proof(session, request_id=request_id, customer_id="318265"),
    ):
        refused = await rig.refused(rig.banking.AuthenticateCustomer, wrong)
        assert (refused.code, refused.detail.code) == (
            grpc.StatusCode.ALREADY_EXISTS,
            "TRANSACTION_REUSED",
        )
        assert list(refused.fields) == ["request_id"]
    assert first.status == again.status == bank_pb.AUTHENTICATION_STATUS_VERIFIED
    assert rig.bank.state.authentications == asked

    elsewhere = proof(await rig.session(), "0000", request_id=request_id)
    judged = await rig.ask(rig.banking.AuthenticateCustomer, elsewhere)
    assert judged.status == bank_pb.AUTHENTICATION_STATUS_FAILED  # and not the first verdict
    assert rig.bank.state.authentications == asked + 1

    async with database(postgres.url) as connected, connected.transaction() as connection:
        await connection.execute(text("UPDATE banking_transactions SET request_digest = NULL"))
    late = await rig.refused(rig.banking.AuthenticateCustomer, right)
    assert late.detail.code == "TRANSACTION_REUSED"  # what it was is forgotten by now


async def test_a_proof_whose_answer_was_lost_is_asked_for_again_by_the_same_proof_alone(
    rig: Rig,
) -> None:
    session = await rig.session()
    request_id = str(uuid4())
    rig.bank.fault = Fault.lost_answer(times=1)
    right = proof(session, request_id=request_id)
    lost = await rig.refused(rig.banking.AuthenticateCustomer, right)
    wrong = await rig.refused(
        rig.banking.AuthenticateCustomer, proof(session, "0000", request_id=request_id)
    )
    found = await rig.ask(rig.banking.AuthenticateCustomer, right)
    assert lost.detail.code == "BANK_UNAVAILABLE"
    assert wrong.detail.code == "TRANSACTION_REUSED"
    assert found.status == bank_pb.AUTHENTICATION_STATUS_VERIFIED
    assert rig.bank.state.authentications == 1  # the bank counted it once


async def test_what_the_bank_declines_is_answered_as_declined_and_stays_so(
    rig: Rig, postgres: Server
) -> None:
    session = await rig.verified()

    def block() -> bank_pb.TransactionRequest:
        return bank_pb.TransactionRequest(
            transaction_id=str(uuid4()),
            session_id=session,
            customer_id="200417",
            transaction_type=bank_pb.TRANSACTION_TYPE_CARD_BLOCK,
        )

    done = await rig.ask(rig.banking.ProcessTransaction, block())
    second = block()
    declined = await rig.ask(rig.banking.ProcessTransaction, second)
    again = await rig.ask(rig.banking.ProcessTransaction, second)

    outcomes = bank_pb.TransactionResponse
    assert done.outcome == outcomes.OUTCOME_COMPLETED
    assert declined.outcome == again.outcome == outcomes.OUTCOME_DECLINED
    assert declined.response_data["reason"] == "blocked_already"
    assert rig.bank.state.blocked == 1
    async with database(postgres.url) as connected, connected.transaction() as connection:
        rows = await connection.execute(
            text(
                "SELECT outcome FROM audit_entries WHERE operation = 'CARD_BLOCK'"
                " AND phase = 'ENDED' ORDER BY sequence"
            )
        )
        assert list(rows.scalars()) == ["done", "declined", "declined"]
