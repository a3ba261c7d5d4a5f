"""VoiceAgent: a fleet of pods that answer calls to some numbers."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from .dialog import Dialog
from .meta import Conditions, ObjectMeta, to_manifest
from .pod import AgentPod
from .scaling import REPLICAS_IN_ORDER
from .schema import DnsLabel, DnsSubdomain, Float, HttpUrl, Int, ListOf, Model, Rule

API_VERSION = "callfleet.io/v1alpha1"
CALLS_PER_WORKER = 25


class Media(StrEnum):
    """How audio travels between the caller and a pod."""

    DIRECT = "direct"
    RELAY = "relay"


class Codec(StrEnum):
    """Audio codecs, as they are named in SDP."""

    PCMU = "PCMU"
    PCMA = "PCMA"


class Transport(StrEnum):
    """Transports of SIP."""

    UDP = "UDP"
    TCP = "TCP"


class RolloutStrategy(StrEnum):
    """How a new revision takes over from the former one."""

    ROLLING = "rolling"
    BLUE_GREEN = "blue-green"


PhoneNumber = Annotated[str, Field(min_length=2, max_length=21, pattern=r"^\+?[0-9]{2,20}$")]


class Sip(Model):
    """The agent's side of the telephone network."""

    proxy: DnsLabel = Field(
        default="default",
        description=(
            "Name of the SIP proxy, as the operator's settings name it. It cannot be changed: "
            "create another VoiceAgent instead."
        ),
    )
    numbers: Annotated[tuple[PhoneNumber, ...], Field(max_length=64), ListOf("set")] = Field(
        default=(),
        description=(
            "Numbers whose calls come to this agent, each 2 to 20 digits with or without a "
            "leading +. A number belongs to one agent of a proxy. With none, no number leads here."
        ),
    )
    media: Media = Field(
        default=Media.DIRECT,
        description=(
            "direct: callers send audio to the pods' addresses. relay: audio goes through the "
            "media relay, for callers that cannot reach the pods."
        ),
    )
    codecs: Annotated[tuple[Codec, ...], Field(min_length=1, max_length=4), ListOf("set")] = Field(
        default=(Codec.PCMU, Codec.PCMA),
        description="Codecs that are offered and accepted, the preferred one first.",
    )
    transports: Annotated[
        tuple[Transport, ...], Field(min_length=1, max_length=4), ListOf("set")
    ] = Field(
        default=(Transport.UDP, Transport.TCP),
        description="Transports of SIP on which the pods listen.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.proxy == oldSelf.proxy",
            message="cannot be changed; create another VoiceAgent for the other proxy",
            field_path=".proxy",
            reason="FieldValueForbidden",
        ),
    )


class Capacity(Model):
    """How many calls a pod takes."""

    calls_per_pod: Int = Field(
        default=20,
        ge=1,
        le=500,
        description="Calls at once in one pod; further ones are refused with 503.",
    )
    workers: Int = Field(
        default=1,
        ge=1,
        le=64,
        description="Worker processes in one pod, a CPU core each, at most 25 calls each.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.callsPerPod <= self.workers * {CALLS_PER_WORKER}",
            message=(
                f"a worker takes at most {CALLS_PER_WORKER} calls; "
                "lower callsPerPod or raise workers"
            ),
            field_path=".callsPerPod",
            holds=lambda c: c.calls_per_pod <= c.workers * CALLS_PER_WORKER,
        ),
    )


class PoolReference(Model):
    """One link of a chain of providers."""

    pool: DnsSubdomain = Field(
        description="Name of a ProviderPool in the namespace of the VoiceAgent."
    )


Chain = Annotated[tuple[PoolReference, ...], Field(max_length=8), ListOf("map", ("pool",))]


class Vad(Model):
    """Detection of voice activity, which runs inside the agent."""

    engine: Literal["silero"] = Field(default="silero", description="The detector.")
    confidence: Float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Probability from which a frame is speech, 0.05 to 0.99.",
    )
    start_milliseconds: Int = Field(
        default=200, ge=30, le=2000, description="Speech that starts a turn of the caller."
    )
    stop_milliseconds: Int = Field(
        default=200, ge=30, le=2000, description="Silence after which the caller is not speaking."
    )

    # As `minimum: 0.05` it would not hold: the API server compares a whole number with int(0.05).
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.confidence >= 0.05 && self.confidence <= 0.99",
            message="must be from 0.05 to 0.99",
            field_path=".confidence",
            holds=lambda v: 0.05 <= v.confidence <= 0.99,
        ),
    )


