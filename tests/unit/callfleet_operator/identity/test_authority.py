"""The internal CA: who signs, who is trusted, and that nobody is refused while it changes."""

import ssl
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from callfleet_operator.identity.authority import Authority, make_authority, read_authority
from callfleet_operator.identity.certificates import KeyPair, make_ca, make_leaf
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import agent_host, agent_subject, service_subject

NOW = 1_800_000_000.0
SHORT = Lifetimes(ca_s=60, leaf_s=20, token_s=20, token_key_s=30, settle_s=5)
AGENT = agent_subject("bank", "card-line")


def names_of(pem: bytes) -> x509.SubjectAlternativeName:
    certificate = x509.load_pem_x509_certificate(pem)
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_the_ca_may_sign_and_says_so() -> None:
    ca = x509.load_pem_x509_certificate(make_ca("callfleet", NOW, 60).certificate)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign


def test_a_service_is_named_by_its_role_and_by_every_name_of_its_service() -> None:
    subject = service_subject("callfleet-system", "banking", "callfleet-banking")
    names = names_of(make_leaf(make_ca("callfleet", NOW, 60), subject, NOW, 30).certificate)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://callfleet.io/ns/callfleet-system/service/banking"
    ]
    assert names.get_values_for_type(x509.DNSName) == [
        "callfleet-banking",
        "callfleet-banking.callfleet-system",
        "callfleet-banking.callfleet-system.svc",
        "callfleet-banking.callfleet-system.svc.cluster.local",
    ]


def test_a_leaf_ends_no_later_than_its_ca() -> None:
    ca = make_ca("callfleet", NOW, 60)
    assert make_leaf(ca, AGENT, NOW + 50, 20).not_after == ca.not_after == NOW + 60


def test_a_ca_in_its_prime_is_left_alone() -> None:
    authority = make_authority("callfleet", SHORT, NOW)
    assert authority.tended("callfleet", SHORT, NOW + 29) is authority


def test_a_successor_is_trusted_before_it_signs_and_the_former_until_it_ends() -> None:
    first = make_authority("callfleet", SHORT, NOW)
    announced = first.tended("callfleet", SHORT, NOW + 31)
    assert announced.ca == first.ca
    assert announced.successor is not None
    assert announced.successor.takes_over == NOW + 36
    assert announced.successor.ca.certificate in announced.bundle
    assert announced.trust != first.trust
    assert announced.tended("callfleet", SHORT, NOW + 35) is announced

    second = announced.tended("callfleet", SHORT, NOW + 36)
    assert second.ca == announced.successor.ca
    assert second.former == (first.ca.certificate,)
    assert set(second.bundle.splitlines()) == set(announced.bundle.splitlines())
    assert second.tended("callfleet", SHORT, NOW + 59) == second
    assert second.tended("callfleet", SHORT, NOW + 60).former == ()


def test_a_person_may_ask_for_a_successor_at_any_time() -> None:
    first = make_authority("callfleet", SHORT, NOW)
    announced = first.tended("callfleet", SHORT, NOW + 1, rotate=True)
    assert announced.successor is not None
    assert announced.tended("callfleet", SHORT, NOW + 2, rotate=True) is announced


def test_after_a_ca_that_has_ended_there_is_nothing_to_wait_for() -> None:
    first = make_authority("callfleet", SHORT, NOW)
    second = first.tended("callfleet", SHORT, NOW + 100)
    assert second.ca != first.ca
    assert (second.successor, second.former) == (None, ())


def test_what_is_stored_is_read_again() -> None:
    first = make_authority("callfleet", SHORT, NOW)
    second = first.tended("callfleet", SHORT, NOW + 31).tended("callfleet", SHORT, NOW + 36)
    third = second.tended("callfleet", SHORT, NOW + 37, rotate=True)
    assert third.successor is not None
    again = read_authority(third.ca, third.bundle, third.successor.ca, third.successor.takes_over)
    assert again == replace(third, former=again.former)
    assert [pem.strip() for pem in again.former] == [pem.strip() for pem in third.former]
    assert again.trust == third.trust


@pytest.mark.parametrize("half", ["certificate", "key"])
def test_a_damaged_pair_is_refused(half: str) -> None:
    ca, other = make_ca("callfleet", NOW, 60), make_ca("callfleet", NOW, 60)
    with pytest.raises(ValueError, match="does not belong"):
        read_authority(replace(ca, **{half: getattr(other, half)}), b"", None, 0)
    with pytest.raises(ValueError, match="no readable"):
        read_authority(KeyPair(b"x", b"x"), b"", None, 0)


def test_leaves_are_verified_by_pythons_own_tls_before_during_and_after_a_change(
    tmp_path: Path,
) -> None:
    now = datetime.now().astimezone().timestamp()
    lives = Lifetimes(ca_s=3600, leaf_s=600, settle_s=60)
    first = make_authority("callfleet", lives, now - 2900)
    announced = first.tended("callfleet", lives, now)
    assert announced.successor is not None
    second = announced.tended("callfleet", lives, announced.successor.takes_over)
    for signer, trusting in ((announced, second), (second, announced), (second, second)):
        assert handshake(tmp_path, signer, trusting, agent_host("bank", "card-line"))
        assert not handshake(tmp_path, signer, trusting, agent_host("bank", "b"))
    assert not handshake(tmp_path, second, first, agent_host("bank", "card-line"))


def handshake(folder: Path, signer: Authority, trusting: Authority, host: str) -> bool:
    leaf = make_leaf(signer.ca, AGENT, datetime.now().astimezone().timestamp(), 300)
    (folder / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "leaf.pem")
    client = ssl.create_default_context(cadata=trusting.bundle.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
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
