"""The operator's settings: one frozen object, read once from a YAML file."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from .engines import Engine
from .load import load
from .platform import HostPort, IdentitySettings, PlatformSettings
from .pod import NodeSelector, Tolerations
from .providerpool import PoolResources
from .schema import Bool, DnsLabel, DnsSubdomain, HttpUrl, Int, ListOf, Model, Rule


def _canonical_cidr(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise PydanticCustomError(
            "cidr", "must be a network like 10.0.0.0/24 with no bits set after its length"
        ) from None


Cidr = Annotated[str, Field(max_length=64), AfterValidator(_canonical_cidr)]
FilePath = Annotated[str, Field(min_length=2, max_length=512, pattern=r"^/[^\s]+$")]


class ProxyService(Model):
    """A headless Service whose addresses are the proxy's instances."""

    name: DnsLabel = Field(description="Name of the Service.")
    namespace: DnsLabel = Field(description="Namespace of the Service.")
    port: Int = Field(ge=1, le=65535, description="Port of the RPC.")
    path: str = Field(
        default="", max_length=128, description="Path of the RPC; empty: /RPC or /mi, by driver."
    )


class SetIds(Model):
    """The dispatcher sets that this installation may allocate."""

    first: Int = Field(default=1000, ge=1, le=2_000_000_000, description="First set id.")
    last: Int = Field(default=1999, ge=1, le=2_000_000_000, description="Last set id.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.first <= self.last",
            message="must not be above last; lower it or raise last",
            field_path=".first",
            holds=lambda s: s.first <= s.last,
        ),
    )


class NumberClaim(Model):
    """Which namespaces may claim which numbers."""

    namespaces: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)] = Field(
        default=("*",), description="Namespaces; * means all."
    )
    prefixes: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)] = Field(
        default=("",), description="Beginnings of numbers; empty text means all."
    )


class ProxySettings(Model):
    """One SIP proxy: its instances share a database."""

    name: DnsLabel = Field(default="default", description="Name that spec.sip.proxy picks.")
    driver: Literal["kamailio", "opensips"] = Field(description="The proxy's program.")
    endpoints: Annotated[tuple[HttpUrl, ...], Field(max_length=32), ListOf("set")] = Field(
        default=(), description="RPC of each instance, for example http://10.0.0.1:5066/RPC."
    )
    service: ProxyService | None = Field(
        default=None, description="Headless Service that names the instances, for endpoints."
    )
    database_url_file: FilePath = Field(
        description="File with the database's URL: postgresql://user:password@host:port/name."
    )
    source_cidrs: Annotated[tuple[Cidr, ...], Field(max_length=64)] = Field(
        default=(),
        description="Networks from which the proxy sends SIP to pods; empty means anywhere.",
    )
    trusted_caller_id: bool = Field(
        default=False,
        description=(
            "The proxy vouches for P-Asserted-Identity: it removes it from calls of strangers. "
            "Pods then believe it of calls from sourceCidrs. Not so for the proxies of the chart."
        ),
    )
    relay_cidrs: Annotated[tuple[Cidr, ...], Field(max_length=64)] = Field(
        default=(),
        description="Networks from which the relay sends RTP to pods; empty means anywhere.",
    )
    sip_address: HostPort = Field(description="Where callers reach the proxy, host:port.")
    set_ids: SetIds = Field(
        default_factory=SetIds, description="Dispatcher sets that may be allocated."
    )
    number_claims: Annotated[tuple[NumberClaim, ...], Field(max_length=256)] = Field(
        default=(NumberClaim(),), description="Who may claim which numbers; the default: anyone."
    )
    probe_interval_seconds: Int = Field(
        default=1, ge=1, le=60, description="How often the proxy probes destinations."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(size(self.endpoints) > 0) != has(self.service)",
            message="give either endpoints or service, exactly one of the two",
            field_path=".endpoints",
            holds=lambda p: bool(p.endpoints) != (p.service is not None),
        ),
        Rule(
            cel="!self.trustedCallerId || size(self.sourceCidrs) > 0",
            message="needs sourceCidrs: without them anybody's word would be believed",
            field_path=".trustedCallerId",
            holds=lambda p: not p.trusted_caller_id or bool(p.source_cidrs),
        ),
    )


class LeaseSettings(Model):
    """Leadership among the operator's replicas."""

    name: DnsSubdomain = Field(default="callfleet-operator", description="Name of the Lease.")
    duration_seconds: Int = Field(
        default=15, ge=5, le=300, description="How long a leader that is not heard stays leader."
    )
    renew_seconds: Int = Field(
        default=4, ge=1, le=100, description="How often the leader renews the Lease."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.renewSeconds * 2 < self.durationSeconds",
            message="must be less than half of durationSeconds, so that one renewal may fail",
            field_path=".renewSeconds",
            holds=lambda s: s.renew_seconds * 2 < s.duration_seconds,
        ),
    )


