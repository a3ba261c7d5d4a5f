"""What a call owes to the stores, kept until it is delivered: bounded, in order, crash-safe.

The call's path only appends: a record is sealed and written to a local file before `append`
returns, and nothing waits for a store. A deliverer hands the records on, in order, each with an id
by which the store knows one that comes again.
"""

from callfleet_agent.journal.delivery import Deliverer, DeliverySettings, Sink
from callfleet_agent.journal.entry import Entry, Weight
from callfleet_agent.journal.errors import DeliverLaterError, JournalError, RefusedError
from callfleet_agent.journal.journal import Journal, JournalCounts, JournalSettings

__all__ = [
    "DeliverLaterError", "Deliverer", "DeliverySettings", "Entry", "Journal", "JournalCounts",
    "JournalError", "JournalSettings", "RefusedError", "Sink", "Weight",
]  # fmt: skip
