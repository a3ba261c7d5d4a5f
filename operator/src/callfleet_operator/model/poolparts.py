"""Parts of a ProviderPool: time limits, budget, scaling."""

from typing import ClassVar, Literal

from pydantic import Field

from .scaling import REPLICAS_IN_ORDER
from .schema import Int, Model, Rule


class PoolCalling(Model):
    """How long an agent waits before it asks the next pool. What is absent has a default by stage:
    500 ms to connect; 1500 ms (llm: 2000) for the first piece of an answer; 1500 ms between two.
    """

    connect_milliseconds: Int | None = Field(
        default=None, ge=10, le=60_000, description="Until a connection stands."
    )
    first_byte_milliseconds: Int | None = Field(
        default=None, ge=50, le=120_000, description="From a request to the first of its answer."
    )
    gap_milliseconds: Int | None = Field(
        default=None, ge=50, le=60_000, description="Between two pieces of an answer."
    )
    concurrency: Int = Field(
        default=0, ge=0, le=10_000, description="Requests at once from one pod; 0: no limit."
    )
    hedge_percentile: Int | None = Field(
        default=None,
        ge=0,
        le=99,
        description=(
            "Ask the next pool too when the first piece takes longer than this percentile of "
            "former answers, or when an answer stalls in its middle; 50 to 98. 99: only when it "
            "takes twice as long as the slowest of a hundred. 0: never. Absent: 99, and 0 in "
            "chains where another pool is an account or has a budget."
        ),
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=(
                "!has(self.hedgePercentile) || self.hedgePercentile == 0 || "
                "self.hedgePercentile >= 50"
            ),
            message="must be 0 or from 50 to 99; below 50 most requests would be sent twice",
            field_path=".hedgePercentile",
            holds=lambda p: not p.hedge_percentile or p.hedge_percentile >= 50,
        ),
    )


class PoolBudget(Model):
    """What may be spent at a service. It is shared evenly by the pods of the agents that use it.

    A unit is what is billed: a character for tts, a token for llm, a second of audio for asr.
    """

    requests_per_minute: Int | None = Field(
        default=None, ge=1, le=1_000_000, description="Requests a minute."
    )
    requests_per_day: Int | None = Field(
        default=None, ge=1, le=1_000_000_000, description="Requests a day, UTC."
    )
    units_per_day: Int | None = Field(
        default=None, ge=1, le=1_000_000_000, description="Billed units a day, UTC."
    )


class PoolScaling(Model):
    """Scaling of a pool by its load."""

    metric: Literal["calls", "engine"] = Field(
        default="calls",
        description=(
            "calls: the operator scales by the calls of the agents that use the pool, to zero as "
            "well. engine: a KEDA ScaledObject where KEDA is, else an HPA, by the engine's "
            "running and waiting requests."
        ),
    )
    min_replicas: Int = Field(
        default=1, ge=0, le=100, description="Fewest replicas; 0: none while nobody calls."
    )
    max_replicas: Int = Field(ge=1, le=100, description="Most replicas.")
    target_concurrency: Int = Field(
        default=8,
        ge=1,
        le=1000,
        description="Requests (or calls) at once in a replica that are aimed at.",
    )
    idle_seconds: Int = Field(
        default=300,
        ge=10,
        le=86400,
        description="How long fewer replicas must suffice before there are fewer, in seconds.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (REPLICAS_IN_ORDER,)
