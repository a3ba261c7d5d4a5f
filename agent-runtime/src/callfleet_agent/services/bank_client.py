"""The banking port on BankingService: each operation of a call is audited and kept there.

At this port a verified customer is named by what the service calls them (`customer_id` of its
answer); the bank's own reference stays in the service.
"""

import re
from datetime import UTC
from typing import Any, Final
from uuid import UUID, uuid4

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from callfleet.v1 import banking_pb2, banking_pb2_grpc
from callfleet_agent.banking import (
    Authentication,
    AuthenticationError,
    AuthenticationRequest,
    AuthenticationStatus,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    CardDelivery,
    CardDeliveryRequest,
    CardStatus,
    IntentNotFoundError,
    Outcome,
    RequestRefusedError,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.errors import NotVerifiedError
from callfleet_agent.services.answers import structure
from callfleet_agent.services.client import OpenService
from callfleet_agent.services.guarded import (
    Guard,
    Guarded,
    ServiceAwayError,
    ServiceRefusedError,
    Timing,
)
from callfleet_agent.services.inputs.banking import KINDS, METHODS
from callfleet_agent.services.refused import Refused

LOCKED_OUT: Final = "LOCKED_OUT"
TOO_MANY_CODES: Final = "TOO_MANY_CODES"
# A call's record may be on its way still, when the stores have just come back.
_AGAIN: Final = frozenset({"SESSION_NOT_FOUND", "RATE_LIMITED", "OVERLOADED", "PROOFS_UNDER_WAY"})
# The service has asked the bank as often as it may.
_FINAL: Final = frozenset({"BANK_UNAVAILABLE"})
_METHODS: Final[dict[str, Any]] = {name: number for number, name in METHODS.items()}
_KINDS: Final[dict[str, Any]] = {kind.value: number for number, kind in KINDS.items()}
_VERDICTS: Final = {
    banking_pb2.AUTHENTICATION_STATUS_VERIFIED: AuthenticationStatus.VERIFIED,
    banking_pb2.AUTHENTICATION_STATUS_FAILED: AuthenticationStatus.REFUSED,
    banking_pb2.AUTHENTICATION_STATUS_UNKNOWN_CALLER: AuthenticationStatus.UNKNOWN_CALLER,
    banking_pb2.AUTHENTICATION_STATUS_EXPIRED: AuthenticationStatus.EXPIRED,
}
_CARDS: Final = {
    banking_pb2.CardDeliveryStatus.Value(f"CARD_DELIVERY_STATUS_{status.name}"): status
    for status in CardStatus
}
_NUMBER: Final = re.compile(r"\+?[0-9]{2,19}")
_Stub: Any = banking_pb2_grpc.BankingServiceStub


class ServiceBank:
    """A Bank. `limit_s` is that of a whole operation, its retries included; each has an id by which
    the service knows it when it comes again."""

    def __init__(
        self, service: OpenService, limit_s: float = 5.0, timing: Timing | None = None
    ) -> None:
        guard = Guard(limit_s=limit_s, again=_AGAIN, final=_FINAL)
        self._service = service
        self._guarded = Guarded(service, guard, timing)

    @property
    def circuit(self) -> str:
        """The breaker's state now."""
        return self._guarded.circuit

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """Whether the proof is right; counts once for each idempotency key."""
        caller = request.caller_id or ""
        if request.customer_number is None and not _NUMBER.fullmatch(caller):
            return Authentication(AuthenticationStatus.UNKNOWN_CALLER)
        session_id = _session(request.session_id)
        question = banking_pb2.AuthenticationRequest(
            session_id=session_id,
            customer_id=request.customer_number or "",
            caller_id="" if request.customer_number else caller,
            method=_METHODS[request.method],
            credential=request.credential or "",
            request_id=str(request.idempotency_key),
        )
        try:
            said = await self._guarded.ask(_Stub, "AuthenticateCustomer", question, session_id)
        except ServiceRefusedError as error:
            if error.refused.code == LOCKED_OUT:
                return Authentication(AuthenticationStatus.LOCKED)
            if error.refused.code == TOO_MANY_CODES:
                return Authentication(AuthenticationStatus.NOT_SENT)
            raise _translated(error.refused) from None
        except ServiceAwayError as error:
            raise _away(error) from None
        if request.credential is None and said.status == banking_pb2.AUTHENTICATION_STATUS_PENDING:
            return Authentication(AuthenticationStatus.PENDING)
        return _verdict(said)

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """Where the card is."""
        session_id = _session(request.session_id)
        question = banking_pb2.CardDeliveryRequest(
            session_id=session_id,
            customer_id=request.customer_id,
            card_id=request.card_id,
            request_id=str(uuid4()),
        )
        said = await self._ask("QueryCardDelivery", question, session_id)
        return CardDelivery(
            status=_CARDS.get(said.status),
            date=_day(said, "status_at"),
            expected=_day(said, "expected_at"),
            carrier=said.carrier or None,
            tracking_number=said.tracking_number or None,
        )

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """Done once for each idempotency key; a no of the bank's is an answer."""
        session_id = _session(request.session_id)
        if request.kind not in _KINDS:
            raise IntentNotFoundError("unknown_kind", "the service has no such transaction")
        question = banking_pb2.TransactionRequest(
            transaction_id=str(request.idempotency_key),
            session_id=session_id,
            customer_id=request.customer_id,
            transaction_type=_KINDS[request.kind],
            query_parameters=structure(request.parameters),
        )
        said = await self._ask("ProcessTransaction", question, session_id)
        if said.outcome == banking_pb2.TransactionResponse.OUTCOME_PENDING:
            raise BankUnavailableError("bank_pending", "the bank has not said what came of it")
        data = MessageToDict(said.response_data)
        if said.outcome == banking_pb2.TransactionResponse.OUTCOME_DECLINED:
            return TransactionReceipt(
                transaction_id=str(data.get("reference", "")),
                kind=request.kind,
                outcome=Outcome.DECLINED,
                reason=str(data.get("reason", "")),
            )
        if said.outcome != banking_pb2.TransactionResponse.OUTCOME_COMPLETED:
            raise BankUnavailableError("bank_unclear", "the service says no outcome")
        result = {str(name): str(value) for name, value in data.get("result", {}).items()}
        return TransactionReceipt(
            transaction_id=str(data.get("reference", "")), kind=request.kind, result=result
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._service.close()

    async def _ask(self, rpc: str, question: Any, session_id: str) -> Any:
        try:
            return await self._guarded.ask(_Stub, rpc, question, session_id)
        except ServiceAwayError as error:
            raise _away(error) from None
        except ServiceRefusedError as error:
            raise _translated(error.refused) from None


def _session(session_id: UUID | None) -> str:
    if session_id is None:
        raise RequestRefusedError("no_session", "the operation belongs to no call")
    return str(session_id)


def _verdict(said: banking_pb2.AuthenticationResponse) -> Authentication:
    status = _VERDICTS.get(said.status)
    if status is None:
        raise BankUnavailableError("bank_pending", "the bank has not said what came of it")
    if status is AuthenticationStatus.VERIFIED:
        return Authentication(status, said.customer_id)
    if status is AuthenticationStatus.REFUSED and not said.attempts_left:
        return Authentication(AuthenticationStatus.LOCKED)
    return Authentication(status)


def _day(said: Any, name: str) -> str | None:
    if not said.HasField(name):
        return None
    at: Timestamp = getattr(said, name)
    return at.ToDatetime(tzinfo=UTC).date().isoformat()


def _away(error: ServiceAwayError) -> BankingError:
    return BankUnavailableError(f"banking_{error.code}", "the banking service cannot be asked")


def _translated(said: Refused) -> BankingError:
    """What the service said, as the port has it."""
    code = (said.code or said.status.name).lower()
    text = "the banking service refused the request"
    if said.status is grpc.StatusCode.UNAUTHENTICATED:
        return AuthenticationError(code, "the banking service does not know this agent")
    kinds: dict[str, BankingError] = {
        "BANK_UNAVAILABLE": BankUnavailableError(code, "the bank cannot be reached"),
        "RATE_LIMITED": BankUnavailableError(code, "the banking service has too much to do"),
        "OVERLOADED": BankUnavailableError(code, "the banking service has too much to do"),
        "SESSION_NOT_FOUND": BankUnavailableError(code, "the call is not recorded yet"),
        "PROOFS_UNDER_WAY": BankUnavailableError(code, "other proofs are not answered yet"),
        "PROOF_LAPSED": BankUnavailableError(code, "the proof came too long ago"),
        "BANK_PROTOCOL": BankProtocolError(code, "the bank's answer is none"),
        "INTENT_NOT_FOUND": IntentNotFoundError(code, "the bank has no such operation"),
        "NOT_VERIFIED": NotVerifiedError(),
    }
    return kinds.get(said.code, RequestRefusedError(code, text))
