"""Live provider settings: the chains of providers as a running pod reads and follows them.

The operator writes them as YAML into the file `providers.yaml` of a ConfigMap that the pod mounts;
a credential or a CA is never in it, only the path of a mounted file. Agents read it with
`load_live_providers`. On a laptop the same file may be written by hand.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import Field

from .engines import STAGES, Engine, Hosting, Stage
from .load import load
from .meta import to_data
from .schema import DnsSubdomain, Float, Int, ListOf, Model, Rule

FILE = "providers.yaml"
KEYS_DIR = "/etc/callfleet/providers"

# grpc and grpcs are our own servers of proto/callfleet/v1; http and https are everybody else's.
Endpoint = Annotated[
    str,
    Field(
        min_length=8, max_length=512, pattern=r"^(https?|grpcs?)://[A-Za-z0-9.\[\]:_-]+(/[^\s@]*)?$"
    ),
]
MountedFile = Annotated[str, Field(min_length=2, max_length=512, pattern=r"^/[^\s]+$")]


class TimeLimits(Model):
    """How long a provider may take before the next one is asked. All in milliseconds."""

    connect_ms: Int = Field(ge=10, le=60_000, description="Until a connection stands.")
    first_byte_ms: Int = Field(
        ge=50, le=120_000, description="From the request until the first piece of its answer."
    )
    gap_ms: Int = Field(ge=50, le=60_000, description="Between two pieces of an answer.")
    total_ms: Int = Field(ge=50, le=600_000, description="From the request until its end.")


class Budget(Model):
    """What one pod may spend of the pool's budget; a limit that is absent does not limit.

    Units are what is billed: characters for tts, tokens for llm, seconds of audio for asr.
    """

    requests_per_minute: Int | None = Field(default=None, ge=1, description="Requests a minute.")
    requests_per_day: Int | None = Field(default=None, ge=1, description="Requests a day, UTC.")
    units_per_day: Int | None = Field(default=None, ge=1, description="Billed units a day, UTC.")


class ChainMember(Model):
    """One provider of a chain: all that an adapter needs to be made."""

    pool: DnsSubdomain = Field(
        description="Name of the ProviderPool; a name of its own in a chain."
    )
    engine: Engine = Field(description="Which adapter.")
    hosting: Hosting = Field(description="embedded, external or managed.")
    model: str | None = Field(
        default=None, max_length=253, description="Name of the model in requests."
    )
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=16), ListOf("set")] = Field(
        default=(),
        description="Base URLs, to be used in turn; none for an engine inside the agent.",
    )
    voice: str | None = Field(default=None, max_length=128, description="Voice, for tts.")
    language: str | None = Field(
        default=None, max_length=35, description="Language as a BCP 47 tag; absent: the dialog's."
    )
    speed: Float = Field(default=1.0, ge=0, le=4, description="Speed of speech as a factor.")
    limits: TimeLimits = Field(description="Time limits.")
    concurrency: Int = Field(
        default=0, ge=0, le=10_000, description="Requests at once from one pod; 0: no limit."
    )
    hedge_percentile: Int = Field(
        default=0,
        ge=0,
        le=99,
        description=(
            "Ask the next provider too when the first byte takes longer than this percentile of "
            "former answers, or when an answer stalls in its middle; 99: only when it takes twice "
            "as long as the slowest of a hundred; 0: never."
        ),
    )
    budget: Budget | None = Field(default=None, description="Budget; absent: none.")
    key_file: MountedFile | None = Field(
        default=None, description="File with the API key, read again when it changes."
    )
    ca_file: MountedFile | None = Field(
        default=None, description="File with the CAs that verify the server; absent: the system's."
    )
    available: bool = Field(
        default=True,
        description=(
            "What the operator last saw. False is a hint to ask the others first (a pool that is "
            "scaled to zero, or not ready yet), never a reason not to ask it at all."
        ),
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(self.hosting == 'embedded') == (size(self.endpoints) == 0)",
            message="must be empty for an embedded engine and not empty for any other",
            field_path=".endpoints",
            holds=lambda m: (m.hosting is Hosting.EMBEDDED) == (not m.endpoints),
        ),
    )


Members = Annotated[tuple[ChainMember, ...], Field(max_length=8), ListOf("map", ("pool",))]


class LiveProviders(Model):
    """The chains of an agent, each in the order in which providers are asked.

    An empty chain means the engine inside the agent: sphinx, rules, espeak.
    """

    generation: Int = Field(
        ge=0,
        description=(
            "Grows by one whenever anything else in the file changes. A reader takes what is in "
            "the file whatever the number is; it is for logs, metrics and status."
        ),
    )
    asr: Members = Field(default=(), description="Speech recognition.")
    llm: Members = Field(default=(), description="Answers.")
    tts: Members = Field(default=(), description="Speech synthesis.")

    rules: ClassVar[tuple[Rule, ...]] = tuple(
        Rule(
            cel="true",  # no API server reads this
            message=f"has a member whose engine does not serve {stage}; remove it",
            field_path=f".{stage}",
            holds=lambda live, stage=stage: all(  # type: ignore[misc]
                stage in STAGES[member.engine] for member in live.chain(stage)
            ),
        )
        for stage in (Stage.ASR, Stage.LLM, Stage.TTS)
    )

    def chain(self, stage: Stage) -> tuple[ChainMember, ...]:
        """The members of one stage, in order; none for vad, which is not a chain."""
        chains = {Stage.ASR: self.asr, Stage.LLM: self.llm, Stage.TTS: self.tts}
        return chains.get(stage, ())

    def same_but_generation(self, other: "LiveProviders") -> bool:
        """Whether nothing but the number differs."""
        return self.model_copy(update={"generation": other.generation}) == other

    def to_yaml(self) -> str:
        """The text of the file: camelCase, no nulls, keys in order."""
        return yaml.safe_dump(to_data(self), sort_keys=True, allow_unicode=True)


def load_live_providers(source: str | Mapping[str, Any]) -> LiveProviders:
    """Live settings from the text of the file, or plain data. Raises ManifestError.

    A reader that gets an error keeps what it had.
    """
    return load(LiveProviders, source)
