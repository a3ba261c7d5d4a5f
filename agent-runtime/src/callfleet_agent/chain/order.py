"""Who is asked, and in which order."""

from collections.abc import Sequence

from callfleet_agent.chain.faults import Fault
from callfleet_agent.chain.member import Member


def order(members: Sequence[Member], now: float, units: float) -> tuple[Member, ...]:
    """The members that may be asked: as the chain names them, those that were last seen to be
    away after the others, and those whose circuit is open at the very end: better than silence."""

    def rank(member: Member) -> int | None:
        refusal = member.refusal(now, units)
        if refusal is None:
            return 0 if member.settings.available else 1
        return 2 if refusal is Fault.CIRCUIT_OPEN else None

    ranked = [(found, member) for member in members if (found := rank(member)) is not None]
    return tuple(member for _, member in sorted(ranked, key=lambda pair: pair[0]))


def refusal_of_all(members: Sequence[Member], now: float, units: float) -> Fault:
    """Why nobody may be asked: the first member's reason."""
    reasons = (member.refusal(now, units) for member in members)
    return next((reason for reason in reasons if reason is not None), Fault.NO_PROVIDER)
