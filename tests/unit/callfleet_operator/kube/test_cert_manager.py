"""cert-manager in the internal CA's place: what is asked of it, and what is read of it."""

import base64
from typing import Any

import pytest

from callfleet_operator.identity.names import service_subject
from callfleet_operator.kube.cert_manager import CertificateIssuer, need_cert_manager
from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.main.identities import Identities
from callfleet_operator.model import CertManagerIssuer
from callfleet_operator.pods.dial import DialError
from callfleet_operator.ports.kinds import (
    CERTIFICATE,
    CUSTOM_RESOURCE_DEFINITION,
    LEASE,
    SECRET,
    Manifest,
)
from callfleet_operator.ports.kube import Ref
from fakes.fleet import NAMESPACE, FakeFleet, settings
from fakes.kube import FakeKube
from fakes.virtual_time import FakeClock, in_virtual_time

SYSTEM = "callfleet-system"
ISSUER = {"name": "bank-ca", "kind": "ClusterIssuer"}
PLATFORM: dict[str, Any] = {"services": [{"role": "banking", "service": "callfleet-banking"}]}


def crd() -> Manifest:
    return {
        "apiVersion": CUSTOM_RESOURCE_DEFINITION.api_version,
        "kind": CUSTOM_RESOURCE_DEFINITION.kind,
        "metadata": {"name": "certificates.cert-manager.io"},
    }


def test_a_certificate_asks_for_the_identity_and_for_the_kind_of_key_that_is_accepted() -> None:
    issuer = CertificateIssuer(CertManagerIssuer.model_validate(ISSUER))
    subject = service_subject(SYSTEM, "banking", "callfleet-banking")
    made = issuer.issue(SYSTEM, "callfleet-banking-tls", subject, None)
    assert made is not None
    spec = made["spec"]
    assert (made["kind"], spec["secretName"]) == ("Certificate", "callfleet-banking-tls")
    assert spec["uris"] == ["spiffe://callfleet.io/ns/callfleet-system/service/banking"]
    assert "callfleet-banking.callfleet-system.svc" in spec["dnsNames"]
    assert spec["privateKey"]["algorithm"] == "ECDSA"
    assert (spec["duration"], spec["renewBefore"]) == ("7776000s", "2592000s")
    assert spec["issuerRef"] == ISSUER | {"group": "cert-manager.io"}


@in_virtual_time
async def test_without_cert_manager_the_settings_are_wrong() -> None:
    kube = FakeKube()
    with pytest.raises(ConfigurationError, match=r"identities\.certManager"):
        await need_cert_manager(kube)
    kube.put(crd())
    await need_cert_manager(kube)


@in_virtual_time
async def test_services_agents_and_the_operator_get_certificate_objects_and_no_keys_of_ours() -> (
    None
):
    fleet = FakeFleet(platform=PLATFORM, identities={"certManager": ISSUER})
    async with fleet.running():
        fleet.kube.put(
            {"apiVersion": "v1", "kind": "Service", "spec": {},
             "metadata": {"namespace": SYSTEM, "name": "callfleet-banking"}}
        )  # fmt: skip
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        await fleet.until(lambda: len(fleet.kube.all(CERTIFICATE)) == 3)
        found = {item["metadata"]["name"]: item for item in fleet.kube.all(CERTIFICATE)}
        assert sorted(found) == [
            "callfleet-banking-tls",
            "callfleet-operator-tls",
            "card-line-tls",
        ]
        assert found["card-line-tls"]["metadata"]["ownerReferences"][0]["kind"] == "VoiceAgent"
        assert fleet.kube.peek(SECRET, NAMESPACE, "card-line-tls") is None
        writes = [ref for _, ref in fleet.kube.writes if ref.kind != LEASE]
        fleet.core.resync()
        await fleet.settle()
        assert [ref for _, ref in fleet.kube.writes if ref.kind != LEASE] == writes

        await fleet.delete_agent()
        await fleet.until(lambda: fleet.agent() is None)
        left = {item["metadata"]["name"] for item in fleet.kube.all(CERTIFICATE)}
        assert left == {"callfleet-banking-tls", "callfleet-operator-tls"}


@in_virtual_time
async def test_the_operators_identity_is_what_cert_manager_made_as_soon_as_it_is_there() -> None:
    kube = FakeKube()
    identities = Identities(settings(identities={"certManager": ISSUER}), kube, FakeClock())
    await identities.refresh()
    with pytest.raises(DialError):
        identities.own()
    data = {"tls.crt": b"certificate", "tls.key": b"key", "ca.crt": b"ca"}
    kube.put(
        {"apiVersion": "v1", "kind": "Secret",
         "metadata": {"namespace": SYSTEM, "name": "callfleet-operator-tls"},
         "data": {name: base64.b64encode(value).decode() for name, value in data.items()}}
    )  # fmt: skip
    await identities.refresh()
    own = identities.own()
    assert (own.certificate, own.key, own.trust) == (b"certificate", b"key", b"ca")
    assert [item["metadata"]["name"] for item in kube.all(SECRET)] != ["callfleet-ca"]


@in_virtual_time
async def test_the_internal_ca_tells_when_every_certificate_is_to_be_looked_at() -> None:
    kube, clock = FakeKube(), FakeClock()
    lives = {"caSeconds": 50, "leafSeconds": 20, "settleSeconds": 6}
    identities = Identities(settings(identities=lives), kube, clock)
    changes = []
    for _ in range(60):
        changes.append(await identities.refresh())
        await clock.sleep(1)
    assert changes[0] is False
    # Announced, takes over; the third of each; the first one ends at 50.
    assert [second for second, changed in enumerate(changes) if changed] == [
        19, 25, 38, 44, 50, 57,
    ]  # fmt: skip
    assert identities.own().trust.count(b"BEGIN CERTIFICATE") >= 2


@in_virtual_time
async def test_keys_that_were_deleted_are_made_anew_and_every_token_with_them() -> None:
    kube = FakeKube()
    identities = Identities(settings(), kube, FakeClock())
    await identities.refresh()
    (before,) = identities.minter.ring.keys
    assert not await identities.refresh()
    await kube.delete(Ref(SECRET, SYSTEM, "callfleet-token-keys"))
    assert await identities.refresh()
    (after,) = identities.minter.ring.keys
    assert after.name != before.name
