"""Identities of the platform: services, programs that talk with them, and agents' tokens."""

import base64
import json
from typing import Any

from cryptography import x509

from callfleet_operator.identity.names import service_subject
from callfleet_operator.ports.errors import ForbiddenError
from callfleet_operator.ports.events import EventType
from callfleet_operator.ports.kinds import CONFIG_MAP, SECRET, Manifest
from callfleet_operator.ports.kube import Ref
from fakes.fleet import NAMESPACE, FakeFleet
from fakes.virtual_time import in_virtual_time

SYSTEM = "callfleet-system"
PLATFORM: dict[str, Any] = {
    "sessionManager": "callfleet-session-manager.callfleet-system.svc:7443",
    "banking": "callfleet-banking.callfleet-system.svc:7443",
    "services": [{"role": "banking", "service": "callfleet-banking"}],
    "clients": [{"namespace": "kiosks", "name": "kiosk", "audiences": ["ai-voice-connector"]}],
}
ONE_MINUTE = {
    "caSeconds": 600, "leafSeconds": 60, "tokenSeconds": 60, "tokenKeySeconds": 120,
    "settleSeconds": 10,
}  # fmt: skip


def service(name: str = "callfleet-banking") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": SYSTEM, "name": name},
        "spec": {"ports": [{"port": 7443}]},
    }


def data(fleet: FakeFleet, namespace: str, name: str) -> dict[str, bytes]:
    found = fleet.kube.peek(SECRET, namespace, name)
    assert found is not None, name
    return {key: base64.b64decode(value) for key, value in found["data"].items()}


@in_virtual_time
async def test_a_service_gets_a_certificate_that_goes_with_it() -> None:
    fleet = FakeFleet(platform=PLATFORM)
    async with fleet.running():
        await fleet.settle()
        assert fleet.kube.peek(SECRET, SYSTEM, "callfleet-banking-tls") is None

        made = fleet.kube.put(service())
        await fleet.until(lambda: bool(fleet.kube.peek(SECRET, SYSTEM, "callfleet-banking-tls")))
        secret = fleet.kube.peek(SECRET, SYSTEM, "callfleet-banking-tls")
        assert secret is not None
        (owner,) = secret["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Service", made["metadata"]["uid"])
        pem = data(fleet, SYSTEM, "callfleet-banking-tls")["tls.crt"]
        names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        assert tuple(names.value.get_values_for_type(x509.DNSName)) == (
            service_subject(SYSTEM, "banking", "callfleet-banking").hosts
        )


@in_virtual_time
async def test_the_key_set_and_a_client_are_there_for_those_who_need_them() -> None:
    fleet = FakeFleet(platform=PLATFORM)
    async with fleet.running():
        await fleet.until(lambda: bool(fleet.kube.peek(SECRET, "kiosks", "kiosk-client-tokens")))
        found = fleet.kube.peek(CONFIG_MAP, SYSTEM, "callfleet-token-keys")
        assert found is not None
        (key,) = json.loads(found["data"]["jwks.json"])["keys"]
        assert (key["crv"], key["alg"]) == ("Ed25519", "EdDSA")
        assert list(data(fleet, "kiosks", "kiosk-client-tokens")) == ["token.ai-voice-connector"]
        assert sorted(data(fleet, "kiosks", "kiosk-client-tls")) == [
            "ca.crt",
            "tls.crt",
            "tls.key",
        ]


@in_virtual_time
async def test_what_is_good_is_left_alone_and_what_ends_is_renewed_in_time() -> None:
    fleet = FakeFleet(platform=PLATFORM, identities=ONE_MINUTE, resyncSeconds=10)
    async with fleet.running():
        fleet.kube.put(service())
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        await fleet.settle()
        names = [(SYSTEM, "callfleet-banking-tls"), (NAMESPACE, "card-line-tokens")]
        before = [data(fleet, *name) for name in names]
        await fleet.clock.sleep(10)
        assert [data(fleet, *name) for name in names] == before
        fleet.core.resync()
        await fleet.clock.sleep(50)
        fleet.core.resync()
        await fleet.settle()
        after = [data(fleet, *name) for name in names]
        assert all(new != old for new, old in zip(after, before, strict=True))


@in_virtual_time
async def test_what_is_refused_is_tried_again_and_holds_up_nothing_else() -> None:
    fleet = FakeFleet(platform=PLATFORM)
    refusing = True

    def before(verb: str, ref: Ref) -> None:
        if refusing and ref == Ref(CONFIG_MAP, SYSTEM, "callfleet-token-keys"):
            raise ForbiddenError(403, "Forbidden", "no")

    fleet.kube.before = before
    async with fleet.running():
        fleet.kube.put(service())
        await fleet.until(lambda: bool(fleet.kube.peek(SECRET, SYSTEM, "callfleet-banking-tls")))
        assert fleet.kube.peek(CONFIG_MAP, SYSTEM, "callfleet-token-keys") is None
        refusing = False
        await fleet.until(lambda: bool(fleet.kube.peek(CONFIG_MAP, SYSTEM, "callfleet-token-keys")))


@in_virtual_time
async def test_an_agent_has_tokens_where_there_is_a_platform_and_leaves_none_behind() -> None:
    async with FakeFleet(platform=PLATFORM).running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        assert sorted(data(fleet, NAMESPACE, "card-line-tokens")) == [
            "token.banking",
            "token.context-store",
            "token.session-manager",
        ]
        await fleet.delete_agent()
        await fleet.until(lambda: not fleet.kube.all(SECRET, NAMESPACE))
    async with FakeFleet().running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        assert fleet.kube.peek(SECRET, NAMESPACE, "card-line-tokens") is None


@in_virtual_time
async def test_an_agent_without_a_bank_needs_the_platforms() -> None:
    async with FakeFleet(platform=PLATFORM).running() as fleet:
        fleet.apply_agent(banking={})
        await fleet.until(fleet.is_ready)
    async with FakeFleet().running() as fleet:
        fleet.apply_agent(banking={})
        await fleet.until(lambda: fleet.condition("Ready") == ("False", "BankNotFound"))


@in_virtual_time
async def test_an_agent_that_asks_its_bank_by_itself_is_warned_once_that_nobody_audits_it() -> None:
    async with FakeFleet(platform=PLATFORM).running() as fleet:
        fleet.apply_agent()
        await fleet.until(lambda: fleet.condition("Audited") == ("False", "OwnBank"))
        await fleet.until(fleet.is_ready)
        fleet.change(banking=None)
        await fleet.until(lambda: fleet.condition("Audited") == ("True", "BankingService"))
        told = [seen for seen in fleet.events.seen if seen[2] in ("OwnBank", "BankingService")]
        assert [kind for _, kind, _, _ in told] == [EventType.WARNING, EventType.NORMAL]
        assert told[0][3].startswith("spec.banking.url names a bank that the pods ask")
        assert "remove spec.banking" in told[0][3]
        assert "http" not in told[0][3]
