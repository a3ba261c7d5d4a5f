"""What can go wrong at a provider, and what each fault says of its health."""

from enum import Enum, StrEnum, auto


class Fault(StrEnum):
    """Why an attempt gave no whole answer; the values are labels of metrics and logs."""

    REFUSED = "refused"
    SLOW_CONNECT = "slow_connect"
    SLOW_FIRST = "slow_first"
    STALLED = "stalled"
    TOO_LONG = "too_long"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    MALFORMED = "malformed"
    SERVER_ERROR = "server_error"
    RATE_LIMITED = "rate_limited"
    UNAUTHORISED = "unauthorised"
    BAD_REQUEST = "bad_request"
    LOST_RACE = "lost_race"
    CIRCUIT_OPEN = "circuit_open"
    OVER_BUDGET = "over_budget"
    BUSY = "busy"
    NO_PROVIDER = "no_provider"


class Effect(Enum):
    """What a fault does to a provider's health."""

    COUNTS = auto()  # one more failure in a row
    TRIPS = auto()  # asking again soon is of no use: the circuit opens
    PAUSES = auto()  # the provider said when to come again
    NOTHING = auto()  # not the provider's failure


EFFECTS: dict[Fault, Effect] = {
    Fault.REFUSED: Effect.COUNTS,
    Fault.SLOW_CONNECT: Effect.COUNTS,
    Fault.SLOW_FIRST: Effect.COUNTS,
    Fault.STALLED: Effect.COUNTS,
    Fault.TOO_LONG: Effect.COUNTS,
    Fault.TRUNCATED: Effect.COUNTS,
    Fault.EMPTY: Effect.COUNTS,
    Fault.MALFORMED: Effect.COUNTS,
    Fault.SERVER_ERROR: Effect.COUNTS,
    Fault.RATE_LIMITED: Effect.PAUSES,
    Fault.UNAUTHORISED: Effect.TRIPS,
    Fault.BAD_REQUEST: Effect.NOTHING,
    Fault.LOST_RACE: Effect.NOTHING,
    Fault.CIRCUIT_OPEN: Effect.NOTHING,
    Fault.OVER_BUDGET: Effect.NOTHING,
    Fault.BUSY: Effect.NOTHING,
    Fault.NO_PROVIDER: Effect.NOTHING,
}
