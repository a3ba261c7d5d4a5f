"""The internal CA: made once, renewed before its end, trusted across the change."""

import asyncio
import base64
import ssl
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from callfleet_operator.kube.authority import CA_SECRET, open_authority
from callfleet_operator.kube.certificates import (
    CA_LIFE_S,
    LEAF_LIFE_S,
    NOT_AFTER,
    Authority,
    Issuer,
    agent_host,
    agent_identity,
    make_ca,
    make_leaf,
    read_authority,
)
from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.ports.errors import AlreadyExistsError
from callfleet_operator.ports.kinds import SECRET, Manifest
from callfleet_operator.ports.kube import Ref
from fakes.kube import FakeKube
from fakes.virtual_time import EPOCH, FakeClock, in_virtual_time


class StoppedClock(FakeClock):
    def __init__(self, wall: float = EPOCH) -> None:
        self.now = wall

    def wall(self) -> float:
        return self.now


def authority(now: float = EPOCH) -> Authority:
    ca = make_ca("callfleet", now)
    return Authority(ca, ca.certificate)


def certificate_of(secret: Manifest) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))


def test_the_ca_may_sign_and_says_so() -> None:
    ca = x509.load_pem_x509_certificate(authority().ca.certificate)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign


def test_a_leaf_names_the_agent_twice() -> None:
    secret = Issuer(authority(), StoppedClock()).issue("bank", "card-line", None)
    assert secret is not None
    assert (secret["metadata"]["namespace"], secret["metadata"]["name"]) == (
        "bank",
        "card-line-tls",
    )
    names = (
        certificate_of(secret).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )
    assert names.get_values_for_type(x509.DNSName) == [agent_host("bank", "card-line")]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        agent_identity("bank", "card-line")
    ]


def test_a_leaf_is_verified_by_pythons_own_tls(tmp_path: Path) -> None:
    own = authority(now=datetime.now().astimezone().timestamp())
    now = datetime.now().astimezone().timestamp()
    leaf = make_leaf(own.ca, agent_identity("bank", "a"), agent_host("bank", "a"), now)
    (tmp_path / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "leaf.pem")
    client = ssl.create_default_context(cadata=own.bundle.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for host, good in ((agent_host("bank", "a"), True), (agent_host("bank", "b"), False)):
        assert handshake(server, client, host) is good


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> bool:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return True


def test_a_leaf_is_renewed_when_a_third_of_its_life_is_left() -> None:
    clock = StoppedClock()
    issuer = Issuer(authority(), clock)
    first = issuer.issue("bank", "a", None)
    assert first is not None
    assert issuer.issue("bank", "a", first) is None
    clock.now += LEAF_LIFE_S * 2 / 3 - 60
    assert issuer.issue("bank", "a", first) is None
    clock.now += 120
    assert issuer.issue("bank", "a", first) is not None


@pytest.mark.parametrize("annotations", [None, {}, {NOT_AFTER: "soon"}])
def test_a_secret_that_tells_nothing_is_written_anew(annotations: dict[str, str] | None) -> None:
    own = authority()
    issuer = Issuer(own, StoppedClock())
    live = issuer.issue("bank", "a", None)
    assert live is not None
    kept = live["metadata"]["annotations"] if annotations else {}
    live["metadata"]["annotations"] = None if annotations is None else kept | annotations
    assert issuer.issue("bank", "a", live) is not None


def test_a_leaf_ends_no_later_than_its_ca() -> None:
    own = authority()
    leaf = make_leaf(own.ca, "spiffe://x", "x", EPOCH + CA_LIFE_S - 3600)
    assert leaf.not_after <= own.ca.not_after


def test_a_leaf_of_another_ca_is_replaced_and_both_are_trusted() -> None:
    old = authority()
    new = old.renewed("callfleet", EPOCH)
    leaf = Issuer(old, StoppedClock()).issue("bank", "a", None)
    replaced = Issuer(new, StoppedClock()).issue("bank", "a", leaf)
    assert replaced is not None
    trusted = base64.b64decode(replaced["data"]["ca.crt"])
    assert old.ca.certificate in trusted
    assert new.ca.certificate in trusted


@in_virtual_time
async def test_the_ca_is_made_once_and_read_after_a_restart() -> None:
    kube = FakeKube()
    first = await open_authority(kube, "callfleet", "callfleet-system", FakeClock())
    again = await open_authority(kube, "callfleet", "callfleet-system", FakeClock())
    assert first.ca == again.ca
    assert [verb for verb, _ in kube.writes] == ["POST"]


@in_virtual_time
async def test_two_operators_at_once_use_one_ca() -> None:
    kube = FakeKube()
    kube.before = lambda _verb, _ref: 0.05
    both = await asyncio.gather(
        *(open_authority(kube, "callfleet", "callfleet-system", FakeClock()) for _ in range(2))
    )
    assert both[0].ca == both[1].ca
    assert len(kube.all(SECRET)) == 1


@in_virtual_time
async def test_a_ca_that_ends_soon_is_renewed_once() -> None:
    kube = FakeKube()
    old = authority(EPOCH - CA_LIFE_S * 0.95)
    kube.put(old.secret("callfleet-system", CA_SECRET))
    kube.before = lambda _verb, _ref: 0.05
    both = await asyncio.gather(
        *(open_authority(kube, "callfleet", "callfleet-system", FakeClock()) for _ in range(2))
    )
    assert both[0].ca == both[1].ca != old.ca
    assert old.ca.certificate in both[0].bundle


@in_virtual_time
async def test_a_damaged_ca_is_a_persons_business() -> None:
    kube = FakeKube()
    damaged = authority().secret("callfleet-system", CA_SECRET)
    damaged["data"]["tls.key"] = base64.b64encode(authority().ca.key).decode()
    kube.put(damaged)
    with pytest.raises(ConfigurationError, match="callfleet-ca"):
        await open_authority(kube, "callfleet", "callfleet-system", FakeClock())


@pytest.mark.parametrize("data", [{}, {"tls.crt": "eA==", "tls.key": "eA=="}])
def test_what_is_no_ca_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no readable"):
        read_authority({"data": data})


@in_virtual_time
async def test_another_operators_ca_wins_the_race() -> None:
    kube = FakeKube()
    theirs = authority()

    def before(verb: str, ref: Ref) -> None:
        if verb == "POST":
            kube.before = None
            kube.put(theirs.secret("callfleet-system", CA_SECRET))
            raise AlreadyExistsError(409, "AlreadyExists", "")

    kube.before = before
    found = await open_authority(kube, "callfleet", "callfleet-system", FakeClock())
    assert found.ca == theirs.ca