class Providers(Model):
    """Who recognises, thinks and speaks: for each stage a chain of pools, the first that works."""

    asr: Chain = Field(
        default=(),
        description="Pools for speech recognition in order; empty means the embedded recogniser.",
    )
    llm: Chain = Field(
        default=(),
        description="Pools for the dialog's answers in order; empty means the embedded rules.",
    )
    tts: Chain = Field(
        default=(),
        description="Pools for speech synthesis in order; empty means the embedded voice.",
    )
    vad: Vad = Field(default_factory=Vad, description="Detection of voice activity.")


class BankOAuth(Model):
    """Tokens for the bank by OAuth 2.0 client credentials."""

    token_url: HttpUrl = Field(
        description="URL of the authorization server's token endpoint, http or https."
    )
    scope: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        pattern=r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$",
        description="Scopes that are asked for, with a space between two; absent: none are named.",
    )


class Banking(Model):
    """Where the bank answers questions about customers and cards."""

    url: HttpUrl | None = Field(
        default=None,
        description=(
            "Base URL of the bank's API, http or https, without user or password. Absent: the "
            "installation's banking service is asked. With a URL the agent's pods ask the bank "
            "themselves: what they ask is then in no record, no audit log and no count of tries "
            "over calls of this installation, and is the bank's to keep. An installation may "
            "refuse that (platform.ownBanks of the chart): the agent then takes no calls."
        ),
    )
    timeout_seconds: Int = Field(
        default=5, ge=1, le=30, description="Time limit of one request, in seconds."
    )
    credentials_secret_name: DnsSubdomain | None = Field(
        default=None,
        description=(
            "Secret whose key `token` is sent as bearer token, or with oauth whose keys `clientId` "
            "and `clientSecret` get tokens; absent means none."
        ),
    )
    oauth: BankOAuth | None = Field(
        default=None,
        description=(
            "Tokens by OAuth 2.0 client credentials, with the keys of credentialsSecretName; with "
            "certificateSecretName `clientSecret` may be left out there (RFC 8705)."
        ),
    )
    certificate_secret_name: DnsSubdomain | None = Field(
        default=None,
        description=(
            "Secret with `tls.crt` and `tls.key`, the certificate that is shown to the bank "
            "(mutual TLS); absent means none."
        ),
    )
    ca_secret_name: DnsSubdomain | None = Field(
        default=None,
        description="Secret whose key `ca.crt` verifies the bank; absent means the system's CAs.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=("!has(self.caSecretName) || (has(self.url) && self.url.startsWith('https://'))"),
            message="is of use with https only; remove it or give an https url",
            field_path=".caSecretName",
            holds=lambda b: b.ca_secret_name is None or (b.url or "").startswith("https://"),
        ),
        Rule(
            cel=(
                "!has(self.certificateSecretName) || "
                "(has(self.url) && self.url.startsWith('https://'))"
            ),
            message="is of use with https only; remove it or give an https url",
            field_path=".certificateSecretName",
            holds=lambda b: (
                b.certificate_secret_name is None or (b.url or "").startswith("https://")
            ),
        ),
        Rule(
            cel="!has(self.oauth) || (has(self.url) && has(self.credentialsSecretName))",
            message="needs a url and credentialsSecretName, whose keys get the tokens",
            field_path=".oauth",
            holds=lambda b: (
                b.oauth is None or (b.url is not None and b.credentials_secret_name is not None)
            ),
        ),
    )


class Rollout(Model):
    """How pods are replaced."""

    strategy: RolloutStrategy = Field(
        default=RolloutStrategy.ROLLING,
        description=(
            "rolling: pod by pod, an old one leaves when a new one takes calls. blue-green: all "
            "new ones first, then the old ones leave together."
        ),
    )
    max_surge: Int = Field(
        default=1, ge=1, le=100, description="Pods above the wanted number during a rollout."
    )
    drain_timeout_seconds: Int = Field(
        default=600,
        ge=0,
        le=86400,
        description="How long a pod that leaves waits for its calls to end, in seconds.",
    )


