"""ProviderPool: one engine for recognition, language or synthesis, and where it runs."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from .engines import EMBEDDED, STAGES, Engine, Hosting, Stage
from .meta import Conditions, ObjectMeta, to_manifest
from .pod import LocalSecret, NodeSelector, ResourceList, Tolerations
from .poolmodel import InferenceModel
from .poolparts import PoolBudget, PoolCalling, PoolScaling
from .poolrules import RULES
from .schema import DnsLabel, DnsSubdomain, Float, HttpUrl, Int, ListOf, Model, QualifiedName, Rule


class SecretKey(Model):
    """One key of a Secret in the namespace of the resource."""

    name: DnsSubdomain = Field(description="Name of the Secret.")
    key: str = Field(
        default="apiKey",
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="Key in the Secret.",
    )


class External(Model):
    """A server or a service that somebody else runs."""

    base_url: HttpUrl = Field(description="Base URL, http or https, without user or password.")
    secret_ref: SecretKey | None = Field(
        default=None, description="Where the API key is; absent means that none is sent."
    )
    timeout_seconds: Int = Field(
        default=10, ge=1, le=60, description="Time limit of one request, in seconds."
    )
    ca_secret_name: DnsSubdomain | None = Field(
        default=None,
        description="Secret whose key `ca.crt` verifies the server; absent: the system's CAs.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.caSecretName) || self.baseUrl.startsWith('https://')",
            message="is of use with https only; remove it or give an https baseUrl",
            field_path=".caSecretName",
            holds=lambda e: e.ca_secret_name is None or e.base_url.startswith("https://"),
        ),
    )


class Gpu(Model):
    """GPUs of one replica."""

    resource_name: QualifiedName = Field(
        default="nvidia.com/gpu",
        description="Resource that is requested, for example nvidia.com/mig-1g.10gb.",
    )
    count: Int = Field(default=1, ge=1, le=16, description="How many, for each replica.")


class PoolResources(Model):
    """Compute resources of one replica."""

    requests: ResourceList = Field(default_factory=dict, description="Requested resources.")
    limits: ResourceList = Field(default_factory=dict, description="Limits.")
    gpu: Gpu | None = Field(default=None, description="GPUs; absent means none.")


class ProviderPoolSpec(Model):
    """What is wanted of a pool."""

    engine: Engine = Field(
        description=(
            "The engine. sphinx, rules, espeak and silero run inside the agent; openai and "
            "elevenlabs are services; the others are servers. It cannot be changed."
        )
    )
    stage: Stage | None = Field(
        default=None,
        description="What the engine does: asr, llm, tts or vad. Needed for vllm; llm for openai.",
    )
    model: InferenceModel | None = Field(
        default=None, description="The model that the engine loads."
    )
    external: External | None = Field(
        default=None,
        description="Server or service that somebody else runs; absent means that we run it.",
    )
    voice: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$",
        description=(
            "Voice of an engine that speaks; for elevenlabs the voice ID and not the name. Absent "
            "means the engine's default."
        ),
    )
    language: str | None = Field(
        default=None,
        min_length=2,
        max_length=35,
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        description="Language as a BCP 47 tag, for example en-US; absent: the dialog's.",
    )
    speed: Float = Field(
        default=1.0, ge=0, le=4, description="Speed of speech as a factor, 0.5 to 2."
    )
    calling: PoolCalling = Field(
        default_factory=PoolCalling,
        description="How agents call this pool, and how long they wait.",
    )
    budget: PoolBudget | None = Field(
        default=None, description="What all agents together may spend; absent: no limit."
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]*$",
        description="Image of the server; absent means the one of the operator's settings.",
    )
    image_pull_secrets: Annotated[
        tuple[LocalSecret, ...], Field(max_length=8), ListOf("map", ("name",))
    ] = Field(default=(), description="Secrets with which images are pulled.")
    extra_args: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=512)], ...],
        Field(max_length=64),
        ListOf("atomic"),
    ] = Field(default=(), description="Arguments added to the command line of vllm or llamacpp.")
    replicas: Int = Field(
        default=1, ge=0, le=100, description="Replicas of a server that the operator runs."
    )
    profile: DnsLabel | None = Field(
        default=None,
        description=(
            "Resource profile of the operator's settings: resources, node selector, tolerations "
            "and runtime class, where this spec does not say them."
        ),
    )
    resources: PoolResources | None = Field(
        default=None, description="Compute resources of one replica."
    )
    scaling: PoolScaling | None = Field(
        default=None, description="Scaling by load; absent means that replicas stays as written."
    )
    tensor_parallel_size: Int | None = Field(
        default=None, ge=1, le=16, description="GPUs over which vllm splits a model."
    )
    nodes: Int | None = Field(
        default=None,
        ge=2,
        le=16,
        description="Nodes over which vllm splits a model that is too large for one.",
    )
    drain_seconds: Int = Field(
        default=60,
        ge=5,
        le=3600,
        description="How long a replica that ends waits for its running requests, in seconds.",
    )
    node_selector: NodeSelector = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: Tolerations = Field(default=(), description="Taints that are tolerated.")
    runtime_class_name: DnsSubdomain | None = Field(
        default=None, description="RuntimeClass of the pods, for example nvidia."
    )

    rules: ClassVar[tuple[Rule, ...]] = RULES

    @property
    def gpu_count(self) -> int:
        """GPUs of one replica."""
        gpu = self.resources.gpu if self.resources is not None else None
        return gpu.count if gpu is not None else 0

    @property
    def capability(self) -> Stage:
        """The stage that this pool serves, told or derived from its engine."""
        return self.stage or STAGES[self.engine][0]

    @property
    def hosting(self) -> Hosting:
        """Who runs the engine."""
        if self.engine in EMBEDDED:
            return Hosting.EMBEDDED
        return Hosting.EXTERNAL if self.external is not None else Hosting.MANAGED


class ModelProgress(Model):
    """How far a model is loaded."""

    bytes: Int = Field(default=0, ge=0, description="Bytes that are there.")
    total_bytes: Int = Field(default=0, ge=0, description="Bytes of the whole; 0: not known yet.")
    percent: Int = Field(default=0, ge=0, le=100, description="The two as a percentage.")


class ProviderPoolStatus(Model):
    """What was observed of a pool."""

    observed_generation: Int = Field(
        default=0, ge=0, description="The generation of spec that this status is about."
    )
    replicas: Int = Field(default=0, ge=0, description="Replicas that exist.")
    ready_replicas: Int = Field(default=0, ge=0, description="Replicas that answer.")
    endpoint: str = Field(
        default="", max_length=512, description="Where agents reach the pool; empty when inside."
    )
    selector: str = Field(
        default="", max_length=512, description="Label selector of the pods, for autoscalers."
    )
    engine_version: str = Field(
        default="", max_length=64, description="Version that the engine says it has."
    )
    first_token_milliseconds: Int | None = Field(
        default=None,
        ge=0,
        description="From a request to its first result, median of the warm-up benchmark.",
    )
    real_time_factor: Float | None = Field(
        default=None,
        ge=0,
        description="Seconds of work for a second of audio, of the warm-up benchmark.",
    )
    model_progress: ModelProgress | None = Field(
        default=None, description="How far the model is loaded into the cache."
    )
    used_by: Int = Field(default=0, ge=0, description="VoiceAgents that name this pool.")
    users: Annotated[
        tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=64), ListOf("atomic")
    ] = Field(default=(), description="Names of VoiceAgents that name this pool, 64 at most.")
    conditions: Conditions = Field(
        default=(), description="Ready, Progressing, Degraded and ModelCached, with reasons."
    )


class ProviderPool(Model):
    """One engine for recognition, language or synthesis, embedded, external or run by us."""

    api_version: Literal["callfleet.io/v1alpha1"] = Field(
        description="Version of this kind: callfleet.io/v1alpha1."
    )
    kind: Literal["ProviderPool"] = Field(description="ProviderPool.")
    metadata: ObjectMeta = Field(description="Name, namespace, labels and annotations.")
    spec: ProviderPoolSpec = Field(description="What is wanted.")
    status: ProviderPoolStatus | None = Field(
        default=None, description="What was observed; the operator writes it."
    )

    def to_manifest(self) -> dict[str, Any]:
        """The manifest as plain data, camelCase, with the defaults filled in and no nulls."""
        return to_manifest(self)
