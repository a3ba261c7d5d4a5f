"""The platform's services on a cluster: identities from the operator, and calls that they keep."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509

from callfleet_hack.platform import NAMESPACE, RELEASE, Platform
from e2e.fleet import CUSTOMER, Fleet, eventually

QUESTION = ("--say", "where is my credit card")
ROLES = ("session-manager", "context-store", "banking")


def secret(platform: Platform, namespace: str, name: str) -> dict[str, bytes]:
    found = platform.get("-n", namespace, "secret", name)
    return {key: base64.b64decode(value) for key, value in found["data"].items()}


def logged_in_as_services(platform: Platform, statement: str) -> str:
    """psql as the role of the services; what it said, of errors too."""
    url = secret(platform, NAMESPACE, f"{RELEASE}-proxy-database")["services-url"].decode()
    script = 'psql "$0" -At -c "$1" 2>&1 || true'
    return platform.kubectl(
        "-n", NAMESPACE, "exec", f"deploy/{RELEASE}-postgresql", "-c", "postgresql", "--",
        "sh", "-c", script, url, statement,
    )  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_a_service_runs_with_an_identity_of_its_own(
    platform: Platform, proxy: str, role: str
) -> None:
    platform.wait(f"deployment/{RELEASE}-{role}", "Available", namespace=NAMESPACE)
    pem = secret(platform, NAMESPACE, f"{RELEASE}-{role}-tls")["tls.crt"]
    names = (
        x509.load_pem_x509_certificate(pem)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"spiffe://callfleet.io/ns/{NAMESPACE}/service/{role}"
    ]
    assert f"{RELEASE}-{role}.{NAMESPACE}.svc" in names.get_values_for_type(x509.DNSName)


def test_the_services_database_role_cannot_change_the_schema(
    platform: Platform, proxy: str
) -> None:
    assert logged_in_as_services(platform, "SELECT count(*) >= 0 FROM call_sessions").strip() == "t"
    said = logged_in_as_services(platform, "DROP TABLE audit_entries")
    assert "must be owner" in said


def test_a_call_is_kept_by_the_services_and_the_bank_is_asked_through_them(fleet: Fleet) -> None:
    fleet.apply()
    fleet.ready()
    (pod,) = fleet.pods()
    environment = {
        item["name"]: item.get("value", "") for item in pod["spec"]["containers"][0]["env"]
    }
    assert environment["CALLFLEET_BANKING"] == f"{RELEASE}-banking.{NAMESPACE}.svc:7443"
    asked = int(fleet.sql("SELECT count(*) FROM audit_entries")[0][0])

    fleet.call(*QUESTION, *CUSTOMER, "--dtmf", "2", "--wait-for-bye")

    def kept() -> bool:
        mine = f"voice_agent = '{fleet.namespace}/{fleet.name}'"
        return fleet.sql(f"SELECT status FROM call_sessions WHERE {mine}") == [["COMPLETED"]]

    eventually(kept, within_s=30, what="the call's session, completed")
    assert int(fleet.sql("SELECT count(*) FROM audit_entries")[0][0]) > asked


def test_an_agent_with_a_bank_of_its_own_takes_no_calls_until_it_has_none(fleet: Fleet) -> None:
    fleet.apply(banking={"url": f"http://{RELEASE}-demo-bank.{NAMESPACE}.svc"})
    eventually(
        lambda: fleet.condition("Ready").get("reason") == "OwnBankRefused",
        within_s=30,
        what="an agent that is refused",
    )
    assert fleet.condition("Audited")["reason"] == "OwnBankRefused"
    assert fleet.pods() == []

    fleet.apply()
    fleet.have_ready(1)
    assert fleet.condition("Audited")["status"] == "True"


def test_a_new_ca_is_trusted_by_everybody_before_it_signs(fleet: Fleet) -> None:
    fleet.apply()
    fleet.ready()
    platform = fleet.platform
    before = secret(platform, NAMESPACE, "callfleet-ca")

    platform.kubectl(
        "-n", NAMESPACE, "annotate", "secret", "callfleet-ca", "callfleet.io/rotate=now"
    )

    def announced() -> bytes:
        return secret(platform, NAMESPACE, "callfleet-ca").get("next.crt", b"")

    coming = eventually(announced, within_s=90, what="the CA's successor")
    assert secret(platform, NAMESPACE, "callfleet-ca")["tls.crt"] == before["tls.crt"]
    for namespace, name in (
        (NAMESPACE, f"{RELEASE}-banking-tls"),
        (fleet.namespace, f"{fleet.name}-tls"),
    ):
        eventually(
            lambda namespace=namespace, name=name: (  # type: ignore[misc]
                coming.strip() in secret(platform, namespace, name)["ca.crt"]
            ),
            within_s=60,
            what=f"the successor among what {name} trusts",
        )
    assert fleet.call(*QUESTION, *CUSTOMER)["outcome"] == "ok"
