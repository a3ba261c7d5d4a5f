"""Parts of a pod that a manifest may set: resources, placement, image."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .schema import (
    DnsSubdomain,
    Int,
    LabelValue,
    ListOf,
    Model,
    QualifiedName,
    Quantity,
    Rule,
)

ResourceList = Annotated[dict[QualifiedName, Quantity], Field(max_length=16)]
NodeSelector = Annotated[dict[QualifiedName, LabelValue], Field(max_length=16)]
RESERVED_PREFIX = "callfleet.io/"


class Toleration(Model):
    """A taint of nodes that is tolerated."""

    key: str = Field(
        default="", max_length=317, description="Key of the taint; empty with Exists means all."
    )
    operator: Literal["Exists", "Equal"] = Field(
        default="Equal", description="How key and value are compared with the taint."
    )
    value: LabelValue = Field(default="", description="Value of the taint, for Equal.")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        default="", description="Effect of the taint; empty means every effect."
    )
    toleration_seconds: Int | None = Field(
        default=None,
        ge=0,
        le=86400,
        description="How long a NoExecute taint is tolerated, in seconds; absent means for ever.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.key != '' || self.operator == 'Exists'",
            message="a toleration without key needs operator: Exists",
            field_path=".operator",
            holds=lambda t: t.key != "" or t.operator == "Exists",
        ),
        Rule(
            cel="self.value == '' || self.operator == 'Equal'",
            message="must be empty with operator: Exists; remove it or use operator: Equal",
            field_path=".value",
            holds=lambda t: t.value == "" or t.operator == "Equal",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || self.effect == 'NoExecute'",
            message="is meant for effect: NoExecute only; remove it or set that effect",
            field_path=".tolerationSeconds",
            holds=lambda t: t.toleration_seconds is None or t.effect == "NoExecute",
        ),
    )


Tolerations = Annotated[tuple[Toleration, ...], Field(max_length=16), ListOf("atomic")]


class TopologySpread(Model):
    """How pods are spread over nodes, zones and the like."""

    max_skew: Int = Field(
        default=1, ge=1, le=100, description="Largest difference in pods between two domains."
    )
    topology_key: QualifiedName = Field(
        description="Label of nodes that names the domain, for example kubernetes.io/hostname."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        default="ScheduleAnyway", description="What to do with a pod that cannot be spread."
    )


TopologySpreads = Annotated[
    tuple[TopologySpread, ...],
    Field(max_length=8),
    ListOf("map", ("topology_key", "when_unsatisfiable")),
]


class LocalSecret(Model):
    """A Secret in the namespace of the resource."""

    name: DnsSubdomain = Field(description="Name of the Secret.")


class AgentResources(Model):
    """Compute resources of an agent pod."""

    requests: ResourceList = Field(
        default_factory=dict,
        description=(
            "Requested resources. When cpu is not set, it is what spec.capacity.workers needs."
        ),
    )
    limits: ResourceList = Field(
        default_factory=dict,
        description="Limits. A limit of cpu is refused: throttling stops the media clock.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!('cpu' in self.limits)",
            message=(
                "cpu must not be limited, because throttling stops the media clock of every "
                "call; remove limits.cpu and set requests.cpu"
            ),
            field_path=".limits",
            holds=lambda r: "cpu" not in r.limits,
            reason="FieldValueForbidden",
        ),
    )


class AgentPod(Model):
    """What a manifest may say about the pods of an agent."""

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]*$",
        description="Image of the agent; absent means the one of the operator's settings.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="Pull policy; absent means the one of the operator's settings."
    )
    image_pull_secrets: Annotated[
        tuple[LocalSecret, ...], Field(max_length=8), ListOf("map", ("name",))
    ] = Field(default=(), description="Secrets with which the image is pulled.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log messages that are written."
    )
    resources: AgentResources = Field(
        default_factory=AgentResources, description="Compute resources of the agent container."
    )
    node_selector: NodeSelector = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: Tolerations = Field(default=(), description="Taints that are tolerated.")
    topology_spread_constraints: TopologySpreads = Field(
        default=(),
        description="How pods are spread; empty means over nodes, as well as it can be done.",
    )
    priority_class_name: DnsSubdomain | None = Field(
        default=None, description="Name of the PriorityClass."
    )
    annotations: Annotated[
        dict[QualifiedName, Annotated[str, Field(max_length=4096)]], Field(max_length=32)
    ] = Field(default_factory=dict, description="Annotations added to the pods.")
    labels: Annotated[dict[QualifiedName, LabelValue], Field(max_length=32)] = Field(
        default_factory=dict, description="Labels added to the pods."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.labels.all(k, !k.startsWith('{RESERVED_PREFIX}'))",
            message=f"keys must not start with {RESERVED_PREFIX}, which is the operator's own",
            field_path=".labels",
            holds=lambda p: not any(k.startswith(RESERVED_PREFIX) for k in p.labels),
            reason="FieldValueForbidden",
        ),
        Rule(
            cel=f"self.annotations.all(k, !k.startsWith('{RESERVED_PREFIX}'))",
            message=f"keys must not start with {RESERVED_PREFIX}, which is the operator's own",
            field_path=".annotations",
            holds=lambda p: not any(k.startswith(RESERVED_PREFIX) for k in p.annotations),
            reason="FieldValueForbidden",
        ),
    )
