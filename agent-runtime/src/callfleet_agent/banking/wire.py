"""The bank's JSON on the wire; the page docs/design/20261123.dialog-bank-api.md describes it."""

import re
from collections.abc import Mapping
from typing import Any

from callfleet_agent.banking.errors import (
    AuthenticationError,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    IntentNotFoundError,
    RequestRefusedError,
)
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    CardDelivery,
    CardStatus,
    Outcome,
    TransactionReceipt,
    TransactionRequest,
)

MAX_ANSWER_BYTES = 64 * 1024
_REASON = re.compile(r"[a-z0-9_.-]{0,64}")
_LONGEST_CODE_S = 24 * 3600
_OF_A_WISH = frozenset({
    AuthenticationStatus.PENDING, AuthenticationStatus.NOT_SENT, AuthenticationStatus.LOCKED,
    AuthenticationStatus.UNKNOWN_CALLER,
})  # fmt: skip
_OF_A_PROOF = frozenset(AuthenticationStatus) - {
    AuthenticationStatus.PENDING, AuthenticationStatus.NOT_SENT
}  # fmt: skip


def authentication_body(request: AuthenticationRequest) -> dict[str, Any]:
    """POST /v1/authentications; without a credential it is the wish for a code."""
    identity = (
        {"customerNumber": request.customer_number}
        if request.customer_number is not None
        else {"callerId": request.caller_id}
    )
    proof = {} if request.credential is None else {"credential": request.credential}
    return {"method": request.method, **proof, **identity}


def transaction_body(request: TransactionRequest) -> dict[str, Any]:
    """POST /v1/customers/{id}/transactions."""
    return {"type": request.kind, "parameters": dict(request.parameters)}


def read_authentication(data: object, *, of_a_wish: bool = False) -> Authentication:
    """{"status": "verified", "customerId": "…"}; of the wish for a code {"status": "pending",
    "expiresInSeconds": 300}. A status that answers the other question is none."""
    fields = _object(data)
    try:
        status = AuthenticationStatus(_text(fields, "status"))
    except ValueError:
        raise _malformed() from None
    customer = _optional_text(fields, "customerId")
    if status is AuthenticationStatus.VERIFIED and not customer:
        raise _malformed()
    if status not in (_OF_A_WISH if of_a_wish else _OF_A_PROOF):
        raise _malformed()
    return Authentication(status, customer, _seconds(fields, "expiresInSeconds"))


def read_card_delivery(data: object) -> CardDelivery:
    """{"status": "shipped" | null, "date": …, "expected": …, "carrier": …, "trackingNumber": …}."""
    fields = _object(data)
    status = _optional_text(fields, "status")
    try:
        known = None if status is None else CardStatus(status)
    except ValueError:
        raise _malformed() from None
    return CardDelivery(
        status=known,
        date=_optional_text(fields, "date"),
        expected=_optional_text(fields, "expected"),
        carrier=_optional_text(fields, "carrier"),
        tracking_number=_optional_text(fields, "trackingNumber"),
    )


def read_receipt(data: object) -> TransactionReceipt:
    """{"transactionId": "…", "type": "…", "status": "completed" | "declined", "reason": "…",
    "result": {…}}; without a status it is completed."""
    fields = _object(data)
    result = _object(fields.get("result", {}))
    reason = _optional_text(fields, "reason") or ""
    try:
        outcome = Outcome(_optional_text(fields, "status") or Outcome.COMPLETED)
    except ValueError:
        raise _malformed() from None
    if not _REASON.fullmatch(reason):
        raise _malformed()
    return TransactionReceipt(
        transaction_id=_text(fields, "transactionId"),
        kind=_text(fields, "type"),
        result={str(key): str(value) for key, value in result.items()},
        outcome=outcome,
        reason=reason,
    )


def error_of(status: int) -> BankingError | None:
    """The error that an HTTP status stands for; None for success."""
    if 200 <= status < 300:
        return None
    if status in {401, 403}:
        return AuthenticationError("bank_rejects_us", "the bank does not accept our credentials")
    if status in {404, 405, 501}:
        return IntentNotFoundError("unknown_operation", "the bank does not know the operation")
    if status in {408, 425, 429} or status >= 500:
        return BankUnavailableError("bank_in_trouble", f"the bank answers with status {status}")
    return RequestRefusedError("refused", f"the bank answers with status {status}")


def _malformed() -> BankProtocolError:
    return BankProtocolError("malformed_answer", "the bank's answer cannot be read")


def _object(data: object) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise _malformed()
    return data


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise _malformed()
    return value


def _seconds(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LONGEST_CODE_S:
        raise _malformed()
    return value


def _optional_text(fields: Mapping[str, object], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)
