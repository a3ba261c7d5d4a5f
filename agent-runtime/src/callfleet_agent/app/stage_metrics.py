"""How long each stage of a turn takes, what the line is like, and which breakers are open."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

VOICE_S: Final = (
    0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0,
)  # fmt: skip
_JITTER_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
_LOSS: Final = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_MOST_WORKERS: Final = 256
DEPENDENCIES: Final = ("bank", "asr", "llm", "tts")
STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "vad": ("vad_ms",),
    "endpointing": ("endpointing_ms",),
    "asr_first": ("asr_first_ms",),
    "asr_final": ("recognition_ms",),
    "llm_first": ("llm_first_ms", "dialog_ms"),
    "llm": ("model_ms",),
    "bank": ("bank_ms",),
    "tts_first": ("tts_first_ms",),
}
"""Stages, and the fields of a worker's event that tell of them, the first that is there."""
GUARDED: Final[Mapping[str, frozenset[str]]] = {
    "input": frozenset(
        {
            "override", "reveal", "role", "authority", "tool", "others", "coerce", "hint", "hidden",
            "tokens", "names_another", "address", "invisible", "lookalikes", "encoded", "budget",
        }
    ),
    "tool": frozenset(
        {
            "unknown_tool", "bad_arguments", "unknown_argument", "not_authenticated",
            "other_customer",
        }
    ),
    "answer": frozenset(
        {
            "too_long", "unspeakable", "spelled", "number", "address", "credential", "claim",
            "dealing", "somebody_else", "itself", "name", "instructions", "language", "provider",
        }
    ),
}  # fmt: skip
"""Where something is kept from a language model, or it from callers, and why."""


class Circuit(IntEnum):
    """A breaker's state as a number."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breakers:
    """The breakers of several workers: of each dependency the worst is shown, on a gauge of their
    own or on `gauge`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        gauge: Gauge | None = None,
        dependencies: Sequence[str] = DEPENDENCIES,
    ) -> None:
        self._gauge = gauge or Gauge(
            "callfleet_breaker_state",
            "Circuit breaker of a dependency, the worst of all workers: 0 closed, 1 half open, "
            "2 open",
            ["dependency"],
            registry=registry,
        )
        self._states: dict[str, dict[object, Circuit]] = {name: {} for name in dependencies}
        for name in dependencies:
            self._gauge.labels(name).set(Circuit.CLOSED)

    def tell(self, dependency: str, worker: object, state: object) -> None:
        """What a worker says of one of its breakers; what is not known is passed over."""
        states = self._states.get(dependency)
        if states is None or str(state).upper() not in Circuit.__members__:
            return
        if len(states) >= _MOST_WORKERS:
            states.pop(next(iter(states)))
        states.pop(worker, None)
        states[worker] = Circuit[str(state).upper()]
        self._gauge.labels(dependency).set(max(states.values()))

    def forget(self, living: frozenset[object]) -> None:
        """Only these workers are left."""
        for dependency, states in self._states.items():
            for worker in [known for known in states if known not in living]:
                del states[worker]
            self._gauge.labels(dependency).set(max(states.values(), default=Circuit.CLOSED))


class StageMetrics:
    """The metrics of the turns. `breakers`: where workers in other processes tell of theirs."""

    def __init__(self, registry: CollectorRegistry, breakers: Breakers | None = None) -> None:
        self.breakers = breakers
        self._stage = Histogram(
            "callfleet_stage_seconds", "A stage of a turn", ["stage"],
            buckets=VOICE_S, registry=registry,
        )  # fmt: skip
        self._voice_to_voice = Histogram(
            "callfleet_voice_to_voice_seconds",
            "End of the caller's speech to the first sound of the answer in the connector",
            buckets=VOICE_S,
            registry=registry,
        )
        self._guarded = Counter(
            "callfleet_guarded",
            "Words kept from a language model (input), and of its answers what was not done (tool) "
            "or not spoken (answer)",
            ["where", "reason"],
            registry=registry,
        )
        for where, reasons in GUARDED.items():
            for reason in sorted(reasons):
                self._guarded.labels(where, reason)
        self._barge_ins = Counter(
            "callfleet_barge_ins", "Callers who interrupted the agent", registry=registry
        )
        self._barge_in = Histogram(
            "callfleet_barge_in_seconds",
            "Beginning of a caller's speech into the agent's to the agent's silence",
            buckets=VOICE_S,
            registry=registry,
        )
        self._jitter = Histogram(
            "callfleet_rtp_jitter_seconds", "Jitter of a call's sound, at its end",
            buckets=_JITTER_S, registry=registry,
        )  # fmt: skip
        self._loss = Histogram(
            "callfleet_rtp_loss_ratio", "Share of a call's packets that never came, at its end",
            buckets=_LOSS, registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "callfleet_calls_waiting", "Calls that wait for a worker", registry=registry
        )
        for stage in STAGES:
            self._stage.labels(stage)

    def told(self, name: str, fields: Mapping[str, object]) -> None:
        """Any event of a conversation."""
        if name == "turn":
            self.turn(fields)
        elif name == "barge-in":
            self.barged_in(fields)

    def turn(self, fields: Mapping[str, object]) -> None:
        """A turn's event of a worker."""
        for stage, names in STAGES.items():
            if stage == "llm_first" and "model_ms" in fields:
                names = names[:1]  # noqa: PLW2901 - a model was asked: the dialog is not the LLM
            told = next((fields[name] for name in names if name in fields), None)
            if isinstance(told, int | float) and told >= 0:
                self._stage.labels(stage).observe(told / 1000)
        self._guard(str(fields.get("guarded", "")))
        if self.breakers is None:
            return
        for dependency in DEPENDENCIES:
            if f"{dependency}_circuit" in fields:
                state = fields[f"{dependency}_circuit"]
                self.breakers.tell(dependency, fields.get("worker_pid"), state)

    def _guard(self, told: str) -> None:
        where, _, reason = told.partition(":")
        if where in GUARDED:
            known = reason if reason in GUARDED[where] else "unknown"
            self._guarded.labels(where, known).inc()

    def spoke(self, voice_to_voice_s: float | None, first_sound_s: float | None) -> None:
        """The agent began to speak."""
        if voice_to_voice_s is not None:
            self._voice_to_voice.observe(voice_to_voice_s)
        if first_sound_s is not None:
            self._stage.labels("tts_first").observe(first_sound_s)

    def barged_in(self, fields: Mapping[str, object]) -> None:
        """A caller interrupted the agent, by voice or with a key."""
        self._barge_ins.inc()
        heard_ms = fields.get("heard_ms")
        if isinstance(heard_ms, int | float):
            self._barge_in.observe(heard_ms / 1000)

    def line(self, *, jitter_ms: float, lost: int, received: int) -> None:
        """A call's line, at the call's end."""
        expected = max(0, lost) + received
        if expected > 0:
            self._jitter.observe(jitter_ms / 1000)
            self._loss.observe(max(0, lost) / expected)
