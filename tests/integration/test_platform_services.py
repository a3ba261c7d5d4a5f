"""SessionManager, ContextStore and Banking over mutual TLS, on real PostgreSQL and Redis."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from redis.asyncio import Redis
from sqlalchemy import text

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet.v1 import common_pb2
from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.cli.platform import ROLES as NAMED_ROLES
from callfleet_agent.app.platform_settings import ROLES
from fakes.bank import Fault
from identities import AGENT, channel
from platform_rig import PHONE, Rig, past_its_deadline, proof, rigged, session_manager
from stores import Server, database, migrated

CALLER = context_pb.ROLE_CALLER


@pytest.fixture
async def rig(tmp_path: Path, postgres: Server, redis_server: Server) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    async with rigged(tmp_path, postgres.url, redis_server.url) as running:
        yield running


async def entry_of(redis: Redis, key: str) -> dict[str, str]:
    return await cast("Awaitable[dict[str, str]]", redis.hgetall(key))


async def test_a_session_lives_from_its_creation_to_its_end(rig: Rig) -> None:
    session = await rig.session(caller_phone=PHONE, voice_agent="bank/card-line")

    changed = await rig.ask(
        rig.sessions.UpdateSession,
        session_pb.UpdateSessionRequest(
            session=session_pb.CallSession(session_id=session, avc_instance="pod-2"),
            update_mask=FieldMask(paths=["avc_instance"]),
        ),
    )
    ended = await rig.ask(rig.sessions.EndSession, session_pb.EndSessionRequest(session_id=session))
    again = await rig.ask(
        rig.sessions.EndSession,
        session_pb.EndSessionRequest(
            session_id=session, reason=session_pb.EndSessionRequest.REASON_FAILED
        ),
    )
    found = await rig.ask(rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session))
    by_call = await rig.ask(
        rig.sessions.GetSession, session_pb.GetSessionRequest(sip_call_id=found.sip_call_id)
    )

    assert changed.status == session_pb.SESSION_STATUS_ACTIVE
    assert ended.status == again.status == found.status == session_pb.SESSION_STATUS_COMPLETED
    assert (found.avc_instance, found.caller_phone) == ("pod-2", PHONE)
    assert found.call_end_time.seconds > 0
    assert by_call.session_id == session


async def test_creating_a_session_twice_is_creating_it_once(rig: Rig) -> None:
    request = session_pb.CallSession(session_id=str(uuid4()), sip_call_id="a@phone")
    first = await rig.ask(rig.sessions.CreateSession, request)
    second = await rig.ask(rig.sessions.CreateSession, request)
    request.sip_call_id = "another@phone"

    refused = await rig.refused(rig.sessions.CreateSession, request)

    assert first.session_id == second.session_id == request.session_id
    assert (refused.code, refused.detail.code) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "SESSION_EXISTS",
    )


async def test_a_context_grows_once_for_each_request_and_guards_against_lost_updates(
    rig: Rig,
) -> None:
    session = await rig.session()
    message = context_pb.ConversationMessage(role=context_pb.ROLE_CALLER, content="where is it")
    request = context_pb.ContextUpdateRequest(
        session_id=session, append=[message], current_intent="card", request_id=str(uuid4())
    )
    request.customer_data.update({"name": "Ada", "old": "x"})

    first = await rig.ask(rig.contexts.UpdateContext, request)
    again = await rig.ask(rig.contexts.UpdateContext, request)
    forgetting = context_pb.ContextUpdateRequest(
        session_id=session, append=[message], expected_version=1
    )
    forgetting.customer_data.update({"old": None})
    second = await rig.ask(rig.contexts.UpdateContext, forgetting)
    late = await rig.refused(rig.contexts.UpdateContext, forgetting)
    found = await rig.ask(rig.contexts.GetContext, context_pb.ContextRequest(session_id=session))
    newest = await rig.ask(
        rig.contexts.GetContext, context_pb.ContextRequest(session_id=session, history_limit=1)
    )

    assert (first.version, again.version, second.version) == (1, 1, 2)
    assert (late.code, late.detail.code) == (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
    assert [entry.content for entry in found.conversation_history] == ["where is it"] * 2
    assert dict(found.customer_data) == {"name": "Ada"}
    assert found.current_intent == "card"
    assert len(newest.conversation_history) == 1


async def test_a_session_has_a_context_from_its_beginning_and_for_half_an_hour_after_its_end(
    rig: Rig, redis_server: Server
) -> None:
    call = session_pb.CallSession(session_id=str(uuid4()), sip_call_id="a@phone")
    session = (await rig.ask(rig.sessions.CreateSession, call)).session_id
    asked = context_pb.ContextRequest(session_id=session)
    first = await rig.ask(rig.contexts.GetContext, asked)
    assert (first.version, first.session_id, len(first.conversation_history)) == (0, session, 0)

    day = Duration(seconds=24 * 3600)
    update = context_pb.ContextUpdateRequest(session_id=session, current_intent="card", ttl=day)
    await rig.ask(rig.contexts.UpdateContext, update)
    await rig.ask(rig.sessions.CreateSession, call)
    long = await rig.ask(rig.contexts.GetContext, asked)
    assert (long.version, long.current_intent) == (1, "card")
    for _ in range(2):
        await rig.ask(rig.sessions.EndSession, session_pb.EndSessionRequest(session_id=session))
    over = await rig.ask(rig.contexts.GetContext, asked)

    assert long.expires_at.seconds - time.time() > 23 * 3600
    assert over.current_intent == "card"
    assert 1700 < over.expires_at.seconds - time.time() <= 1800
    async with Redis.from_url(redis_server.url) as redis:
        assert 0 < await redis.pttl(f"context:{session}") <= 1800_000


async def test_contexts_are_removed_by_session_and_when_their_time_is_over(rig: Rig) -> None:
    session, other = await rig.session(), await rig.session()
    for target in (session, other):
        await rig.ask(
            rig.contexts.UpdateContext, context_pb.ContextUpdateRequest(session_id=target)
        )

    tried = await rig.ask(
        rig.contexts.CleanupContext, context_pb.CleanupRequest(session_id=session, dry_run=True)
    )
    removed = await rig.ask(
        rig.contexts.CleanupContext, context_pb.CleanupRequest(session_id=session)
    )
    expired = await rig.ask(rig.contexts.CleanupContext, context_pb.CleanupRequest(expired=True))
    gone = await rig.refused(rig.contexts.GetContext, context_pb.ContextRequest(session_id=session))

    assert (tried.removed, removed.removed, expired.removed) == (1, 1, 0)
    assert (gone.code, gone.detail.code) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND")
    kept = await rig.ask(rig.contexts.GetContext, context_pb.ContextRequest(session_id=other))
    assert kept.session_id == other


async def test_a_verified_caller_is_told_where_the_card_is_and_nobody_else(rig: Rig) -> None:
    session, stranger = await rig.verified(), await rig.session()
    question = bank_pb.CardDeliveryRequest(session_id=session, customer_id="200417")

    found = await rig.ask(rig.banking.QueryCardDelivery, question)
    question.customer_id = "318265"
    of_another = await rig.refused(rig.banking.QueryCardDelivery, question)
    question.customer_id, question.session_id = "200417", stranger
    unverified = await rig.refused(rig.banking.QueryCardDelivery, question)

    assert found.status == bank_pb.CARD_DELIVERY_STATUS_SHIPPED
    assert (found.carrier, found.tracking_number) == ("Royal Mail", "12345")
    for refused in (of_another, unverified):
        assert (refused.code, refused.detail.code) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "NOT_VERIFIED",
        )


async def test_three_wrong_proofs_lock_the_customer_in_every_session(rig: Rig) -> None:
    session, other = await rig.session(), await rig.session()
    wrong = [proof(session, "0000") for _ in range(3)]

    answers = [
        await rig.ask(rig.banking.AuthenticateCustomer, wrong[0]),
        await rig.ask(rig.banking.AuthenticateCustomer, wrong[0]),  # again: one try
        await rig.ask(rig.banking.AuthenticateCustomer, wrong[1]),
        await rig.ask(rig.banking.AuthenticateCustomer, wrong[2]),
    ]
    locked = await rig.refused(rig.banking.AuthenticateCustomer, proof(other))

    assert [answer.attempts_left for answer in answers] == [2, 2, 1, 0]
    assert answers[-1].locked_until.seconds > 0
    assert (locked.code, locked.detail.code) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "LOCKED_OUT",
    )
    assert locked.retry_s is not None
    assert 0 < locked.retry_s <= 900
    assert rig.bank.state.authentications == 3


async def test_a_transaction_is_carried_out_once_also_when_its_answer_was_lost(rig: Rig) -> None:
    session = await rig.verified()
    request = bank_pb.TransactionRequest(
        transaction_id=str(uuid4()),
        session_id=session,
        customer_id="200417",
        transaction_type=bank_pb.TRANSACTION_TYPE_CARD_INQUIRY,
    )
    rig.bank.fault = Fault.lost_answer(times=1)

    lost = await rig.ask(rig.banking.ProcessTransaction, request)
    done = await rig.ask(rig.banking.ProcessTransaction, request)
    again = await rig.ask(rig.banking.ProcessTransaction, request)
    request.query_parameters.update({"cardId": "c1"})
    reused = await rig.refused(rig.banking.ProcessTransaction, request)

    outcomes = bank_pb.TransactionResponse
    assert lost.outcome == outcomes.OUTCOME_PENDING
    assert done.outcome == again.outcome == outcomes.OUTCOME_COMPLETED
    assert done.response_data == again.response_data
    posts = [entry for entry in rig.bank.requests if entry.endswith("/transactions")]
    assert len(posts) == 2  # the lost one and the one that was answered; the third was remembered
    assert reused.detail.code == "TRANSACTION_REUSED"


async def test_what_belongs_to_a_customer_is_sealed_in_both_stores(
    rig: Rig, postgres: Server, redis_server: Server
) -> None:
    session = await rig.session(caller_phone=PHONE)
    await rig.ask(rig.banking.AuthenticateCustomer, proof(session))
    update = context_pb.ContextUpdateRequest(
        session_id=session,
        append=[context_pb.ConversationMessage(role=CALLER, content="MARKED-SPEECH")],
    )
    update.customer_data.update({"name": "MARKED-NAME"})
    await rig.ask(rig.contexts.UpdateContext, update)

    command = ["pg_dump", "--data-only", postgres.url]
    dumping = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    dump = (await dumping.communicate())[0].decode()
    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        keys = sorted([key async for key in redis.scan_iter()])
        entries = [await entry_of(redis, key) for key in keys if not key.startswith("rate:")]
        lives = {key: await redis.ttl(key) for key in keys}

    assert session in dump
    for marked in (PHONE, "MARKED-SPEECH", "MARKED-NAME", "200417", "4271", "c-1001"):
        assert marked not in dump
        assert marked not in json.dumps(entries) + json.dumps(keys)
    assert 3500 < lives[f"session:{session}"] <= 3600
    assert 1700 < lives[f"context:{session}"] <= 1800
    assert any(7100 < life <= 7200 for key, life in lives.items() if key.startswith("call_routing"))


async def test_health_and_reflection_need_a_certificate_and_no_token(rig: Rig) -> None:
    health = health_pb2_grpc.HealthStub(rig.channel)
    name = "callfleet.v1.SessionManagerService"
    answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watching = health.Watch(health_pb2.HealthCheckRequest(service=name))
    first = await asyncio.wait_for(anext(aiter(watching)), 60)
    assert first.status == health_pb2.HealthCheckResponse.SERVING
    watching.cancel()

    files = rig.agent
    credentials = grpc.ssl_channel_credentials(
        files.ca.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )
    options = (("grpc.ssl_target_name_override", "platform.test"),)

    def services() -> list[str]:
        target = f"127.0.0.1:{rig.platform.port}"
        with grpc.secure_channel(target, credentials, options=options) as blocking:
            return list(ProtoReflectionDescriptorDatabase(blocking).get_services())

    assert name in await asyncio.to_thread(services)


async def test_a_bank_that_answers_nonsense_is_the_dependencys_fault(rig: Rig) -> None:
    rig.bank.fault = Fault.malformed()
    session = await rig.session()
    refused = await rig.refused(rig.banking.AuthenticateCustomer, proof(session))
    assert refused.code is grpc.StatusCode.INTERNAL
    assert refused.detail.fault == common_pb2.ErrorDetail.FAULT_DEPENDENCY


async def test_a_deadline_that_is_over_stops_the_work(rig: Rig) -> None:
    session = await rig.session()
    rig.bank.fault = Fault.delay(120.0)
    token, right = rig.tokens.metadata(AGENT), proof(session)
    await past_its_deadline(
        lambda seconds: rig.banking.AuthenticateCustomer(right, metadata=token, timeout=seconds),
        lambda: bool(rig.bank.requests),
    )
    value = rig.platform.metrics.registry.get_sample_value
    labels = {"rpc": "BankingService/AuthenticateCustomer", "status": "CANCELLED"}
    async with asyncio.timeout(60):
        while not value("callfleet_grpc_requests_total", labels):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def test_the_command_line_knows_every_role() -> None:
    assert tuple(NAMED_ROLES) == tuple(ROLES)


async def test_a_question_about_a_card_is_a_transaction_once_for_each_id(rig: Rig) -> None:
    session = await rig.verified()
    question = bank_pb.CardDeliveryRequest(
        session_id=session, customer_id="200417", request_id=str(uuid4())
    )
    first = await rig.ask(rig.banking.QueryCardDelivery, question)
    again = await rig.ask(rig.banking.QueryCardDelivery, question)
    assert first.status == again.status == bank_pb.CARD_DELIVERY_STATUS_SHIPPED
    assert first.status_at.seconds > 0
    url = rig.platform.settings.database_url
    async with database(url) as connected, connected.transaction() as connection:
        kept = await connection.execute(
            text(
                "SELECT transaction_type, response_data IS NOT NULL FROM banking_transactions"
                " WHERE session_id = CAST(:session AS uuid) ORDER BY created_at"
            ),
            {"session": session},
        )
    assert [tuple(row) for row in kept] == [("AUTHENTICATION", True), ("CARD_INQUIRY", True)]


async def test_a_caller_id_stands_in_for_a_number(rig: Rig) -> None:
    known = rig.bank.state.customers[0].phone
    session = await rig.session()
    verified = await rig.ask(
        rig.banking.AuthenticateCustomer, proof(session, customer_id="", caller_id=known)
    )
    assert verified.status == bank_pb.AUTHENTICATION_STATUS_VERIFIED
    question = bank_pb.CardDeliveryRequest(session_id=session, customer_id=verified.customer_id)
    found = await rig.ask(rig.banking.QueryCardDelivery, question)
    assert found.status == bank_pb.CARD_DELIVERY_STATUS_SHIPPED


async def test_a_caller_whom_the_bank_does_not_know_loses_no_try(rig: Rig) -> None:
    session = await rig.session()
    for _ in range(4):
        unknown = await rig.ask(
            rig.banking.AuthenticateCustomer,
            proof(session, customer_id="", caller_id="+15550199"),
        )
        assert unknown.status == bank_pb.AUTHENTICATION_STATUS_UNKNOWN_CALLER
        assert unknown.attempts_left == 3
    both = await rig.refused(
        rig.banking.AuthenticateCustomer, proof(session, caller_id="+15550199")
    )
    assert list(both.fields) == ["customer_id"]


class TestInterrupted:
    """The search for a caller's last call, if it broke off."""

    async def last(self, rig: Rig, **question: Any) -> str:
        request = session_pb.FindInterruptedRequest(**question)
        found = await rig.ask(rig.sessions.FindInterrupted, request)
        return str(found.session.session_id)

    async def call(self, rig: Rig, **fields: Any) -> str:
        made = {"caller_phone": PHONE, "voice_agent": "bank/card-line", **fields}
        return await rig.session(**made)

    async def end(self, rig: Rig, session: str, reason: Any) -> None:
        request = session_pb.EndSessionRequest(session_id=session, reason=reason)
        await rig.ask(rig.sessions.EndSession, request)

    async def test_a_call_that_never_ended_or_was_cut_off(self, rig: Rig) -> None:
        session = await self.call(rig)
        assert await self.last(rig, caller_phone=PHONE) == session
        await self.end(rig, session, session_pb.EndSessionRequest.REASON_INTERRUPTED)
        assert await self.last(rig, caller_phone=PHONE) == session
        assert await self.last(rig, caller_phone=PHONE, session_id=session) == ""
        assert await self.last(rig, caller_phone="+15550000000") == ""

    async def test_the_same_call_id(self, rig: Rig) -> None:
        session = await self.call(rig, caller_phone="")
        found = await rig.ask(
            rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=session)
        )
        assert await self.last(rig, sip_call_id=found.sip_call_id) == session
        assert await self.last(rig, sip_call_id="another@phone") == ""

    async def test_only_the_last_call_counts_and_only_this_agents(self, rig: Rig) -> None:
        await self.call(rig)
        completed = await self.call(rig)
        await self.end(rig, completed, session_pb.EndSessionRequest.REASON_COMPLETED)
        assert await self.last(rig, caller_phone=PHONE) == ""
        other = AGENT.replace("card-line", "mortgages")
        on = channel(rig.platform.port, rig.authority.issue(rig.folder / "other", other))
        async with on:
            made = session_pb.CallSession(
                sip_call_id="m@phone", caller_phone=PHONE, voice_agent="bank/mortgages"
            )
            token = rig.tokens.metadata(other)
            await rig.ask(session_manager(on).CreateSession, made, metadata=token)
        assert await self.last(rig, caller_phone=PHONE) == ""

    async def test_how_long_ago(self, rig: Rig) -> None:
        session = await self.call(rig)
        await self.end(rig, session, session_pb.EndSessionRequest.REASON_INTERRUPTED)
        await asyncio.sleep(1.1)
        assert await self.last(rig, caller_phone=PHONE, within=Duration(seconds=1)) == ""
        assert await self.last(rig, caller_phone=PHONE, within=Duration(seconds=60)) == session

    async def test_what_is_no_question(self, rig: Rig) -> None:
        for question in (
            {}, {"caller_phone": PHONE, "sip_call_id": "a@b"},
            {"caller_phone": PHONE, "within": Duration(seconds=1801)},
        ):  # fmt: skip
            refused = await rig.refused(
                rig.sessions.FindInterrupted,
                session_pb.FindInterruptedRequest(**question),
            )
            assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
