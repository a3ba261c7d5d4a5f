"""A token that comes again: good for its holder while it lives, and for nobody after it."""

from pathlib import Path

import jwt
import pytest

from callfleet_agent.services.errors import UnauthenticatedError
from callfleet_agent.services.tokens import LEEWAY_S, KeySet, TokenVerifier
from identities import AGENT, CLIENT, ISSUER, Tokens


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "jwks.json")


@pytest.fixture
def verifier(tokens: Tokens, clock: Clock) -> TokenVerifier:
    return TokenVerifier(KeySet(tokens.path, clock), ISSUER, clock)


def minted(tokens: Tokens, clock: Clock, life_s: int = 300) -> str:
    now = int(clock.now)
    claims = {
        "iss": ISSUER, "sub": AGENT, "aud": ["banking"], "scope": "banking.read",
        "iat": now, "exp": now + life_s, "jti": "j",
    }  # fmt: skip
    return jwt.encode(claims, tokens.keys["t1"], "EdDSA", headers={"kid": "t1"})


def code(verifier: TokenVerifier, token: str, subject: str = AGENT) -> str:
    try:
        verifier.verify(token, subject=subject, audience="banking", scope="banking.read")
    except UnauthenticatedError as error:
        return error.code
    return "OK"


def test_a_token_is_good_until_its_end_however_often_it_was_seen(
    tokens: Tokens, verifier: TokenVerifier, clock: Clock
) -> None:
    token = minted(tokens, clock)
    assert [code(verifier, token) for _ in range(3)] == ["OK"] * 3
    clock.now += 300 + LEEWAY_S - 0.5
    assert code(verifier, token) == "OK"
    clock.now += 1
    assert code(verifier, token) == "TOKEN_EXPIRED"  # also one that is remembered
    assert code(TokenVerifier(verifier.keys, ISSUER, clock), token) == "TOKEN_EXPIRED"


def test_a_token_that_was_overheard_is_of_no_use_with_another_certificate(
    tokens: Tokens, verifier: TokenVerifier, clock: Clock
) -> None:
    token = minted(tokens, clock)
    assert code(verifier, token) == "OK"
    assert code(verifier, token, CLIENT) == "TOKEN_OF_ANOTHER"
    assert code(verifier, token) == "OK"


def test_a_token_of_a_key_that_was_taken_out_is_refused_although_it_was_seen(
    tokens: Tokens, verifier: TokenVerifier, clock: Clock
) -> None:
    token = minted(tokens, clock)
    assert code(verifier, token) == "OK"
    tokens.rotate_to("t2")
    clock.now += 2  # the file is looked at once a second
    assert code(verifier, token) == "TOKEN_KEY"


@pytest.mark.parametrize("life_s", [3601, 86_400])
def test_a_token_that_lives_for_long_is_none(
    tokens: Tokens, verifier: TokenVerifier, clock: Clock, life_s: int
) -> None:
    assert code(verifier, minted(tokens, clock, life_s)) == "TOKEN_INVALID"
