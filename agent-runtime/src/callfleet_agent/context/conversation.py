"""The memory of a call: what was said, what is wanted, what is known of the customer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import orjson

from callfleet_agent.context.errors import ContextTooLargeError, VersionConflictError

MAX_MESSAGES: Final = 200
MAX_HISTORY_BYTES: Final = 256 * 1024
MAX_FACTS_BYTES: Final = 64 * 1024
DEFAULT_TTL: Final = timedelta(minutes=30)


class Speaker(StrEnum):
    """Who spoke."""

    CALLER = "caller"
    AGENT = "agent"
    SYSTEM = "system"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One thing that was said."""

    speaker: Speaker
    content: str = field(repr=False)
    at: datetime | None = None
    turn: int = 0
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationContext:
    """A session's memory. `version` counts its changes; `owner` is whose session it is."""

    context_id: UUID
    session_id: UUID
    last_updated: datetime
    expires_at: datetime
    history: tuple[Exchange, ...] = field(default=(), repr=False)
    current_intent: str = ""
    customer_data: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    version: int = 0
    owner: str = ""

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at <= now

    def newest(self, limit: int) -> "ConversationContext":
        """With the newest exchanges only; 0 keeps all."""
        return replace(self, history=self.history[-limit:]) if limit else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A change of a memory: None leaves, a fact of None is forgotten."""

    append: tuple[Exchange, ...] = field(default=(), repr=False)
    current_intent: str | None = None
    customer_data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    ttl: timedelta = DEFAULT_TTL
    expected_version: int = 0


def merged(before: ConversationContext, addition: Addition, now: datetime) -> ConversationContext:
    """The memory after the addition; what is too much of the history goes, the oldest first.
    A memory whose time is over is empty.

    Raises:
        VersionConflictError: the change was made from another version.
        ContextTooLargeError: there would be too many facts.
    """
    if addition.expected_version not in {0, before.version}:
        raise VersionConflictError(addition.expected_version, before.version)
    if before.is_expired(now):
        before = replace(before, history=(), current_intent="", customer_data={})
    kept = {**before.customer_data, **addition.customer_data}
    facts = {name: value for name, value in kept.items() if value is not None}
    if len(orjson.dumps(facts)) > MAX_FACTS_BYTES:
        raise ContextTooLargeError(MAX_FACTS_BYTES)
    intent = addition.current_intent
    return replace(
        before,
        history=_bounded(before.history + addition.append),
        current_intent=before.current_intent if intent is None else intent,
        customer_data=facts,
        last_updated=now,
        expires_at=now + addition.ttl,
        version=before.version + 1,
    )


def _bounded(history: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    """The newest exchanges that fit."""
    kept, size = 0, 0
    for exchange in reversed(history[-MAX_MESSAGES:]):
        size += len(exchange.content.encode())
        if kept and size > MAX_HISTORY_BYTES:
            break
        kept += 1
    return history[len(history) - kept :]
