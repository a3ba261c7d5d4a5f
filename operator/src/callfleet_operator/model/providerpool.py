"""ProviderPool: one engine for recognition, language or synthesis, and where it runs."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from .engines import EMBEDDED, HOSTED, SPEAKING, STAGES, WITH_GPU, Engine, Hosting, Stage
from .meta import Conditions, ObjectMeta, to_manifest
from .pod import NodeSelector, ResourceList, Tolerations
from .schema import DnsSubdomain, HttpUrl, Int, Model, QualifiedName, Quantity, Rule


class ModelCache(Model):
    """Where a downloaded model is kept."""

    size: Quantity = Field(description="Size of the volume, for example 20Gi.")
    storage_class_name: DnsSubdomain | None = Field(
        default=None, description="StorageClass; absent means the cluster's default."
    )


class InferenceModel(Model):
    """The model that an engine loads."""

    uri: str | None = Field(
        default=None,
        min_length=5,
        max_length=1024,
        pattern=r"^(hf|s3|oci|pvc|https)://[^\s@]+$",
        description="Where the model comes from: hf://, s3://, oci://, pvc:// or https://.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        description="Name of the model in requests; absent means the engine's own default.",
    )
    checksum: str | None = Field(
        default=None,
        max_length=71,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest that the downloaded model must have, sha256: and 64 hex digits.",
    )
    cache: ModelCache | None = Field(
        default=None, description="Volume that keeps the model over restarts."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.uri) || !has(self.checksum)",
            message="is of use with uri only; remove it or set uri",
            field_path=".checksum",
            holds=lambda m: m.uri is not None or m.checksum is None,
        ),
        Rule(
            cel="has(self.uri) || !has(self.cache)",
            message="is of use with uri only; remove it or set uri",
            field_path=".cache",
            holds=lambda m: m.uri is not None or m.cache is None,
        ),
    )


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


class PoolScaling(Model):
    """Scaling of a pool by its load."""

    min_replicas: Int = Field(default=1, ge=1, le=100, description="Fewest replicas.")
    max_replicas: Int = Field(ge=1, le=100, description="Most replicas.")
    target_concurrency: Int = Field(
        default=8, ge=1, le=1000, description="Requests at once in a replica that are aimed at."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="must not be above maxReplicas; lower it or raise maxReplicas",
            field_path=".minReplicas",
            holds=lambda s: s.min_replicas <= s.max_replicas,
        ),
    )


def _cel_list(engines: tuple[Engine, ...]) -> str:
    return "[" + ", ".join(f"'{engine}'" for engine in engines) + "]"


def _embedded_has_no(field: str, attribute: str) -> Rule:
    return Rule(
        cel=f"!(self.engine in {_cel_list(EMBEDDED)}) || !has(self.{field})",
        message=f"has no meaning for an engine that runs inside the agent; remove {field}",
        field_path=f".{field}",
        holds=lambda p: p.engine not in EMBEDDED or getattr(p, attribute) is None,
        reason="FieldValueForbidden",
    )


_ONE_STAGE = {engine: stages[0] for engine, stages in STAGES.items() if len(stages) == 1}


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
        description="What the engine does: asr, llm, tts or vad. Needed for vllm only.",
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
        description="Voice of an engine that speaks; absent means the engine's default.",
    )
    replicas: Int = Field(
        default=1, ge=0, le=100, description="Replicas of a server that the operator runs."
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
    node_selector: NodeSelector = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: Tolerations = Field(default=(), description="Taints that are tolerated.")
    runtime_class_name: DnsSubdomain | None = Field(
        default=None, description="RuntimeClass of the pods, for example nvidia."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.engine == oldSelf.engine",
            message="cannot be changed; create another ProviderPool and name that one",
            field_path=".engine",
            reason="FieldValueForbidden",
        ),
        Rule(
            cel="self.engine != 'vllm' || has(self.stage)",
            message="is needed for vllm, which can do several; set stage to llm or asr",
            field_path=".stage",
            holds=lambda p: p.engine is not Engine.VLLM or p.stage is not None,
            reason="FieldValueRequired",
        ),
        Rule(
            cel="self.engine != 'vllm' || !has(self.stage) || self.stage in ['llm', 'asr']",
            message="must be llm or asr for vllm",
            field_path=".stage",
            holds=lambda p: (
                p.engine is not Engine.VLLM or p.stage is None or p.stage in STAGES[Engine.VLLM]
            ),
        ),
        Rule(
            cel=(
                "!has(self.stage) || self.engine == 'vllm' || self.stage == {"
                + ", ".join(f"'{engine}': '{stage}'" for engine, stage in _ONE_STAGE.items())
                + "}[self.engine]"
            ),
            message="is not what this engine does; remove stage, or choose another engine",
            field_path=".stage",
            holds=lambda p: p.stage is None or p.stage is _ONE_STAGE.get(p.engine, p.stage),
        ),
        Rule(
            cel=f"!(self.engine in {_cel_list(HOSTED)}) || has(self.external)",
            message="is needed for a service; set external.baseUrl and external.secretRef",
            field_path=".external",
            holds=lambda p: p.engine not in HOSTED or p.external is not None,
            reason="FieldValueRequired",
        ),
        Rule(
            cel=(
                "self.engine != 'elevenlabs' || !has(self.external) || has(self.external.secretRef)"
            ),
            message="elevenlabs answers nobody without an API key; set external.secretRef",
            field_path=".external",
            holds=lambda p: (
                p.engine is not Engine.ELEVENLABS
                or p.external is None
                or p.external.secret_ref is not None
            ),
            reason="FieldValueRequired",
        ),
        Rule(
            cel=(
                f"self.engine in {_cel_list(EMBEDDED + HOSTED)} || has(self.external) "
                "|| (has(self.model) && has(self.model.uri))"
            ),
            message=(
                "this engine needs a model; set model.uri, or external when somebody else "
                "runs the server"
            ),
            field_path=".model",
            holds=lambda p: (
                p.engine in EMBEDDED + HOSTED
                or p.external is not None
                or (p.model is not None and p.model.uri is not None)
            ),
            reason="FieldValueRequired",
        ),
        _embedded_has_no("model", "model"),
        _embedded_has_no("external", "external"),
        _embedded_has_no("resources", "resources"),
        _embedded_has_no("scaling", "scaling"),
        Rule(
            cel="!has(self.external) || !has(self.resources)",
            message="has no meaning with external, whose server somebody else runs; remove it",
            field_path=".resources",
            holds=lambda p: p.external is None or p.resources is None,
            reason="FieldValueForbidden",
        ),
        Rule(
            cel="!has(self.external) || !has(self.scaling)",
            message="has no meaning with external, whose server somebody else runs; remove it",
            field_path=".scaling",
            holds=lambda p: p.external is None or p.scaling is None,
            reason="FieldValueForbidden",
        ),
        Rule(
            cel=f"!has(self.voice) || self.engine in {_cel_list(SPEAKING)}",
            message="is for engines that speak (" + ", ".join(SPEAKING) + "); remove voice",
            field_path=".voice",
            holds=lambda p: p.voice is None or p.engine in SPEAKING,
            reason="FieldValueForbidden",
        ),
        Rule(
            cel="!has(self.tensorParallelSize) || self.engine == 'vllm'",
            message="is for vllm only; remove tensorParallelSize",
            field_path=".tensorParallelSize",
            holds=lambda p: p.tensor_parallel_size is None or p.engine is Engine.VLLM,
            reason="FieldValueForbidden",
        ),
        Rule(
            cel=(
                "!has(self.tensorParallelSize) || (has(self.resources) && "
                "has(self.resources.gpu) && "
                "self.resources.gpu.count >= self.tensorParallelSize) || self.engine != 'vllm'"
            ),
            message="needs that many GPUs; set resources.gpu.count to at least this number",
            field_path=".tensorParallelSize",
            holds=lambda p: (
                p.tensor_parallel_size is None
                or p.engine is not Engine.VLLM
                or p.gpu_count >= p.tensor_parallel_size
            ),
        ),
        Rule(
            cel=(
                "!has(self.resources) || !has(self.resources.gpu) "
                f"|| self.engine in {_cel_list(WITH_GPU)}"
            ),
            message="gpu is for " + ", ".join(WITH_GPU) + "; remove resources.gpu",
            field_path=".resources",
            holds=lambda p: p.gpu_count == 0 or p.engine in WITH_GPU + EMBEDDED,
            reason="FieldValueForbidden",
        ),
    )

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
    used_by: Int = Field(default=0, ge=0, description="VoiceAgents that name this pool.")
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
