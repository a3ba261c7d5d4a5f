"""How long a process of the platform waits for what is around it, in seconds."""

from dataclasses import dataclass, field

from callfleet_agent.chain import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The defaults are the product's. What is looked at for something else than these limits may
    have more: on a machine that stands still for a second nothing is away, and nobody is asked in
    its place.

    `redis_s`: for one answer. `connect_s`, `statement_s` and `turn_s` are the database's: for a
    connection, a statement, and a connection that is free. `bank_s`: for an operation with its
    retries. `model`: the language model of `--llm-url`. `decoder_s`: what a decoder has for an
    answer. `recording_s`: for what was said before a client went away.
    """

    redis_s: float = 0.25
    connect_s: float = 3.0
    statement_s: float = 5.0
    turn_s: float = 2.0
    bank_s: float = 5.0
    model: Limits = field(
        default_factory=lambda: Limits(connect_s=0.5, first_s=5.0, gap_s=3.0, total_s=30.0)
    )
    decoder_s: float = 4.0
    recording_s: float = 2.0
