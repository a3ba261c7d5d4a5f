"""The banking port on BankingService: what is sent, what is tried again, what a refusal means."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from callfleet.v1 import banking_pb2 as pb
from callfleet_agent.banking import (
    Authentication,
    AuthenticationError,
    AuthenticationRequest,
    AuthenticationStatus,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    CardDeliveryRequest,
    CardStatus,
    IntentNotFoundError,
    Outcome,
    RequestRefusedError,
    TransactionRequest,
)
from callfleet_agent.banking.errors import (
    AuditUnavailableError,
    LockedOutError,
    NotVerifiedError,
    ParametersError,
    TooManyCodesError,
)
from callfleet_agent.services.answers import moment
from callfleet_agent.services.bank_client import ServiceBank
from callfleet_agent.services.client import NotReadyError
from callfleet_agent.services.errors import TooManyRequestsError, UnauthenticatedError
from callfleet_agent.services.guarded import Timing
from callfleet_agent.session.errors import SessionEndedError, SessionNotFoundError
from callfleet_agent.storage.errors import StoreUnavailableError
from fakes.grpc_answers import BareError, answering
from identities import OnChannel

SESSION, KEY = UUID(int=1), UUID(int=2)
BY_NUMBER = AuthenticationRequest(
    idempotency_key=KEY, method="card-last-four", credential="4271", customer_number="200417",
    session_id=SESSION,
)  # fmt: skip
BY_CALLER = AuthenticationRequest(
    idempotency_key=KEY, method="pin", credential="4271", caller_id="+15550100",
    session_id=SESSION,
)  # fmt: skip
CARD = CardDeliveryRequest(customer_id="200417", session_id=SESSION)
BLOCK = TransactionRequest(
    idempotency_key=KEY, customer_id="200417", kind="CARD_BLOCK", session_id=SESSION
)


async def at_once(_: float) -> None:
    """Nobody waits."""


TIMING = Timing(sleep=at_once, random=lambda: 0.0)


class FakeService:
    """Answers in turn, the last one for ever, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    async def answer(self, request: Any) -> Any:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def bank(self, limit_s: float = 60.0) -> AsyncIterator[ServiceBank]:
        rpcs = {
            "AuthenticateCustomer": (pb.AuthenticationRequest, self.answer),
            "QueryCardDelivery": (pb.CardDeliveryRequest, self.answer),
            "ProcessTransaction": (pb.TransactionRequest, self.answer),
        }
        async with answering("BankingService", **rpcs) as peer:
            yield ServiceBank(peer, limit_s, TIMING)


def verdict(status: Any, **more: Any) -> pb.AuthenticationResponse:
    return pb.AuthenticationResponse(status=status, **more)


async def test_a_proof_goes_with_the_calls_session_and_its_own_id() -> None:
    service = FakeService(
        verdict(pb.AUTHENTICATION_STATUS_VERIFIED, customer_id="200417", attempts_left=3)
    )
    async with service.bank() as bank:
        found = await bank.authenticate_customer(BY_NUMBER)
    assert found == Authentication(AuthenticationStatus.VERIFIED, "200417")
    (asked,) = service.asked
    assert (asked.session_id, asked.request_id) == (str(SESSION), str(KEY))
    assert asked.method == pb.AUTHENTICATION_METHOD_CARD_LAST_DIGITS
    assert (asked.customer_id, asked.caller_id) == ("200417", "")


async def test_a_caller_id_stands_in_for_a_number() -> None:
    service = FakeService(
        verdict(pb.AUTHENTICATION_STATUS_VERIFIED, customer_id="caller.15550100", attempts_left=3)
    )
    async with service.bank() as bank:
        found = await bank.authenticate_customer(BY_CALLER)
    assert found.customer_id == "caller.15550100"
    assert (service.asked[0].customer_id, service.asked[0].caller_id) == ("", "+15550100")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (verdict(pb.AUTHENTICATION_STATUS_FAILED, attempts_left=2), AuthenticationStatus.REFUSED),
        (verdict(pb.AUTHENTICATION_STATUS_FAILED), AuthenticationStatus.LOCKED),
        (LockedOutError(datetime.now(UTC) + timedelta(minutes=1)), AuthenticationStatus.LOCKED),
        (
            verdict(pb.AUTHENTICATION_STATUS_UNKNOWN_CALLER, attempts_left=3),
            AuthenticationStatus.UNKNOWN_CALLER,
        ),
    ],
)
async def test_verdicts(answer: Any, status: AuthenticationStatus) -> None:
    service = FakeService(answer)
    async with service.bank() as bank:
        assert (await bank.authenticate_customer(BY_NUMBER)).status is status
    assert len(service.asked) == 1


