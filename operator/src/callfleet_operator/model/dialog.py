"""The conversation of an agent: its flow, its turns, and how a caller is verified."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from .schema import Bool, Int, Model, Rule


class AuthenticationMethod(StrEnum):
    """What a caller proves to be who they say they are."""

    CARD_LAST_FOUR = "card-last-four"
    PIN = "pin"
    DATE_OF_BIRTH = "date-of-birth"
    ONE_TIME_CODE = "one-time-code"


class Endpointing(Model):
    """When a caller is taken to have finished speaking."""

    min_milliseconds: Int = Field(
        default=200,
        ge=100,
        le=5000,
        description="Silence that ends a turn when what was heard is a complete answer.",
    )
    max_milliseconds: Int = Field(
        default=1200,
        ge=100,
        le=10000,
        description="Silence that ends a turn in any case.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.minMilliseconds <= self.maxMilliseconds",
            message="must not be above maxMilliseconds; lower it or raise maxMilliseconds",
            field_path=".minMilliseconds",
            holds=lambda e: e.min_milliseconds <= e.max_milliseconds,
        ),
    )


class Authentication(Model):
    """How a caller is verified before the agent speaks of their affairs."""

    method: AuthenticationMethod = Field(
        default=AuthenticationMethod.CARD_LAST_FOUR,
        description=(
            "card-last-four: the last four digits of the card. pin: a secret number. "
            "date-of-birth: said, or keyed as eight digits, the day first with language en-GB and "
            "the month first otherwise. one-time-code: a number of so many digits that the bank "
            "sends to the customer's telephone during the call."
        ),
    )
    digits: Int = Field(
        default=4,
        ge=4,
        le=8,
        description=(
            "How many digits are asked for; with one-time-code as many as the bank's codes have, "
            "often 6."
        ),
    )
    max_attempts: Int = Field(
        default=3, ge=1, le=10, description="Wrong tries after which the call is ended."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.method != 'card-last-four' || self.digits == 4",
            message="must be 4 with method: card-last-four; use method: pin for other lengths",
            field_path=".digits",
            holds=lambda a: a.method is not AuthenticationMethod.CARD_LAST_FOUR or a.digits == 4,
        ),
        Rule(
            cel="self.method != 'date-of-birth' || self.digits == 4",
            message="has no meaning with method: date-of-birth; leave it out",
            field_path=".digits",
            holds=lambda a: a.method is not AuthenticationMethod.DATE_OF_BIRTH or a.digits == 4,
        ),
    )


class Dialog(Model):
    """What the agent talks about, and how."""

    flow: Literal["card-delivery"] = Field(
        default="card-delivery", description="The conversation that the agent holds."
    )
    language: Literal["en", "en-US", "en-GB"] = Field(
        default="en", description="Language, as a BCP 47 tag."
    )
    bank_name: str = Field(
        default="your bank",
        min_length=1,
        max_length=80,
        description="Name of the bank as it is spoken in the welcome.",
    )
    barge_in: Bool = Field(
        default=True, description="Whether a caller who speaks interrupts the agent."
    )
    endpointing: Endpointing = Field(
        default_factory=Endpointing,
        description="When a caller is taken to have finished speaking.",
    )
    authentication: Authentication = Field(
        default_factory=Authentication, description="How a caller is verified."
    )
