"""The headless Service and the ServiceAccount of an agent."""

from callfleet_operator.model import VoiceAgent
from callfleet_operator.policies.address import SIP_PORT

from . import Manifest
from .names import CONTROL_PORT, HTTP_PORT, metadata, selector_labels, service_name


def headless_service(agent: VoiceAgent) -> Manifest:
    """Names for pods, also before they are ready: the operator dials them to make them so."""
    sip = [
        (f"sip-{transport.lower()}", SIP_PORT, str(transport))
        for transport in agent.spec.sip.transports
    ]
    ports = [*sip, ("control", CONTROL_PORT, "TCP"), ("http", HTTP_PORT, "TCP")]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(agent, service_name(agent)),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector_labels(agent),
            "ports": [
                {"name": name, "port": port, "targetPort": port, "protocol": protocol}
                for name, port, protocol in ports
            ],
        },
    }


def service_account(agent: VoiceAgent) -> Manifest:
    """An identity without any right and without a token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(agent, service_name(agent)),
        "automountServiceAccountToken": False,
    }
