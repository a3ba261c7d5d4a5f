"""What a chain is told of a provider. Times are in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an attempt may take."""

    connect_s: float = 0.5
    first_s: float = 1.5
    gap_s: float = 1.5
    total_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may be spent; None does not limit. Units are what is billed."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    units_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """One provider's place in a chain.

    `available` False is a hint to ask the others first. `hedge_percentile` 0 never asks two, 99
    only where it is silent for far longer than it ever was.
    """

    name: str
    limits: Limits = Limits()
    concurrency: int = 0
    hedge_percentile: int = 0
    allowance: Allowance = Allowance()
    available: bool = True
