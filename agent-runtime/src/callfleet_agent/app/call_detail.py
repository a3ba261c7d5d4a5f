"""What is written down of a call and its turns: numbers and codes, never content."""

from typing import Final

from callfleet_agent.rtp import MediaStats
from callfleet_agent.session import Call
from callfleet_agent.sip.dialog import Dialog


def call_detail(
    call: Call[Dialog], cause: str, turns: int, codec: str | None, stats: MediaStats | None
) -> dict[str, object]:
    """The fields of the call detail record of a call that is over."""
    return {
        "ended_by": call.ended_by.value,
        "cause": cause or call.ended_by.value,
        "talked_s": round(call.talked_s(), 3),
        "turns": turns,
        "workers_lost": call.workers_lost,
        "codec": codec,
        "packets_received": 0 if stats is None else stats.packets_received,
        "packets_lost": 0 if stats is None else stats.lost,
        "jitter_ms": 0.0 if stats is None else round(stats.jitter_ms, 1),
        "strangers": 0 if stats is None else stats.strangers,
    }


_PARTS_OF_AN_ANSWER: Final = (
    "endpointing_ms",
    "recognition_ms",
    "dialog_ms",
    "bank_ms",
    "synthesis_ms",
)


def answer_ms_of(fields: dict[str, object]) -> float | None:
    """From the end of speech to the answer; the sum of its parts where the worker tells those."""
    told = fields.get("answer_ms")
    if isinstance(told, int | float):
        return float(told)
    parts = [fields[name] for name in _PARTS_OF_AN_ANSWER if name in fields]
    numbers = [float(part) for part in parts if isinstance(part, int | float)]
    return sum(numbers) if fields.get("result") == "heard" and numbers else None


def plain(fields: dict[str, object]) -> dict[str, object]:
    """Fields that cannot clash with a log record's own and that are short."""
    return {
        f"turn_{name}"[:40]: value[:40] if isinstance(value, str) else value
        for name, value in fields.items()
        if isinstance(value, str | int | float | bool)
    }
