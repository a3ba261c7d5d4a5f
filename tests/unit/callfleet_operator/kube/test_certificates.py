"""Certificates and tokens for pods, and the Secrets that the CA and the keys lie in."""

import asyncio
import base64
from datetime import datetime

import pytest
from cryptography import x509

from callfleet_operator.identity.authority import Authority, make_authority
from callfleet_operator.identity.certificates import KeyPair
from callfleet_operator.identity.lifetimes import DAY_S, Lifetimes
from callfleet_operator.identity.names import (
    AGENT_SCOPES,
    agent_host,
    agent_identity,
    agent_subject,
)
from callfleet_operator.identity.tokens import KeyRing
from callfleet_operator.kube.certificates import NOT_AFTER, Issuer, OperatorLeaf
from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.kube.stored_identity import (
    KEYS_SECRET,
    ROTATE,
    TAKES_OVER,
    authority_form,
    authority_of,
    authority_secret,
    kept,
    ring_form,
)
from callfleet_operator.kube.tokens import KEY, Minter
from callfleet_operator.ports.errors import AlreadyExistsError
from callfleet_operator.ports.kinds import SECRET, Manifest
from callfleet_operator.ports.kube import Ref
from fakes.kube import FakeKube
from fakes.virtual_time import EPOCH, FakeClock, in_virtual_time

LIVES = Lifetimes()
SYSTEM = "callfleet-system"
FORM = authority_form("callfleet", LIVES)
AGENT = agent_subject("bank", "a")


class StoppedClock(FakeClock):
    def __init__(self, wall: float = EPOCH) -> None:
        self.now = wall

    def wall(self) -> float:
        return self.now


def authority(now: float = EPOCH) -> Authority:
    return make_authority("callfleet", LIVES, now)


def issued(issuer: Issuer, live: Manifest | None = None) -> Manifest | None:
    return issuer.issue("bank", "a-tls", AGENT, live)


def certificate_of(secret: Manifest) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))


def test_a_leaf_names_the_agent_twice() -> None:
    secret = issued(Issuer(authority(), StoppedClock()))
    assert secret is not None
    assert (secret["metadata"]["namespace"], secret["metadata"]["name"]) == ("bank", "a-tls")
    names = (
        certificate_of(secret).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )
    assert names.get_values_for_type(x509.DNSName) == [agent_host("bank", "a")]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        agent_identity("bank", "a")
    ]


def test_a_leaf_is_renewed_when_a_third_of_its_life_is_left() -> None:
    clock = StoppedClock()
    issuer = Issuer(authority(), clock)
    first = issued(issuer)
    assert first is not None
    assert issued(issuer, first) is None
    clock.now += LIVES.leaf_s * 2 / 3 - 60
    assert issued(issuer, first) is None
    clock.now += 120
    assert issued(issuer, first) is not None


def test_a_leaf_that_cannot_live_longer_is_not_made_again_and_again() -> None:
    clock = StoppedClock(EPOCH + LIVES.ca_s - DAY_S)
    issuer = Issuer(authority(), clock)
    first = issued(issuer)
    assert first is not None
    assert issued(issuer, first) is None


@pytest.mark.parametrize("annotations", [None, {}, {NOT_AFTER: "soon"}])
def test_a_secret_that_tells_nothing_is_written_anew(annotations: dict[str, str] | None) -> None:
    issuer = Issuer(authority(), StoppedClock())
    live = issued(issuer)
    assert live is not None
    known = live["metadata"]["annotations"] if annotations else {}
    live["metadata"]["annotations"] = None if annotations is None else known | annotations
    assert issued(issuer, live) is not None


def test_a_leaf_is_replaced_when_another_ca_signs_or_is_to_be_trusted() -> None:
    old, clock = authority(), StoppedClock()
    announced = old.tended("callfleet", LIVES, EPOCH, rotate=True)
    new = announced.tended("callfleet", LIVES, EPOCH + LIVES.settle_s)
    leaf = issued(Issuer(old, clock))
    told = issued(Issuer(announced, clock), leaf)
    assert told is not None
    replaced = issued(Issuer(new, clock), told)
    assert replaced is not None
    trusted = base64.b64decode(replaced["data"]["ca.crt"])
    assert old.ca.certificate in trusted
    assert new.ca.certificate in trusted
    assert issued(Issuer(new, clock), replaced) is None


def test_the_operators_own_leaf_follows_the_ca() -> None:
    clock = StoppedClock()
    issuer = Issuer(authority(), clock)
    leaf = OperatorLeaf(issuer)
    first = leaf.current()
    assert leaf.current() is first
    issuer.authority = authority()
    second = leaf.current()
    assert second is not first
    assert leaf.trusted == issuer.authority.bundle
    clock.now += LIVES.leaf_s
    assert leaf.current() is not second


def test_tokens_are_renewed_when_a_third_of_their_life_is_over() -> None:
    clock = StoppedClock()
    minter = Minter(KeyRing().tended(LIVES, EPOCH), "callfleet", clock)

    def minted(live: Manifest | None) -> Manifest | None:
        return minter.tokens("bank", "a-tokens", AGENT, AGENT_SCOPES, live)

    first = minted(None)
    assert first is not None
    assert sorted(first["data"]) == [
        "token.banking",
        "token.context-store",
        "token.session-manager",
    ]
    clock.now += LIVES.token_s / 3 - 1
    assert minted(first) is None
    clock.now += 2
    assert minted(first) is not None
    clock.now = EPOCH
    assert minter.tokens("bank", "a-tokens", AGENT, {"banking": ("x",)}, first) is not None
    first["metadata"]["annotations"][KEY] = "gone"
    assert minted(first) is not None


