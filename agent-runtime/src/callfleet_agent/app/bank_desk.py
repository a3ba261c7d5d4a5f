"""The bank for the workers of this process: each operation is its session's, and is written down
where there are stores."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from callfleet_agent.app.recorded_bank import RecordedBank
from callfleet_agent.banking import Bank
from callfleet_agent.banking.audited import AuditedBank
from callfleet_agent.services.actor import acts_for
from callfleet_agent.services.correlation import correlated

if TYPE_CHECKING:
    from callfleet_agent.app.platform import Stores


class BankDesk:
    """Whom workers ask. `owner_of`: whose a session is that goes on; raises LookupError."""

    def __init__(self, bank: Bank, stores: "Stores | None") -> None:
        self.owner_of: Callable[[UUID], str] = _nobody
        self._bank = bank
        self._stores = stores
        self._auditor = None if stores is None else stores.auditor()
        self._commands = None if stores is None else stores.banking(bank)

    @contextmanager
    def bank_of(self, session_id: UUID) -> Iterator[Bank]:
        """The bank for a session: within the block the task works for the session's owner.

        Raises:
            LookupError: no such session goes on here.
        """
        with acts_for(self.owner_of(session_id)), correlated(str(session_id)):
            if self._auditor is None or self._commands is None:
                yield self._bank
                return
            recorded = RecordedBank(session_id, self._bank, self._commands)
            yield AuditedBank(recorded, self._auditor, session_id)


def _nobody(_: UUID) -> str:
    raise LookupError("no session has begun")
