"""Requests of the context store."""

from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from callfleet_agent.context.conversation import DEFAULT_TTL, MAX_FACTS_BYTES, MAX_MESSAGES, Speaker
from callfleet_agent.services.inputs.kinds import (
    Input,
    Moment,
    Structure,
    Uuid,
    bytes_at_most,
    matching,
    one_of,
    structure_at_most,
    wrong,
)

SPEAKERS = {1: Speaker.CALLER, 2: Speaker.AGENT, 3: Speaker.SYSTEM, 4: Speaker.TOOL}
MAX_CONTENT_BYTES = 16 * 1024
_LONGEST = timedelta(days=1)


def _lives(value: timedelta) -> timedelta:
    if not timedelta(seconds=1) <= value <= _LONGEST:
        raise wrong("must be 1 second to 1 day")
    return value


RESERVED = "callfleet_"
"""Facts with such names are the platform's own: nobody tells it how far a caller is verified."""


def _nobodys(value: dict[str, Any]) -> dict[str, Any]:
    if any(name.startswith(RESERVED) for name in value):
        raise wrong(f"names that begin with {RESERVED} are reserved")
    return value


Facts = Annotated[Structure, AfterValidator(_nobodys)]
Intent = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Za-z0-9_.-]{0,100}", "must be at most 100 letters, digits, '_', '.' or '-'")
    ),
]


class Message(BaseModel):
    """One exchange."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    role: Annotated[Speaker, BeforeValidator(one_of(SPEAKERS, "is no known role"))]
    content: Annotated[str, Field(min_length=1), AfterValidator(bytes_at_most(MAX_CONTENT_BYTES))]
    timestamp: Moment | None = None
    turn: int = Field(default=0, ge=0, le=1_000_000)
    interrupted: bool = False


class GivenContext(BaseModel):
    """A conversation that a client brings, as GetContext answered it. Its facts are not taken from
    it: what is known of a session comes from its store."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    context_id: Uuid | None = None
    session_id: Uuid | None = None
    conversation_history: list[Message] = Field(default_factory=list, max_length=MAX_MESSAGES)
    current_intent: Intent = ""
    customer_data: Annotated[
        dict[str, Any], BeforeValidator(structure_at_most(MAX_FACTS_BYTES))
    ] = Field(default_factory=dict, repr=False)
    correlation_id: Uuid | None = None


class ContextKey(Input):
    """GetContext."""

    session_id: Uuid
    history_limit: int = Field(default=0, ge=0, le=MAX_MESSAGES)


class ContextChange(Input):
    """UpdateContext."""

    session_id: Uuid
    append: list[Message] = Field(default_factory=list, max_length=MAX_MESSAGES)
    current_intent: Intent | None = None
    customer_data: Facts = Field(default_factory=dict)
    ttl: Annotated[timedelta, AfterValidator(_lives)] = DEFAULT_TTL
    expected_version: int = Field(default=0, ge=0, le=2**53)
    request_id: Uuid | None = None


class ContextRemoval(Input):
    """CleanupContext: of one session, or of all whose time is over."""

    session_id: Uuid | None = None
    expired: bool = False
    dry_run: bool = False

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        if self.session_id is None and not self.expired:
            raise wrong("session_id or expired is required", "target")
        return self