class AgentScaling(Model):
    """Scaling by calls, done by the operator."""

    min_replicas: Int = Field(default=1, ge=1, le=1000, description="Fewest pods.")
    max_replicas: Int = Field(ge=1, le=1000, description="Most pods.")
    target_utilization_percent: Int = Field(
        default=70,
        ge=10,
        le=95,
        description="Calls in percent of the capacity that is aimed at.",
    )
    scale_down_delay_seconds: Int = Field(
        default=300,
        ge=0,
        le=3600,
        description="How long fewer pods must suffice before pods are drained, in seconds.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (REPLICAS_IN_ORDER,)


class VoiceAgentSpec(Model):
    """What is wanted of a voice agent."""

    replicas: Int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Pods that take calls. With scaling set, the operator writes it.",
    )
    sip: Sip = Field(
        default_factory=Sip, description="Numbers, proxy, codecs and the way of the audio."
    )
    capacity: Capacity = Field(default_factory=Capacity, description="How many calls a pod takes.")
    dialog: Dialog = Field(
        default_factory=Dialog, description="What the agent talks about, and how."
    )
    providers: Providers = Field(
        default_factory=Providers,
        description="Speech recognition, language and synthesis, as ordered chains of pools.",
    )
    banking: Banking = Field(default_factory=Banking, description="Where the bank answers.")
    rollout: Rollout = Field(default_factory=Rollout, description="How pods are replaced.")
    scaling: AgentScaling | None = Field(
        default=None, description="Scaling by calls; absent means that replicas stays as written."
    )
    pod: AgentPod = Field(
        default_factory=AgentPod, description="Image, resources and placement of the pods."
    )


class SipStatus(Model):
    """What the SIP proxy knows of the agent."""

    set_id: Int | None = Field(
        default=None, ge=0, description="The agent's dispatcher set in the proxy."
    )
    numbers: Annotated[
        tuple[Annotated[str, Field(max_length=21)], ...], Field(max_length=64), ListOf("atomic")
    ] = Field(default=(), description="Numbers that lead to this agent.")


class VoiceAgentStatus(Model):
    """What was observed of a voice agent."""

    observed_generation: Int = Field(
        default=0, ge=0, description="The generation of spec that this status is about."
    )
    replicas: Int = Field(default=0, ge=0, description="Pods that exist.")
    ready_replicas: Int = Field(default=0, ge=0, description="Pods that take calls.")
    draining_replicas: Int = Field(
        default=0, ge=0, description="Pods that take no new calls and wait for theirs to end."
    )
    calls: Int = Field(default=0, ge=0, description="Calls going on.")
    capacity: Int = Field(default=0, ge=0, description="Calls that the ready pods take at once.")
    revision: str = Field(
        default="", max_length=63, description="Revision of the settings that the pods run."
    )
    selector: str = Field(
        default="", max_length=512, description="Label selector of the pods, for autoscalers."
    )
    sip: SipStatus | None = Field(default=None, description="What the SIP proxy knows.")
    conditions: Conditions = Field(
        default=(),
        description=(
            "Ready, Progressing, DispatcherSynced, ProvidersReady, NumbersAccepted and Audited, "
            "each with a reason."
        ),
    )


class VoiceAgent(Model):
    """A fleet of pods that answer the calls to some numbers with a spoken conversation."""

    api_version: Literal["callfleet.io/v1alpha1"] = Field(
        description="Version of this kind: callfleet.io/v1alpha1."
    )
    kind: Literal["VoiceAgent"] = Field(description="VoiceAgent.")
    metadata: ObjectMeta = Field(description="Name, namespace, labels and annotations.")
    spec: VoiceAgentSpec = Field(description="What is wanted.")
    status: VoiceAgentStatus | None = Field(
        default=None, description="What was observed; the operator writes it."
    )

    def to_manifest(self) -> dict[str, Any]:
        """The manifest as plain data, camelCase, with the defaults filled in and no nulls."""
        return to_manifest(self)
