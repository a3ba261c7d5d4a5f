"""The NetworkPolicy of an agent: who may reach its pods, and whom they may reach."""

from collections.abc import Sequence
from typing import Any

from callfleet_operator.model import Media, VoiceAgent
from callfleet_operator.policies.address import SIP_PORT

from . import Manifest
from .facts import OperatorFacts
from .names import (
    CONTROL_PORT,
    FIRST_RTP_PORT,
    HTTP_PORT,
    LAST_RTP_PORT,
    metadata,
    selector_labels,
    service_name,
)


def network_policy(
    agent: VoiceAgent, operator: OperatorFacts, egress: list[dict[str, Any]] | None = None
) -> Manifest:
    """SIP from the proxy, audio from the relay or, with direct media, from callers anywhere.

    Proxy and relay are on the host network or outside, so they are named by network, not by label.
    `egress` has the rules for what pods begin; None restricts nothing.
    """
    relayed = agent.spec.sip.media is Media.RELAY
    rtp = {"protocol": "UDP", "port": FIRST_RTP_PORT, "endPort": LAST_RTP_PORT}
    sip = [
        {"protocol": str(transport), "port": SIP_PORT} for transport in agent.spec.sip.transports
    ]
    operators = [{"namespaceSelector": _namespace(operator.namespace)}]
    scrapers = [{"namespaceSelector": {}}, *_networks(operator.metrics_cidrs)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(agent, service_name(agent)),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(agent)},
            "policyTypes": ["Ingress"] if egress is None else ["Ingress", "Egress"],
            "ingress": [
                _rule(sip, _networks(operator.sip_cidrs)),
                _rule([rtp], _networks(operator.relay_cidrs) if relayed else []),
                _rule([{"protocol": "TCP", "port": CONTROL_PORT}], operators),
                _rule([{"protocol": "TCP", "port": HTTP_PORT}], scrapers),
            ],
            **({} if egress is None else {"egress": egress}),
        },
    }


def _namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


def _networks(cidrs: Sequence[str]) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def _rule(ports: list[dict[str, Any]], peers: list[dict[str, Any]]) -> dict[str, Any]:
    """Without peers a rule lets everybody in."""
    return {"ports": ports, "from": peers} if peers else {"ports": ports}
