"""What sessions have chosen of a service: the newest so many sessions are remembered."""

from collections import OrderedDict
from typing import Final, Generic, TypeVar
from uuid import UUID

Choice = TypeVar("Choice")
_MOST: Final = 10_000


class Preferences(Generic[Choice]):
    """A choice for each session, and one for all others."""

    def __init__(self, default: Choice) -> None:
        self._default = default
        self._of: OrderedDict[UUID, Choice] = OrderedDict()

    def of(self, session_id: UUID | None) -> Choice:
        """The choice of a session."""
        return self._default if session_id is None else self._of.get(session_id, self._default)

    def choose(self, session_id: UUID | None, choice: Choice) -> None:
        """From now on; without a session, for every session that has not chosen."""
        if session_id is None:
            self._default = choice
            return
        self._of[session_id] = choice
        self._of.move_to_end(session_id)
        if len(self._of) > _MOST:
            self._of.popitem(last=False)