WISH = replace(BY_NUMBER, method="one-time-code", credential=None)


@pytest.mark.parametrize(
    ("request_", "answer", "status"),
    [
        (WISH, verdict(pb.AUTHENTICATION_STATUS_PENDING), AuthenticationStatus.PENDING),
        (WISH, TooManyCodesError(), AuthenticationStatus.NOT_SENT),
        (BY_NUMBER, verdict(pb.AUTHENTICATION_STATUS_EXPIRED, attempts_left=3),
         AuthenticationStatus.EXPIRED),
    ],
)  # fmt: skip
async def test_codes(
    request_: AuthenticationRequest, answer: Any, status: AuthenticationStatus
) -> None:
    service = FakeService(answer)
    async with service.bank() as bank:
        assert (await bank.authenticate_customer(request_)).status is status
    assert [asked.credential for asked in service.asked] == [request_.credential or ""]


async def test_a_proof_that_is_still_pending_is_no_verdict() -> None:
    async with FakeService(verdict(pb.AUTHENTICATION_STATUS_PENDING)).bank() as bank:
        with pytest.raises(BankUnavailableError):
            await bank.authenticate_customer(BY_NUMBER)


async def test_a_card_that_is_named() -> None:
    service = FakeService(pb.CardDeliveryResponse())
    async with service.bank() as bank:
        await bank.query_card_delivery(replace(CARD, card_id="card-1"))
    assert service.asked[0].card_id == "card-1"


async def test_a_caller_with_a_name_is_nobody_the_bank_could_know() -> None:
    service = FakeService(verdict(pb.AUTHENTICATION_STATUS_VERIFIED))
    request = AuthenticationRequest(
        idempotency_key=KEY, method="pin", credential="1", caller_id="alice", session_id=SESSION
    )
    async with service.bank() as bank:
        found = await bank.authenticate_customer(request)
    assert found.status is AuthenticationStatus.UNKNOWN_CALLER
    assert service.asked == []


async def test_where_a_card_is() -> None:
    day = moment(datetime(2026, 11, 20, tzinfo=UTC))
    service = FakeService(
        pb.CardDeliveryResponse(
            status=pb.CARD_DELIVERY_STATUS_SHIPPED, carrier="Post", status_at=day
        ),
        pb.CardDeliveryResponse(),
    )
    async with service.bank() as bank:
        found = await bank.query_card_delivery(CARD)
        assert (found.status, found.date, found.expected) == (
            CardStatus.SHIPPED,
            "2026-11-20",
            None,
        )
        assert found.carrier == "Post"
        assert (await bank.query_card_delivery(CARD)).status is None
    first, second = service.asked
    assert UUID(first.request_id) != UUID(second.request_id)


async def test_a_transaction() -> None:
    done = pb.TransactionResponse(outcome=pb.TransactionResponse.OUTCOME_COMPLETED)
    ParseDict({"reference": "t-1", "result": {"status": "blocked"}}, done.response_data)
    service = FakeService(done)
    async with service.bank() as bank:
        receipt = await bank.process_transaction(BLOCK)
        assert (receipt.transaction_id, dict(receipt.result)) == ("t-1", {"status": "blocked"})
    assert service.asked[0].transaction_id == str(KEY)


