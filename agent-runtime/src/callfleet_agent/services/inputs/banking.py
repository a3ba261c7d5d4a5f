"""Requests of the banking service."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from callfleet_agent.banking.record import TransactionKind
from callfleet_agent.services.inputs.kinds import (
    CustomerId,
    Input,
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
_DIGITS = {
    "card-last-four": (4, 4),
    "date-of-birth": (8, 8),
    "one-time-code": (4, 10),
    "pin": (4, 12),
}


class Proof(Input):
    """AuthenticateCustomer. Credentials are digits: numbers in words are understood before."""

    session_id: Uuid
    customer_id: CustomerId
    method: Annotated[str, BeforeValidator(one_of(METHODS, "is no known method"))]
    credential: Annotated[
        str, AfterValidator(matching(r"[0-9]{1,64}", "must be 1 to 64 digits"))
    ] = Field(repr=False)
    request_id: Uuid

    @model_validator(mode="after")
    def _has_the_methods_length(self) -> Self:
        shortest, longest = _DIGITS[self.method]
        if not shortest <= len(self.credential) <= longest:
            raise wrong("has not the length that the method asks for", "credential")
        return self


class CardQuestion(Input):
    """QueryCardDelivery."""

    session_id: Uuid
    customer_id: CustomerId
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
