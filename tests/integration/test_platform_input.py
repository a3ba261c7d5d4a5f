"""What clients send that they should not: every case has its reason, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from identities import AGENT
from platform_rig import UNKNOWN, Rig, at, proof, rigged
from stores import Server, migrated


@pytest.fixture
async def rig(tmp_path: Path, postgres: Server, redis_server: Server) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    async with rigged(tmp_path, postgres.url, redis_server.url) as running:
        yield running


INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
CALLER = context_pb.ROLE_CALLER
Case = tuple[str, str, Any, str, grpc.StatusCode]  # name, RPC, request, field to blame, status


def bad_sessions(session: str) -> list[Case]:
    get, new = session_pb.GetSessionRequest, session_pb.CallSession

    def update(path: str) -> session_pb.UpdateSessionRequest:
        return session_pb.UpdateSessionRequest(
            session=new(session_id=session), update_mask=FieldMask(paths=[path])
        )

    def started(moment: Timestamp) -> session_pb.CallSession:
        return new(sip_call_id="a", call_start_time=moment)

    far = at(datetime(2999, 1, 1, tzinfo=UTC))
    phone = new(sip_call_id="a", caller_phone="five five five")
    odd: Any = 99
    return [
        ("no uuid", "GetSession", get(session_id="1234"), "session_id", INVALID),
        ("no key", "GetSession", get(), "key", INVALID),
        ("unknown", "GetSession", get(session_id=UNKNOWN), "session_id", NOT_FOUND),
        ("far future", "CreateSession", started(far), "call_start_time", INVALID),
        ("negative", "CreateSession", started(Timestamp(seconds=-5)), "call_start_time", INVALID),
        ("no time", "CreateSession", started(Timestamp(seconds=2**62)), "call_start_time", INVALID),
        ("number in words", "CreateSession", phone, "caller_phone", INVALID),
        ("long id", "CreateSession", new(sip_call_id="x" * 256), "sip_call_id", INVALID),
        ("NUL", "CreateSession", new(sip_call_id="a\0b"), "sip_call_id", INVALID),
        ("no status", "CreateSession", new(sip_call_id="a", status=odd), "status", INVALID),
        ("mask", "UpdateSession", update("caller_phone"), "update_mask", INVALID),
    ]


def bad_contexts(session: str) -> list[Case]:
    message = context_pb.ConversationMessage
    one = message(role=CALLER, content="x")

    def adds(*messages: context_pb.ConversationMessage) -> context_pb.ContextUpdateRequest:
        return context_pb.ContextUpdateRequest(session_id=session, append=messages)

    def knows(fact: Any) -> context_pb.ContextUpdateRequest:
        request = context_pb.ContextUpdateRequest(session_id=session)
        request.customer_data.update({"a": fact})
        return request

    update, cleanup = "UpdateContext", context_pb.CleanupRequest()
    long = message(role=CALLER, content="\u00e4" * 8193)
    nobody = context_pb.ContextUpdateRequest(session_id=UNKNOWN)
    return [
        ("huge history", update, adds(*[one] * 201), "append", INVALID),
        ("long message", update, adds(one, long), "append[1].content", INVALID),
        ("empty text", update, adds(message(role=CALLER)), "append[0].content", INVALID),
        ("nobody spoke", update, adds(message(content="x")), "append[0].role", INVALID),
        ("deep", update, knows([[[[[[[[[[1]]]]]]]]]]), "customer_data", INVALID),
        ("wide", update, knows("x" * 17_000), "customer_data", INVALID),
        ("NaN", update, knows(float("nan")), "customer_data", INVALID),
        ("of nobody", update, nobody, "session_id", NOT_FOUND),
        ("no target", "CleanupContext", cleanup, "target", INVALID),
    ]


def bad_proofs(session: str) -> list[Case]:
    rpc = "AuthenticateCustomer"
    in_words = proof(session, "four two seven one")
    born = bank_pb.AUTHENTICATION_METHOD_DATE_OF_BIRTH
    code = bank_pb.AUTHENTICATION_METHOD_ONE_TIME_CODE
    return [
        ("in words", rpc, in_words, "credential", INVALID),
        ("too short", rpc, proof(session, "42"), "credential", INVALID),
        ("no credential", rpc, proof(session, ""), "credential", INVALID),
        ("no day", rpc, proof(session, "1981-02-29", method=born), "credential", INVALID),
        ("a day to come", rpc, proof(session, "29991231", method=born), "credential", INVALID),
        ("long ago", rpc, proof(session, "1799-12-31", method=born), "credential", INVALID),
        ("short code", rpc, proof(session, "123", method=code), "credential", INVALID),
        ("no method", rpc, proof(session, method=0), "method", INVALID),
        ("no request id", rpc, proof(session, request_id=""), "request_id", INVALID),
    ]


def bad_operations(session: str) -> list[Case]:
    transaction, query = "ProcessTransaction", "QueryCardDelivery"

    def asked(parameters: Any = None, **fields: Any) -> bank_pb.TransactionRequest:
        given: dict[str, Any] = {
            "transaction_id": str(uuid4()),
            "session_id": session,
            "customer_id": "c-1001",
            "transaction_type": bank_pb.TRANSACTION_TYPE_CARD_BLOCK,
        }
        request = bank_pb.TransactionRequest(**(given | fields))
        request.query_parameters.update(parameters or {})
        return request

    def card(**fields: str) -> bank_pb.CardDeliveryRequest:
        given = {"session_id": session, "customer_id": "c-1001"}
        return bank_pb.CardDeliveryRequest(**(given | fields))

    deep: Any = {"a": [[[[[[[[[[1]]]]]]]]]]}
    return [
        ("no type", transaction, asked(transaction_type=0), "transaction_type", INVALID),
        ("unknown type", transaction, asked(transaction_type=99), "transaction_type", INVALID),
        ("deep", transaction, asked(deep), "query_parameters", INVALID),
        ("wide", transaction, asked({"a": "x" * 17_000}), "query_parameters", INVALID),
        ("many", transaction, asked({str(n): n for n in range(3000)}), "query_parameters", INVALID),
        ("NaN", transaction, asked({"a": float("nan")}), "query_parameters", INVALID),
        ("NUL", transaction, asked({"a": "x\0"}), "query_parameters", INVALID),
        ("not its own", transaction, asked({"amount": 5}), "query_parameters.*", INVALID),
        ("odd", transaction, asked({"cardId": "1;2"}), "query_parameters.cardId", INVALID),
        ("no text", transaction, asked({"cardId": 1}), "query_parameters.cardId", INVALID),
        ("no uuid", transaction, asked(transaction_id="1"), "transaction_id", INVALID),
        ("no id", transaction, asked(transaction_id=""), "transaction_id", INVALID),
        ("no session", transaction, asked(session_id="1"), "session_id", INVALID),
        ("of nobody", transaction, asked(session_id=UNKNOWN), "session_id", NOT_FOUND),
        ("odd customer", transaction, asked(customer_id="c 1001"), "customer_id", INVALID),
        ("no customer", transaction, asked(customer_id=""), "customer_id", INVALID),
        ("odd card", query, card(card_id="../card-1"), "card_id", INVALID),
        ("long card", query, card(card_id="c" * 65), "card_id", INVALID),
        ("odd customer", query, card(customer_id="c 1001"), "customer_id", INVALID),
        ("no customer", query, card(customer_id=""), "customer_id", INVALID),
        ("no uuid", query, card(request_id="1"), "request_id", INVALID),
        ("no session", query, card(session_id="1"), "session_id", INVALID),
        ("of nobody", query, card(session_id=UNKNOWN), "session_id", NOT_FOUND),
    ]


def raw_rpc(rig: Rig, name: str) -> Any:
    channel: Any = rig.channel  # bytes need no serializers
    return channel.unary_unary(name)


async def test_bad_requests_name_their_field_and_change_nothing(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    session = await rig.session()
    stubs = {**vars(rig.sessions), **vars(rig.contexts), **vars(rig.banking)}
    cases = bad_sessions(session) + bad_contexts(session) + bad_proofs(session)
    cases += bad_operations(await rig.verified())
    verified, asked = rig.bank.state.authentications, rig.bank.state.queries
    for name, rpc, request, field, code in cases:
        refused = await rig.refused(stubs[rpc], request)
        assert refused.code is code, (name, refused)
        blamed = [path for path in refused.fields if path.startswith(field)]
        assert blamed, (name, refused.fields)
        assert all(refused.fields.values())
    kept = await rig.ask(rig.contexts.GetContext, context_pb.ContextRequest(session_id=session))
    assert (kept.version, len(kept.conversation_history)) == (0, 0)
    assert (rig.bank.state.authentications, verified) == (1, 1)
    assert (rig.bank.state.queries, asked, rig.bank.state.blocked) == (0, 0, 0)
    assert "five five" not in caplog.text
    assert "four two" not in caplog.text


async def test_an_ended_session_takes_nothing_more(rig: Rig) -> None:
    session = await rig.verified()
    await rig.ask(rig.sessions.EndSession, session_pb.EndSessionRequest(session_id=session))

    for rpc, request in (
        (
            rig.sessions.UpdateSession,
            session_pb.UpdateSessionRequest(
                session=session_pb.CallSession(session_id=session, avc_instance="x"),
                update_mask=FieldMask(paths=["avc_instance"]),
            ),
        ),
        (rig.contexts.UpdateContext, context_pb.ContextUpdateRequest(session_id=session)),
        (rig.banking.AuthenticateCustomer, proof(session)),
        (
            rig.banking.QueryCardDelivery,
            bank_pb.CardDeliveryRequest(session_id=session, customer_id="200417"),
        ),
        (
            rig.banking.ProcessTransaction,
            bank_pb.TransactionRequest(
                transaction_id=str(uuid4()),
                session_id=session,
                customer_id="c-1001",
                transaction_type=bank_pb.TRANSACTION_TYPE_CARD_BLOCK,
            ),
        ),
    ):
        refused = await rig.refused(rpc, request)
        assert (refused.code, refused.detail.code) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "SESSION_ENDED",
        )
        assert refused.fields
    assert (rig.bank.state.queries, rig.bank.state.blocked) == (0, 0)


async def test_bytes_that_are_no_message_are_the_clients_fault(rig: Rig) -> None:
    rpc = raw_rpc(rig, "/callfleet.v1.SessionManagerService/CreateSession")
    no_message = {"": "is no message of this kind, or holds text that is not UTF-8"}
    for raw, reasons in (
        (b"\x0a\xff", no_message),
        (b"\x0a\x7f", no_message),  # cut short
        (b"\x2a\x02\xff\xfe", {"sip_call_id": "is not UTF-8"}),
    ):
        refused = await rig.refused(rpc, raw)
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.fields == reasons


async def test_a_request_that_is_too_long_is_told_which_field_is(rig: Rig) -> None:
    most = 4 << 20
    rpc = raw_rpc(rig, "/callfleet.v1.ContextStoreService/UpdateContext")
    good = context_pb.ContextUpdateRequest(session_id=await rig.session()).SerializeToString()
    append, unknown = b"\x12\x00", b"\xa0\x06\x01"  # an empty exchange, field 100
    many = await rig.refused(rpc, good + append * (most // 2 + 1))
    assert (many.code, many.fields) == (INVALID, {"append": "has more than 1000 items"})
    odd = await rig.refused(rpc, good + unknown * (most // 3 + 1))
    assert (odd.code, odd.fields) == (INVALID, {"": "is longer than 4194304 bytes"})

    with pytest.raises(grpc.aio.AioRpcError) as caught:  # gRPC's own word, before we are asked
        await rig.ask(rpc, bytes(most + (1 << 20) + 1))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await rig.ask(rpc, good)


async def test_the_correlation_id_is_the_clients_when_it_is_a_uuid(rig: Rig) -> None:
    given = str(uuid4())
    call = rig.sessions.CreateSession(
        session_pb.CallSession(sip_call_id="c", correlation_id=given),
        metadata=rig.tokens.metadata(AGENT),
    )
    answer = await call
    assert answer.correlation_id == given
    assert dict(await call.initial_metadata())["x-correlation-id"] == given
    assert dict(await call.trailing_metadata())["x-correlation-id"] == given

    odd = await rig.refused(
        rig.sessions.CreateSession,
        session_pb.CallSession(sip_call_id="c", correlation_id="<script>"),
    )
    assert "script" not in odd.detail.correlation_id
    assert "correlation_id" in odd.fields
