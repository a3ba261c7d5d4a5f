"""Tokens and their keys: what the services accept, over every change of a key."""

import json
from pathlib import Path

import pytest

from callfleet_agent.services.errors import UnauthenticatedError
from callfleet_agent.services.policy import POLICY
from callfleet_agent.services.tokens import KeySet, TokenVerifier
from callfleet_operator.identity.certificates import make_ca
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import AGENT_SCOPES, CLIENT_SCOPES
from callfleet_operator.identity.tokens import KeyRing, read_ring, tokens_of

NOW = 1_800_000_000.0
SHORT = Lifetimes(ca_s=600, leaf_s=60, token_s=60, token_key_s=100, settle_s=30)
SUBJECT = "spiffe://callfleet.io/ns/bank/voiceagent/card-line"


def verifier(folder: Path, ring: KeyRing, now: float) -> TokenVerifier:
    path = folder / "jwks.json"
    path.write_text(ring.jwks())
    return TokenVerifier(KeySet(path), "callfleet", clock=lambda: now)


@pytest.mark.parametrize(
    ("role", "scopes"), [("voiceagent", AGENT_SCOPES), ("client", CLIENT_SCOPES)]
)
def test_tokens_allow_just_what_the_services_policy_asks_of_their_holder(
    role: str, scopes: dict[str, tuple[str, ...]]
) -> None:
    asked: dict[str, set[str]] = {}
    for rule in POLICY.values():
        if role in rule.roles and rule.audience in scopes:
            asked.setdefault(rule.audience, set()).add(rule.scope)
    assert {audience: set(allowed) for audience, allowed in scopes.items()} == asked


def test_a_service_accepts_the_token_for_itself_and_for_nobody_else(tmp_path: Path) -> None:
    ring = KeyRing().tended(SHORT, NOW)
    tokens = tokens_of(ring, "callfleet", SUBJECT, AGENT_SCOPES, SHORT, NOW)
    asking = verifier(tmp_path, ring, NOW)
    token = asking.verify(
        tokens["banking"], subject=SUBJECT, audience="banking", scope="banking.read"
    )
    assert token.expires_at == NOW + 60
    with pytest.raises(UnauthenticatedError, match="another audience"):
        asking.verify(
            tokens["banking"], subject=SUBJECT, audience="context-store", scope="banking.read"
        )


def test_no_token_is_refused_whatever_key_signed_it(tmp_path: Path) -> None:
    """Services that see the key set `settle_s` late, and tokens used to their last second."""
    ring, rings, signed = KeyRing(), {}, []
    for second in range(0, 500, 5):
        now = NOW + second
        ring = ring.tended(SHORT, now)
        rings[second] = ring
        text = tokens_of(ring, "callfleet", SUBJECT, AGENT_SCOPES, SHORT, now)["banking"]
        signed.append((second, text))
        late = verifier(tmp_path, rings[max(0, second - 25)], now)
        for made, token in signed:
            if second - made < 60:
                late.verify(token, subject=SUBJECT, audience="banking", scope="banking.read")
    assert len({key.name for one in rings.values() for key in one.keys}) >= 5
    assert max(len(one.keys) for one in rings.values()) <= 3


def test_a_person_may_ask_for_a_new_key() -> None:
    ring = KeyRing().tended(SHORT, NOW)
    more = ring.tended(SHORT, NOW + 1, rotate=True)
    assert len(more.keys) == 2
    assert more.current(NOW + 30) == ring.current(NOW)
    assert more.current(NOW + 31) != ring.current(NOW)
    assert more.tended(SHORT, NOW + 2, rotate=True) == more


def test_what_is_stored_is_read_again_and_public_keys_show_no_private_part() -> None:
    ring = KeyRing().tended(SHORT, NOW).tended(SHORT, NOW + 1, rotate=True)
    assert read_ring(ring.stored()).stored() == ring.stored()
    assert all("d" not in key for key in json.loads(ring.jwks())["keys"])
    assert "PRIVATE" not in repr(ring)


def test_a_key_of_another_kind_signs_nothing() -> None:
    pem = make_ca("callfleet", NOW, 60).key.decode()
    text = json.dumps({"keys": [{"name": "a", "signsFrom": 1, "key": pem}]})
    with pytest.raises(ValueError, match="no readable token keys"):
        read_ring(text)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"keys": [{}]}', '{"keys": [{"name": "a", "signsFrom": 1, "key": "x"}]}']
)
def test_damaged_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no readable token keys"):
        read_ring(text)
