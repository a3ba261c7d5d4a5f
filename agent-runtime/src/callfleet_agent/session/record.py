"""The record of a call: what is kept of it, and the life of its status."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self
from uuid import UUID

from callfleet_agent.session.errors import SessionEndedError


class SessionStatus(StrEnum):
    """ACTIVE leads to each of the others; those are final."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"


FINAL: Final = frozenset(SessionStatus) - {SessionStatus.ACTIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSession:
    """One call. Times are aware. `version` grows by one with each change; `owner` is the identity
    that made it."""

    session_id: UUID
    sip_call_id: str
    call_start_time: datetime
    caller_phone: str = field(default="", repr=False)
    status: SessionStatus = SessionStatus.ACTIVE
    call_end_time: datetime | None = None
    ai_provider_config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    avc_instance: str = ""
    voice_agent: str = ""
    owner: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    version: int = 1

    @property
    def is_over(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.status in FINAL

    def ended(self, status: SessionStatus, at: datetime) -> Self:
        """The session after its end; one that has ended keeps its first end.

        Raises:
            ValueError: the status is none that ends a session.
        """
        if status not in FINAL:
            raise ValueError(f"{status} ends no session")
        if self.is_over:
            return self
        end = max(at, self.call_start_time)
        return replace(self, status=status, call_end_time=end, version=self.version + 1)

    def changed(
        self,
        *,
        at: datetime,
        status: SessionStatus | None = None,
        ai_provider_config: Mapping[str, Any] | None = None,
        avc_instance: str | None = None,
    ) -> Self:
        """The session with other values where they are given.

        Raises:
            SessionEndedError: it has ended.
        """
        if self.is_over:
            raise SessionEndedError
        changed = replace(
            self,
            ai_provider_config=(
                self.ai_provider_config if ai_provider_config is None else ai_provider_config
            ),
            avc_instance=self.avc_instance if avc_instance is None else avc_instance,
        )
        if status in FINAL:
            return changed.ended(status, at)
        return replace(changed, version=self.version + 1)
