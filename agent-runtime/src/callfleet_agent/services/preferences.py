"""What clients have chosen of a service, known to all of its replicas where they share a Redis.

A choice holds for who made it, and for nobody else: neither a session's nor one for all. One for a
session lapses an hour after it was last used, one for all others a week after.

Each replica remembers the newest that it has seen, so that nothing is forgotten while Redis is
away. Of two choices the one that was made later holds, and what Redis has missed it is told when
that is used next.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import orjson

from callfleet_agent.services.actor import acting
from callfleet_agent.services.shared_choices import Kept, SharedChoices, Slot

Choice = TypeVar("Choice")
Key = tuple[str, UUID | None]
SESSION_TTL_S: Final = 3600
CLIENT_TTL_S: Final = 7 * 24 * 3600
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Made(Generic[Choice]):
    """`at_ms` is since 1970; `until`, in seconds, is when it lapses."""

    choice: Choice
    at_ms: int
    until: float


class Preferences(Generic[Choice]):
    """A client's choice for each of its sessions, and one for all others of its sessions.

    `service` is a part of the keys. A choice is kept as JSON, of which `read` makes it again; it
    raises ValueError, TypeError or KeyError for what is none. `now` is the time in seconds.
    """

    def __init__(
        self,
        service: str,
        default: Choice,
        read: Callable[[Any], Choice],
        shared: SharedChoices | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._default = default
        self._read = read
        self._shared = shared
        self._now = now
        self._of: OrderedDict[Key, _Made[Choice]] = OrderedDict()

    async def of(self, session_id: UUID | None) -> Choice:
        """The choice of who asks, for a session."""
        client = acting()
        keys: list[Key] = [(client, None)]
        if session_id is not None:
            keys.insert(0, (client, session_id))
        found = await self._shared.get([self._slot(key) for key in keys]) if self._shared else None
        chosen = self._default
        for key, kept in reversed(list(zip(keys, found or [None] * len(keys), strict=True))):
            made = self._newest(key, kept)
            if made is None:
                continue
            chosen = made.choice
            if self._shared and found is not None and (kept is None or kept.at_ms < made.at_ms):
                await self._shared.mend(self._slot(key), _kept(made.choice, made.at_ms))
        return chosen

    async def choose(self, session_id: UUID | None, choice: Choice) -> None:
        """From now on; without a session, for every session that has not chosen."""
        key = (acting(), session_id)
        former = self._of.get(key)
        at_ms = max(int(self._now() * 1000), former.at_ms + 1 if former else 0)
        kept = _kept(choice, at_ms)
        if self._shared is not None:
            at_ms = await self._shared.choose(self._slot(key), kept)
        self._remembered(key, choice, at_ms)

    def _newest(self, key: Key, kept: Kept | None) -> _Made[Choice] | None:
        """What was chosen last and has not lapsed: it is in use."""
        made = self._of.pop(key, None)
        if made is not None and made.until <= self._now():
            made = None
        if kept is not None and (made is None or kept.at_ms >= made.at_ms):
            try:
                return self._remembered(key, self._read(orjson.loads(kept.text)), kept.at_ms)
            except (ValueError, TypeError, KeyError):  # a later version's
                pass
        return None if made is None else self._remembered(key, made.choice, made.at_ms)

    def _remembered(self, key: Key, choice: Choice, at_ms: int) -> _Made[Choice]:
        made = _Made(choice, at_ms, self._now() + _live_s(key))
        self._of[key] = made
        self._of.move_to_end(key)
        if len(self._of) > _MOST:
            self._of.popitem(last=False)
        return made

    def _slot(self, key: Key) -> Slot:
        client, session_id = key
        digest = hashlib.sha256(client.encode()).hexdigest()[:32]
        return Slot(f"choice:{self._service}:{digest}:{session_id or 'all'}", _live_s(key))


def _kept(choice: object, at_ms: int) -> Kept:
    return Kept(at_ms, orjson.dumps(choice).decode())


def _live_s(key: Key) -> int:
    return CLIENT_TTL_S if key[1] is None else SESSION_TTL_S