async def test_a_transaction_that_the_bank_does_not_want() -> None:
    said_no = pb.TransactionResponse(outcome=pb.TransactionResponse.OUTCOME_DECLINED)
    ParseDict({"reference": "t-2", "reason": "too_late"}, said_no.response_data)
    async with FakeService(said_no).bank() as bank:
        receipt = await bank.process_transaction(BLOCK)
    assert receipt.outcome is Outcome.DECLINED
    assert (receipt.transaction_id, receipt.reason, dict(receipt.result)) == ("t-2", "too_late", {})


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (pb.TransactionResponse.OUTCOME_PENDING, BankUnavailableError),
        (pb.TransactionResponse.OUTCOME_UNSPECIFIED, BankUnavailableError),
    ],
)
async def test_a_transaction_without_a_result(outcome: Any, error: type[Exception]) -> None:
    async with FakeService(pb.TransactionResponse(outcome=outcome)).bank() as bank:
        with pytest.raises(error):
            await bank.process_transaction(BLOCK)


@pytest.mark.parametrize(
    ("refusal", "error", "asked"),
    [
        (StoreUnavailableError("x"), BankUnavailableError, 4),
        (AuditUnavailableError(), BankUnavailableError, 1),
        (BankUnavailableError("bank_slow", "x"), BankUnavailableError, 1),
        (BareError(grpc.StatusCode.UNAVAILABLE), BankUnavailableError, 4),
        (BareError(grpc.StatusCode.INTERNAL), BankUnavailableError, 4),
        (SessionNotFoundError(), BankUnavailableError, 4),
        (TooManyRequestsError(1.0), BankUnavailableError, 4),
        (SessionEndedError(), RequestRefusedError, 1),
        (ParametersError("x", "is none"), RequestRefusedError, 1),
        (NotVerifiedError(), NotVerifiedError, 1),
        (BankProtocolError("x", "x"), BankProtocolError, 1),
        (IntentNotFoundError("x", "x"), IntentNotFoundError, 1),
        (UnauthenticatedError("TOKEN_EXPIRED", "x"), AuthenticationError, 1),
    ],
)
async def test_what_a_refusal_means_and_how_often_it_is_tried(
    refusal: Exception, error: type[BankingError], asked: int
) -> None:
    service = FakeService(refusal)
    async with service.bank() as bank:
        with pytest.raises(error):
            await bank.query_card_delivery(CARD)
    assert len(service.asked) == asked
    assert len({one.request_id for one in service.asked}) == 1


async def test_a_record_that_comes_late_is_waited_for() -> None:
    found = pb.CardDeliveryResponse(status=pb.CARD_DELIVERY_STATUS_LOST)
    service = FakeService(SessionNotFoundError(), SessionNotFoundError(), found)
    async with service.bank() as bank:
        assert (await bank.query_card_delivery(CARD)).status is CardStatus.LOST


async def test_the_breaker_opens_after_five_failures_and_nothing_is_sent() -> None:
    service = FakeService(BareError(grpc.StatusCode.UNAVAILABLE))
    async with service.bank() as bank:
        for _ in range(2):
            with pytest.raises(BankUnavailableError):
                await bank.query_card_delivery(CARD)
        assert bank.circuit == "open"
        assert len(service.asked) == 5


async def test_a_service_that_is_too_slow_is_given_up() -> None:
    class Slow(FakeService):
        async def answer(self, request: Any) -> Any:
            import asyncio

            await asyncio.sleep(600)

    async with Slow(None).bank(limit_s=0.1) as bank:
        with pytest.raises(BankUnavailableError, match="cannot be asked"):
            await bank.query_card_delivery(CARD)


async def test_without_a_token_the_bank_is_away() -> None:
    def none_yet() -> str:
        raise NotReadyError("there is no token yet")

    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        peer = OnChannel(nowhere, none_yet)
        bank = ServiceBank(peer, 60.0, TIMING)
        with pytest.raises(BankUnavailableError) as raised:
            await bank.query_card_delivery(CARD)
        assert raised.value.code == "banking_not_ready"
        await bank.close()
        assert peer.closed


async def test_an_operation_belongs_to_a_call() -> None:
    async with FakeService(None).bank() as bank:
        with pytest.raises(RequestRefusedError):
            await bank.query_card_delivery(CardDeliveryRequest(customer_id="1"))
        with pytest.raises(IntentNotFoundError):
            await bank.process_transaction(
                TransactionRequest(
                    idempotency_key=KEY, customer_id="1", kind="MORTGAGE", session_id=SESSION
                )
            )
