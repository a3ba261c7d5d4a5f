"""The platform's services, and how identities are made: parts of the operator's settings."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from callfleet_operator.identity.lifetimes import DAY_S, Lifetimes

from .schema import DnsLabel, DnsSubdomain, Int, ListOf, Model, Rule

Role = Literal[
    "session-manager", "context-store", "banking", "llm", "vad", "asr", "tts", "ai-voice-connector",
]  # fmt: skip
Audience = Literal["ai-voice-connector", "vad", "asr", "tts", "llm"]
HostPort = Annotated[
    str, Field(min_length=3, max_length=300, pattern=r"^[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}$")
]


class PlatformService(Model):
    """A service that gets a certificate."""

    role: Role = Field(description="What it does: a part of its identity.")
    service: DnsLabel = Field(description="Its Service in the operator's namespace.")


class PlatformClient(Model):
    """A program that talks with the services: it gets a certificate and tokens, as Secrets."""

    namespace: DnsLabel = Field(description="Its namespace: the Secrets are made there.")
    name: DnsLabel = Field(description="Its name. Secrets: NAME-client-tls and NAME-client-tokens.")
    audiences: Annotated[tuple[Audience, ...], Field(min_length=1, max_length=5), ListOf("set")] = (
        Field(default=("ai-voice-connector",), description="The services that it may call.")
    )


class PlatformSettings(Model):
    """Where agents find the services, and who gets an identity."""

    session_manager: HostPort | None = Field(
        default=None, description="Address of the session manager, HOST:PORT."
    )
    context_store: HostPort | None = Field(
        default=None, description="Address of the context store, HOST:PORT."
    )
    banking: HostPort | None = Field(
        default=None,
        description="Address of the banking service, HOST:PORT, for agents without a bank's URL.",
    )
    own_banks: Literal["refuse", "allow"] = Field(
        default="allow",
        description=(
            "Agents with a bank's URL ask that bank past the banking service, in no audit log. "
            "refuse: they take no calls, where there is a banking service."
        ),
    )
    services: Annotated[tuple[PlatformService, ...], Field(max_length=16)] = Field(
        default=(), description="The services that get a certificate."
    )
    clients: Annotated[tuple[PlatformClient, ...], Field(max_length=256)] = Field(
        default=(), description="Programs that get an identity."
    )


class CertManagerIssuer(Model):
    """An issuer of cert-manager's."""

    name: DnsSubdomain = Field(description="Its name.")
    kind: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        default="ClusterIssuer",
        description="Its kind; an Issuer must be in every namespace with agents.",
    )
    group: DnsSubdomain = Field(default="cert-manager.io", description="Its API group.")


class IdentitySettings(Model):
    """Certificates, tokens, and how long each lives."""

    token_issuer: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default="callfleet", description="Who issues tokens: their claim iss."
    )
    ca_seconds: Int = Field(
        default=int(3650 * DAY_S), ge=20, description="How long the internal CA lives."
    )
    leaf_seconds: Int = Field(
        default=int(90 * DAY_S), ge=5, description="How long certificates live."
    )
    token_seconds: Int = Field(default=3600, ge=5, le=3600, description="How long tokens live.")
    token_key_seconds: Int = Field(
        default=int(30 * DAY_S), ge=10, description="How long a key signs tokens."
    )
    settle_seconds: Int = Field(
        default=3600,
        ge=1,
        le=int(30 * DAY_S),
        description=(
            "How long a new CA or token key is known everywhere before it signs: longer than it "
            "takes until every pod has seen a changed Secret (about two minutes)."
        ),
    )
    cert_manager: CertManagerIssuer | None = Field(
        default=None,
        description="Issuer of cert-manager's that makes the certificates, in the CA's place.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.leafSeconds + 2 * self.settleSeconds < self.caSeconds",
            message="must be longer than leafSeconds and twice settleSeconds together",
            field_path=".caSeconds",
            holds=lambda s: s.leaf_seconds + 2 * s.settle_seconds < s.ca_seconds,
        ),
        Rule(
            cel="self.settleSeconds < self.tokenKeySeconds",
            message="must be longer than settleSeconds",
            field_path=".tokenKeySeconds",
            holds=lambda s: s.settle_seconds < s.token_key_seconds,
        ),
        Rule(
            cel="!has(self.certManager) || self.leafSeconds >= 3600",
            message="must be 3600 or more with certManager: it issues nothing that lives shorter",
            field_path=".leafSeconds",
            holds=lambda s: s.cert_manager is None or s.leaf_seconds >= 3600,
        ),
    )

    @property
    def lifetimes(self) -> Lifetimes:
        return Lifetimes(
            ca_s=float(self.ca_seconds),
            leaf_s=float(self.leaf_seconds),
            token_s=float(self.token_seconds),
            token_key_s=float(self.token_key_seconds),
            settle_s=float(self.settle_seconds),
        )
