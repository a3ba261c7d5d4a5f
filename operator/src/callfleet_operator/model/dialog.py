"""The conversation of an agent: its flow, its turns, and how a caller is verified."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from .schema import Bool, Int, Model, Rule


class AuthenticationMethod(StrEnum):
    """What a caller proves to be who they say they are."""

    CARD_LAST_FOUR = "card-last-four"
    PIN = "pin"


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
        description="card-last-four: the last four digits of the card. pin: a secret number.",
    )
    digits: Int = Field(default=4, ge=4, le=8, description="How many digits are asked for.")
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