class ResourceProfile(Model):
    """Hardware that pools may ask for by name."""

    name: DnsLabel = Field(description="Name that spec.profile of a ProviderPool picks.")
    resources: PoolResources = Field(
        default_factory=PoolResources, description="Compute resources of one replica."
    )
    node_selector: NodeSelector = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: Tolerations = Field(default=(), description="Taints that are tolerated.")
    runtime_class_name: DnsSubdomain | None = Field(
        default=None, description="RuntimeClass of the pods."
    )


class PoolSettings(Model):
    """How ProviderPools are run."""

    images: dict[Engine, Annotated[str, Field(min_length=1, max_length=512)]] = Field(
        default_factory=dict,
        description="Image by engine, for pools that name none.",
    )
    profiles: Annotated[
        tuple[ResourceProfile, ...], Field(max_length=64), ListOf("map", ("name",))
    ] = Field(default=(), description="Hardware that pools may ask for by name.")
    image_volumes: Bool = Field(
        default=False,
        description="Whether pods may mount images (Kubernetes 1.35, or its feature gate).",
    )
    model_host_paths: Annotated[tuple[FilePath, ...], Field(max_length=64)] = Field(
        default=(),
        description="Folders of nodes that pools may mount by file:// (and what is below them).",
    )
    prometheus_url: HttpUrl | None = Field(
        default=None, description="Prometheus that KEDA asks; absent: an HPA is used instead."
    )

    def profile(self, name: str) -> ResourceProfile | None:
        """The profile of that name, or None."""
        return next((profile for profile in self.profiles if profile.name == name), None)


class EgressSettings(Model):
    """Whom agents' pods may reach."""

    restricted: Bool = Field(
        default=True,
        description=(
            "Only DNS, the proxy, audio, and what manifests and settings name: services, bank, "
            "providers, collector. False: anybody."
        ),
    )
    cidrs: Annotated[tuple[Cidr, ...], Field(max_length=64)] = Field(
        default=(),
        description=(
            "Networks of banks, providers and collectors that have other names than Services' of "
            "the cluster; empty: anywhere, at their ports."
        ),
    )


class OperatorSettings(Model):
    """Everything the operator is told when it starts."""

    model_config = ConfigDict(title="OperatorSettings")

    installation: DnsLabel = Field(
        default="callfleet", description="Name that marks this installation's rows in proxies."
    )
    namespace: DnsLabel = Field(
        default="callfleet-system", description="The operator's own namespace."
    )
    watch_namespaces: Annotated[tuple[DnsLabel, ...], Field(max_length=256)] = Field(
        default=(), description="Namespaces that are served; empty means all."
    )
    agent_image: str = Field(
        min_length=1, max_length=512, description="Image of agents that name none."
    )
    agent_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="Pull policy of agents that name none."
    )
    proxies: Annotated[
        tuple[ProxySettings, ...], Field(max_length=32), ListOf("map", ("name",))
    ] = Field(default=(), description="The SIP proxies.")
    metrics_cidrs: Annotated[tuple[Cidr, ...], Field(max_length=64)] = Field(
        default=(),
        description=(
            "Networks that may read metrics of agents' and pools' pods, besides the cluster's pods."
        ),
    )
    traces_endpoint: HttpUrl | None = Field(
        default=None,
        description=(
            "OTLP collector, over gRPC, for the traces of calls, for example "
            "http://collector.observability:4317. Not set: nothing is traced."
        ),
    )
    agent_egress: EgressSettings = Field(
        default_factory=EgressSettings, description="Whom agents' pods may reach."
    )
    pools: PoolSettings = Field(
        default_factory=PoolSettings, description="How ProviderPools are run."
    )
    platform: PlatformSettings | None = Field(
        default=None, description="The platform's services; absent: there are none."
    )
    identities: IdentitySettings = Field(
        default_factory=IdentitySettings, description="Certificates and tokens."
    )
    lease: LeaseSettings = Field(default_factory=LeaseSettings, description="Leadership.")
    resync_seconds: Int = Field(
        default=300, ge=10, le=86400, description="How often everything is listed anew."
    )
    deletion_give_up_seconds: Int = Field(
        default=900,
        ge=10,
        le=86400,
        description="How long the deletion of an agent waits for a proxy that is away.",
    )
    http_port: Int = Field(
        default=8080, ge=1, le=65535, description="Port of /healthz, /readyz and /metrics."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log messages that are written."
    )

    @property
    def refuses_own_banks(self) -> bool:
        """Whether agents take calls only with the banking service, of which there is one then."""
        platform = self.platform
        return platform is not None and bool(platform.banking) and platform.own_banks == "refuse"

    def proxy(self, name: str) -> ProxySettings | None:
        """The proxy of that name, or None."""
        return next((proxy for proxy in self.proxies if proxy.name == name), None)


def load_settings(source: str | dict[str, Any]) -> OperatorSettings:
    """The operator's settings from YAML text or data. Raises ManifestError."""
    return load(OperatorSettings, source)


def read_settings(path: Path) -> OperatorSettings:
    """The operator's settings from a file. Raises ManifestError and OSError."""
    return load_settings(path.read_text(encoding="utf-8"))
