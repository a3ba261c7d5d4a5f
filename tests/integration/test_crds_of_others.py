"""What is written for cert-manager and the Prometheus operator, against their own definitions."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import Subject
from callfleet_operator.kube.cert_manager import CertificateIssuer
from callfleet_operator.model import CertManagerIssuer
from callfleet_operator.resources.apply import is_subset
from definitions import installed, released
from helm import rendered


class Kube(Protocol):
    def request(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, Any]]: ...

    def must(self, method: str, path: str, body: object = None) -> dict[str, Any]: ...

    def apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]: ...


@pytest.fixture(scope="module")
def definitions(kube: Kube) -> Iterator[None]:
    with installed(kube, released(), ("certificates", "issuers", "prometheusrules")):
        yield


def certificate(namespace: str) -> dict[str, Any]:
    issuer = CertificateIssuer(CertManagerIssuer(name="ca", kind="Issuer"), Lifetimes())
    subject = Subject("spiffe://callfleet.io/ns/bank/voiceagent/card-line", ("card-line.bank.svc",))
    made = issuer.issue(namespace, "card-line-tls", subject, None)
    assert made is not None
    return made


def round_trip(kube: Kube, folder: str, manifest: dict[str, Any]) -> None:
    """Strictly validated, whole when it comes back, and not written again by a second apply."""
    path = f"{folder}/{manifest['metadata']['name']}"
    kube.must("POST", f"{folder}?fieldValidation=Strict&dryRun=All", manifest)
    first = kube.apply(path, manifest)
    assert is_subset(manifest, kube.must("GET", path))
    again = kube.apply(path, manifest)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_certificate_of_ours_is_what_cert_manager_reads(
    kube: Kube, namespace: str, definitions: None
) -> None:
    folder = f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificates"
    round_trip(kube, folder, certificate(namespace))


def test_a_field_that_cert_manager_lacks_would_be_seen(
    kube: Kube, namespace: str, definitions: None
) -> None:
    folder = f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificates"
    wrong = certificate(namespace)
    wrong["spec"]["privateKey"]["curve"] = "P-256"
    status, answer = kube.request("POST", f"{folder}?fieldValidation=Strict", wrong)
    assert status == 400
    assert "curve" in answer["message"]


def test_alerts_of_the_chart_are_what_the_prometheus_operator_reads(
    kube: Kube, namespace: str, definitions: None
) -> None:
    values = ("--set", "proxy.address=192.0.2.10", "--set", "monitoring.alerts.enabled=true")
    (rule,) = [item for item in rendered(*values) if item["kind"] == "PrometheusRule"]
    rule["metadata"]["namespace"] = namespace
    folder = f"/apis/monitoring.coreos.com/v1/namespaces/{namespace}/prometheusrules"
    round_trip(kube, folder, rule)
