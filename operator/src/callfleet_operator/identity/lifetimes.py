"""How long everything lives."""

from dataclasses import dataclass

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds. `settle_s` is how long a new CA or token key is known everywhere before it signs:
    longer than it takes until every pod has seen a changed Secret.
    """

    ca_s: float = 3650 * DAY_S
    leaf_s: float = 90 * DAY_S
    token_s: float = 3600.0
    token_key_s: float = 30 * DAY_S
    settle_s: float = 3600.0

    @property
    def successor_s(self) -> float:
        """So long before its CA's end a successor is made: every leaf is then renewed in time."""
        return max(self.ca_s / 10, self.leaf_s + 2 * self.settle_s)

    @property
    def renew_look_s(self) -> float:
        """How often certificates and tokens are looked at, to be renewed well before their end."""
        return max(0.2, min(self.leaf_s, self.token_s) / 12)

    @property
    def look_s(self) -> float:
        """How often CA, keys and what they have signed are looked at: well within the shortest of
        these times, and every minute at least."""
        return max(0.2, min(60.0, self.settle_s / 2, self.renew_look_s))
