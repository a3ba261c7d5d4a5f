"""Agents' pods reach whom they must, and nobody else, where the cluster's network enforces that."""

from __future__ import annotations

import json

import pytest

from callfleet_agent.app.recognise import recognise_status
from e2e.fleet import CUSTOMER, Fleet, Object, eventually, is_ready

QUESTION = ("--say", "where is my credit card")
LISTENER, CANARY = "listener", "canary"
PORT = 8099
REACHES = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("reached")
except OSError:
    print("cut")
"""


def pod(name: str, image: str, *command: str) -> Object:
    """One that restricted pod security admits."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent",
                 "command": list(command), "securityContext": security}  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "containers": [container],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532,
                                "seccompProfile": {"type": "RuntimeDefault"}},
        },
    }  # fmt: skip


def silent(name: str) -> Object:
    """Nothing may be begun by the pod of that name."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Egress"]},
    }


def reaches(fleet: Fleet, name: str, address: str, port: int = PORT) -> bool:
    """Whether a process of that pod can connect."""
    answer = fleet.platform.kubectl(
        "-n", fleet.namespace, "exec", name, "--",
        "python3", "-c", REACHES, address, str(port),
    )  # fmt: skip
    return answer.strip() == "reached"


def test_pods_reach_the_bank_and_no_stranger(fleet: Fleet) -> None:
    fleet.apply()
    (agent,) = fleet.have_ready(1)
    image = agent["spec"]["containers"][0]["image"]
    made = [
        pod(LISTENER, image, "python3", "-m", "http.server", str(PORT)),
        pod(CANARY, image, "sleep", "600"),
        silent(CANARY),
    ]
    for item in made:
        item["metadata"]["namespace"] = fleet.namespace
        fleet.platform.apply(json.dumps(item))

    def there(name: str) -> Object:
        found = fleet.platform.get("-n", fleet.namespace, "pod", name)
        return found if is_ready(found) else {}

    listener = eventually(lambda: there(LISTENER), within_s=60, what="a listener")
    eventually(lambda: there(CANARY), within_s=60, what="a canary")
    address = listener["status"]["podIP"]
    eventually(
        lambda: reaches(fleet, LISTENER, address), within_s=30, what="the listener reaches itself"
    )

    report = fleet.call(*QUESTION, *CUSTOMER)
    assert recognise_status(report["wav"]) == "shipped"  # what the bank says

    if reaches(fleet, CANARY, address):
        pytest.skip("this cluster's network accepts NetworkPolicies and does not enforce them")
    assert not reaches(fleet, agent["metadata"]["name"], address)
