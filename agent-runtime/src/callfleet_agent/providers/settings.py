"""What an adapter is told, and what the chain is told, of a member of the live settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from callfleet_agent.chain import Allowance, Limits, MemberSettings
from callfleet_operator.model import ChainMember, Hosting


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Everything that decides which adapter is needed: equal settings can share one.

    The files are read again when they change, since Secrets rotate. `identity` is the folder of the
    certificate that is shown to a pool of the operator's, and of the CA that signed the pool's.
    """

    engine: str
    endpoints: tuple[str, ...] = ()
    model: str | None = None
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    key_file: Path | None = None
    ca_file: Path | None = None
    identity: Path | None = None

    @classmethod
    def of(cls, member: ChainMember, identity: Path | None = None) -> Self:
        """From the live settings, and from who we are."""
        return cls(
            engine=member.engine.value,
            endpoints=tuple(member.endpoints),
            model=member.model,
            voice=member.voice,
            language=member.language,
            speed=float(member.speed) or 1.0,
            key_file=None if member.key_file is None else Path(member.key_file),
            ca_file=None if member.ca_file is None else Path(member.ca_file),
            identity=identity if member.hosting is Hosting.MANAGED else None,
        )


def member_settings(member: ChainMember) -> MemberSettings:
    """What the chain is told."""
    limits, budget = member.limits, member.budget
    return MemberSettings(
        name=member.pool,
        limits=Limits(
            connect_s=limits.connect_ms / 1000,
            first_s=limits.first_byte_ms / 1000,
            gap_s=limits.gap_ms / 1000,
            total_s=limits.total_ms / 1000,
        ),
        concurrency=member.concurrency,
        hedge_percentile=member.hedge_percentile,
        allowance=Allowance()
        if budget is None
        else Allowance(
            requests_per_minute=budget.requests_per_minute,
            requests_per_day=budget.requests_per_day,
            units_per_day=budget.units_per_day,
        ),
        available=member.available,
    )
