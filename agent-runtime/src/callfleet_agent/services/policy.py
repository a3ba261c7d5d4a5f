"""Who may call what: one table from the RPCs to identities and scopes.

An identity is the one URI SAN of a client's certificate, after SPIFFE:
  spiffe://callfleet.io/operator
  spiffe://callfleet.io/ns/NAMESPACE/voiceagent/NAME    an agent's pods
  spiffe://callfleet.io/ns/NAMESPACE/service/ROLE       a platform service
  spiffe://callfleet.io/ns/NAMESPACE/client/NAME        a program that talks with agents
  spiffe://callfleet.io/ns/NAMESPACE/providerpool/NAME  a pool's servers
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

TRUST_DOMAIN: Final = "spiffe://callfleet.io/"
_IDENTITY: Final = re.compile(
    r"spiffe://callfleet\.io/"
    r"(?:(?P<operator>operator)"
    r"|ns/(?P<namespace>[a-z0-9-]{1,63})/(?P<kind>voiceagent|service|client|providerpool)/(?P<name>[a-z0-9.-]{1,253}))"
)
_KINDS: Final = frozenset({"operator", "voiceagent", "client", "providerpool"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is at the other end."""

    uri: str
    role: str  # operator, voiceagent, client, providerpool, or a service's role
    namespace: str = ""
    relayed: bool = False  # by another replica of the service, with the client's token


def identity_of(names: Iterable[str]) -> Identity | None:
    """The identity among a certificate's names; None when there is none, or not exactly one, or
    when it is a service that is called like another kind of identity."""
    uris = [name for name in names if name.startswith("spiffe://")]
    found = _IDENTITY.fullmatch(uris[0]) if len(uris) == 1 else None
    if found is None:
        return None
    kind = found["operator"] or found["kind"]
    role = found["name"] if kind == "service" else kind
    if kind == "service" and role in _KINDS:
        return None
    return Identity(uris[0], role, found["namespace"] or "")


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call an RPC. Without an audience no token is asked for, and nothing is counted.
    With a `home` agents must live in that namespace. `relayed_by`: the service whose replicas bring
    each other what one of these roles asks."""

    roles: frozenset[str]
    audience: str = ""
    scope: str = ""
    home: str = ""
    relayed_by: str = ""


_AGENTS: Final = frozenset({"voiceagent", "ai-voice-connector"})
_SPEAKERS: Final = _AGENTS | {"client"}
_ANYBODY: Final = frozenset({"*"})
_OPEN: Final = MappingProxyType(
    {
        f"/{service}": Rule(_ANYBODY)
        for service in (
            "grpc.health.v1.Health/Check",
            "grpc.health.v1.Health/Watch",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        )
    }
)


def _rules(
    service: str,
    audience: str,
    rpcs: dict[str, tuple[frozenset[str], str]],
    relayed_by: str = "",
) -> dict[str, Rule]:
    return {
        f"/callfleet.v1.{service}/{rpc}": Rule(roles, audience, scope, relayed_by=relayed_by)
        for rpc, (roles, scope) in rpcs.items()
    }


POLICY: Final = MappingProxyType(
    _rules(
        "SessionManagerService",
        "session-manager",
        {
            "CreateSession": (_AGENTS, "sessions.write"),
            "UpdateSession": (_AGENTS, "sessions.write"),
            "GetSession": (_AGENTS | {"operator", "llm", "banking"}, "sessions.read"),
            "FindInterrupted": (frozenset({"voiceagent"}), "sessions.read"),
            "EndSession": (_AGENTS, "sessions.write"),
        },
    )
    | _rules(
        "ContextStoreService",
        "context-store",
        {
            "GetContext": (_AGENTS | {"llm"}, "contexts.read"),
            "UpdateContext": (_AGENTS | {"llm"}, "contexts.write"),
            "CleanupContext": (_AGENTS | {"session-manager"}, "contexts.write"),
        },
    )
    | _rules(
        "BankingService",
        "banking",
        {
            "AuthenticateCustomer": (_AGENTS | {"llm"}, "banking.authenticate"),
            "QueryCardDelivery": (_AGENTS | {"llm"}, "banking.read"),
            "ProcessTransaction": (_AGENTS | {"llm"}, "banking.write"),
        },
    )
    | _rules(
        "AIVoiceConnectorService",
        "ai-voice-connector",
        {
            rpc: (frozenset({"client"}), "calls")
            for rpc in ("CreateSession", "ProcessAudioStream", "EndSession", "GetSessionStatus")
        },
        relayed_by="ai-voice-connector",
    )
    | _rules(
        "VADService",
        "vad",
        dict.fromkeys(("ProcessAudio", "Configure"), (_SPEAKERS, "speech")),
    )
    | _rules(
        "ASRService",
        "asr",
        dict.fromkeys(("RecognizeSpeech", "SelectProvider"), (_SPEAKERS, "speech")),
    )
    | _rules(
        "LLMService",
        "llm",
        dict.fromkeys(("ProcessText", "UpdateContext"), (_SPEAKERS, "conversation")),
    )
    | _rules(
        "TTSService",
        "tts",
        dict.fromkeys(("SynthesizeText", "SelectVoice"), (_SPEAKERS, "speech")),
    )
    | _OPEN
)


def pool_policy(home: str) -> Mapping[str, Rule]:
    """Who may ask a pool's server in this namespace: its agents, and the platform's services that
    work with pools. They have no tokens for it: it keeps nothing, and acts for nobody."""
    callers = {"ASRService": _AGENTS | {"asr"}, "TTSService": _AGENTS | {"tts"}}
    rpcs = {
        "ASRService": ("RecognizeSpeech", "SelectProvider"),
        "TTSService": ("SynthesizeText", "SelectVoice"),
    }
    return MappingProxyType(
        {
            f"/callfleet.v1.{service}/{rpc}": Rule(callers[service], home=home)
            for service, names in rpcs.items()
            for rpc in names
        }
        | _OPEN
    )


def admits(rule: Rule, identity: Identity) -> bool:
    """Whether this identity may call."""
    if rule.home and identity.role == "voiceagent" and identity.namespace != rule.home:
        return False
    return rule.roles is _ANYBODY or identity.role in rule.roles
