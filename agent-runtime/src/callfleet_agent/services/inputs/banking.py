"""Requests of the banking service."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from callfleet_agent.banking.record import TransactionKind, called_from
from callfleet_agent.services.inputs.kinds import (
    CustomerId,
    Input,
    Phone,
    Structure,
    Uuid,
    matching,
    one_of,
    wrong,
)

METHODS = {1: "card-last-four", 2: "date-of-birth", 3: "one-time-code", 4: "pin"}
KINDS = {
    1: TransactionKind.CARD_INQUIRY,
    2: TransactionKind.BALANCE_CHECK,
    3: TransactionKind.CARD_BLOCK,
    4: TransactionKind.CARD_REPLACEMENT,
}
BIRTH: Final = "date-of-birth"
CODE: Final = "one-time-code"
_DIGITS = {"card-last-four": (4, 4), CODE: (4, 10), "pin": (4, 12)}
_EARLIEST: Final = date(1900, 1, 1)


def _credential(text: str) -> str:
    """Digits, or a day in ISO 8601's longer form."""
    if not re.fullmatch(r"[0-9]{0,64}|[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise wrong("must be at most 64 digits, or a day as YYYY-MM-DD")
    return text


def _birth(text: str) -> str:
    try:
        born = date.fromisoformat(text) if re.fullmatch(r"[0-9]{8}|[0-9-]{10}", text) else None
    except ValueError:
        born = None
    if born is None:
        raise wrong("must be a day, as YYYY-MM-DD or YYYYMMDD", "credential")
    if born > datetime.now(UTC).date():
        raise wrong("is in the future", "credential")
    if born < _EARLIEST:
        raise wrong("is too far in the past", "credential")
    return born.isoformat()


class Proof(Input):
    """AuthenticateCustomer. Credentials are digits or a date: words are understood before. None
    with the method one-time-code: a code is to be sent."""

    session_id: Uuid
    customer_id: CustomerId | None = None
    caller_id: Phone = ""
    method: Annotated[str, BeforeValidator(one_of(METHODS, "is no known method"))]
    credential: Annotated[str, AfterValidator(_credential)] = Field(default="", repr=False)
    request_id: Uuid

    @property
    def customer(self) -> str:
        """What the customer is called: by the bank's number, or by the number they call from."""
        return self.customer_id or called_from(self.caller_id)

    @model_validator(mode="after")
    def _is_somebodys(self) -> Self:
        if bool(self.customer_id) is bool(self.caller_id):
            raise wrong("customer_id or caller_id is required, and not both", "customer_id")
        return self

    @model_validator(mode="after")
    def _has_the_methods_form(self) -> Self:
        if self.method == CODE and not self.credential:
            return self
        if self.method == BIRTH:
            _birth(self.credential)
            return self
        shortest, longest = _DIGITS[self.method]
        if not self.credential.isdecimal() or not shortest <= len(self.credential) <= longest:
            raise wrong("has not the length that the method asks for", "credential")
        return self

    @property
    def proof(self) -> str | None:
        """The credential as the bank reads it: a day as YYYY-MM-DD; None: there is none."""
        return _birth(self.credential) if self.method == BIRTH else self.credential or None


class CardQuestion(Input):
    """QueryCardDelivery."""

    session_id: Uuid
    customer_id: CustomerId
    request_id: Uuid | None = None
    card_id: Annotated[
        str,
        AfterValidator(matching(r"[A-Za-z0-9_-]{0,64}", "must be at most 64 letters or digits")),
    ] = ""


class Transaction(Input):
    """ProcessTransaction."""

    transaction_id: Uuid
    session_id: Uuid
    customer_id: CustomerId
    transaction_type: Annotated[TransactionKind, BeforeValidator(one_of(KINDS, "is no known type"))]
    query_parameters: Structure = Field(default_factory=dict)