@in_virtual_time
async def test_the_ca_is_made_once_and_read_after_a_restart() -> None:
    kube = FakeKube()
    first = await kept(FORM, kube, SYSTEM, FakeClock())
    again = await kept(FORM, kube, SYSTEM, FakeClock())
    assert first == again
    assert [verb for verb, _ in kube.writes] == ["POST"]


@in_virtual_time
async def test_the_keys_of_tokens_are_made_once_and_read_after_a_restart() -> None:
    kube = FakeKube()
    first = await kept(ring_form(LIVES), kube, SYSTEM, FakeClock())
    again = await kept(ring_form(LIVES), kube, SYSTEM, FakeClock())
    assert first.stored() == again.stored()
    assert [verb for verb, _ in kube.writes] == ["POST"]
    assert kube.all(SECRET)[0]["metadata"]["name"] == KEYS_SECRET


@in_virtual_time
async def test_two_operators_at_once_use_one_ca() -> None:
    kube = FakeKube()
    kube.before = lambda _verb, _ref: 0.05
    both = await asyncio.gather(*(kept(FORM, kube, SYSTEM, FakeClock()) for _ in range(2)))
    assert both[0].ca == both[1].ca
    assert len(kube.all(SECRET)) == 1


@in_virtual_time
async def test_a_ca_that_ends_soon_gets_one_successor_which_takes_over_in_time() -> None:
    kube = FakeKube()
    old = authority(EPOCH - LIVES.ca_s * 0.95)
    kube.put(authority_secret(old, SYSTEM))
    kube.before = lambda _verb, _ref: 0.05
    both = await asyncio.gather(*(kept(FORM, kube, SYSTEM, FakeClock()) for _ in range(2)))
    assert both[0] == both[1]
    assert both[0].ca == old.ca
    coming = both[0].successor
    assert coming is not None
    after = await kept(FORM, kube, SYSTEM, StoppedClock(EPOCH + LIVES.settle_s + 1))
    assert (after.ca, after.successor) == (coming.ca, None)
    stored = kube.all(SECRET)[0]
    assert sorted(stored["data"]) == ["ca.crt", "tls.crt", "tls.key"]
    assert TAKES_OVER not in stored["metadata"]["annotations"]
    assert authority_of(stored).trust == after.trust


@in_virtual_time
async def test_an_annotation_asks_for_a_successor_once() -> None:
    kube = FakeKube()
    stored = authority_secret(authority(), SYSTEM)
    stored["metadata"]["annotations"][ROTATE] = "now"
    kube.put(stored)
    told = await kept(FORM, kube, SYSTEM, FakeClock())
    assert told.successor is not None
    assert ROTATE not in kube.all(SECRET)[0]["metadata"]["annotations"]
    assert await kept(FORM, kube, SYSTEM, FakeClock()) == told


@in_virtual_time
async def test_a_damaged_ca_is_a_persons_business() -> None:
    kube = FakeKube()
    damaged = authority_secret(authority(), SYSTEM)
    damaged["data"]["tls.key"] = base64.b64encode(authority().ca.key).decode()
    kube.put(damaged)
    with pytest.raises(ConfigurationError, match="callfleet-ca"):
        await kept(FORM, kube, SYSTEM, FakeClock())


@pytest.mark.parametrize("data", [{}, {"tls.crt": "eA==", "tls.key": "eA=="}])
def test_what_is_no_ca_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no readable"):
        authority_of({"data": data})


@in_virtual_time
async def test_another_operators_ca_wins_the_race() -> None:
    kube = FakeKube()
    theirs = authority()

    def before(verb: str, ref: Ref) -> None:
        if verb == "POST":
            kube.before = None
            kube.put(authority_secret(theirs, SYSTEM))
            raise AlreadyExistsError(409, "AlreadyExists", "")

    kube.before = before
    found = await kept(FORM, kube, SYSTEM, FakeClock())
    assert found.ca == theirs.ca


@in_virtual_time
async def test_an_identity_that_never_settles_is_given_up_with_a_reason() -> None:
    kube = FakeKube()
    kube.put(authority_secret(authority(EPOCH - LIVES.ca_s * 0.95), SYSTEM))

    def before(verb: str, ref: Ref) -> None:
        if verb == "PATCH":
            kube.put(authority_secret(authority(EPOCH - LIVES.ca_s * 0.95), SYSTEM))

    kube.before = before
    with pytest.raises(ConfigurationError, match="keeps changing"):
        await kept(FORM, kube, SYSTEM, FakeClock())


def test_an_authority_of_an_earlier_version_is_read() -> None:
    """Its bundle has the former CA, and there is no successor."""
    old, new = authority(EPOCH - DAY_S), authority()
    stored = authority_secret(Authority(new.ca, None, (old.ca.certificate,)), SYSTEM)
    found = authority_of(stored)
    assert found.ca == KeyPair(new.ca.certificate, new.ca.key)
    assert [pem.strip() for pem in found.former] == [old.ca.certificate.strip()]
    assert datetime.fromisoformat(stored["metadata"]["annotations"][NOT_AFTER]).timestamp() > EPOCH
