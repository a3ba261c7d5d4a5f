"""What one call tells of itself, in its order: its beginning, each turn, its end.

What the agent said last is held back until the next line or the end: the caller may speak into it,
and only what was heard is told.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID, uuid5

from callfleet_agent.app.live_calls import LiveCalls
from callfleet_agent.app.remembered import Remembered, remembered
from callfleet_agent.context.conversation import Exchange, Speaker
from callfleet_agent.dialog import Utterance
from callfleet_agent.session.record import CallSession, SessionStatus
from callfleet_agent.session.recorder import CallRecorder

_SPEAKERS: Final = {"caller": Speaker.CALLER, "agent": Speaker.AGENT}
_PHONE: Final = re.compile(r"\+?[0-9]{2,19}")
_CALL_ID: Final = re.compile(r"[!-~]{1,255}")


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)


class Story(Protocol):
    """As a call sees it; nothing here waits or raises."""

    def started(self, session: CallSession) -> None:
        """The call was answered."""

    def context(self, data: bytes) -> None:
        """A worker handed over its context after a turn."""

    def ended(self, status: SessionStatus, at: datetime) -> None:
        """The call is over."""


class NoStory:
    """Of a call that nobody keeps."""

    def started(self, session: CallSession) -> None:
        """Nothing is kept."""

    def context(self, data: bytes) -> None:
        """Nothing is kept."""

    def ended(self, status: SessionStatus, at: datetime) -> None:
        """Nothing is kept."""


class CallStory:
    """The story of one call, told to a recorder."""

    def __init__(
        self,
        session_id: UUID,
        recorder: CallRecorder,
        live: LiveCalls,
        *,
        owner: str = "",
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._session_id = session_id
        self._recorder = recorder
        self._live = live
        self._owner = owner
        self._now = now
        self._lines = 0
        self._known: Remembered | None = None
        self._told: tuple[str, dict[str, object]] = ("", {})
        self._begun = False

    def started(self, session: CallSession) -> None:
        """The call was answered."""
        self._begun = True
        self._live.is_up(self._session_id, self._owner)
        self._recorder.call_started(session)

    def context(self, data: bytes) -> None:
        """A worker handed over its context after a turn."""
        found = remembered(data, self._lines) if self._begun else None
        if found is not None:
            self._known = found
            lines = found.lines
            self._tell(found, lines[:-1] if lines and lines[-1].speaker == "agent" else lines)
            self._live.goes_on(self._session_id)

    def ended(self, status: SessionStatus, at: datetime) -> None:
        """The call is over: what was held back is told, and the end."""
        if not self._begun:
            return
        if self._known is not None:
            self._tell(self._known, self._known.lines)
        self._recorder.call_ended(self._session_id, status, at)
        self._live.is_over(self._session_id)
        self._begun = False

    def _tell(self, found: Remembered, lines: tuple[Utterance, ...]) -> None:
        fresh = [line for line in lines if line.number > self._lines and line.text]
        about = (found.intent, dict(found.facts))
        if not fresh and about == self._told:
            return
        at = self._now()
        first, self._told = self._lines, about
        self._lines = max([self._lines, *(line.number for line in fresh)])
        self._recorder.turn_ended(
            self._session_id,
            uuid5(self._session_id, f"{first}-{self._lines}-{about}"),
            {
                "exchanges": tuple(_exchange(line, at) for line in fresh),
                "intent": found.intent,
                "facts": found.facts,
            },
        )


def _exchange(line: Utterance, at: datetime) -> Exchange:
    return Exchange(
        speaker=_SPEAKERS.get(line.speaker, Speaker.SYSTEM),
        content=line.text,
        at=at,
        turn=line.turn,
        interrupted=line.cut,
    )


def kept_number(number: str | None) -> str:
    """A caller's number as the store takes it; a name, or none, is left out."""
    return number if number and _PHONE.fullmatch(number) else ""


def kept_call_id(call_id: str, session_id: UUID) -> str:
    """A Call-ID as the store takes it; one that is too long or odd is replaced by what is as
    unique."""
    return call_id if _CALL_ID.fullmatch(call_id) else f"{session_id}@unnamed"
