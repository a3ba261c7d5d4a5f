"""Tokens (JWT, EdDSA) and the keys that sign them.

A key is in the key set for a while before it signs, and after it until its last token has ended: a
service that reads the set late refuses nobody.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from .lifetimes import Lifetimes

ALGORITHM: Final = "EdDSA"
# How much longer than its tokens a key is kept: clocks differ, and pods see files late.
_LEEWAY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, its name, and the Unix time from which it signs."""

    name: str
    signs_from: float
    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def made(cls, signs_from: float) -> "SigningKey":
        return cls(uuid4().hex[:16], signs_from, Ed25519PrivateKey.generate())

    @property
    def public(self) -> dict[str, str]:
        """As an entry of a JWK set (RFC 7517, RFC 8037)."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM,
            "kid": self.name, "x": text,
        }  # fmt: skip

    def stored(self) -> dict[str, Any]:
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return {"name": self.name, "signsFrom": self.signs_from, "key": pem.decode()}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys, the newest last."""

    keys: tuple[SigningKey, ...] = ()

    def tended(self, lifetimes: Lifetimes, now: float, *, rotate: bool = False) -> "KeyRing":
        """What is right now; an equal ring when nothing is to be done."""
        keys = self.keys or (SigningKey.made(now),)
        waits = keys[-1].signs_from > now
        ends = keys[-1].signs_from + lifetimes.token_key_s
        if not waits and (rotate or now + lifetimes.settle_s >= ends):
            keys = (*keys, SigningKey.made(now + lifetimes.settle_s))
        kept_s = lifetimes.token_s + _LEEWAY_S
        alive = [
            key
            for key, after in zip(keys, (*keys[1:], None), strict=True)
            if after is None or now < after.signs_from + kept_s
        ]
        return KeyRing(tuple(alive))

    def current(self, now: float) -> SigningKey:
        """The key that signs."""
        return [key for key in self.keys if key.signs_from <= now][-1]

    def knows(self, name: str) -> bool:
        return any(key.name == name for key in self.keys)

    def jwks(self) -> str:
        """The key set that services read."""
        return json.dumps({"keys": [key.public for key in self.keys]}, sort_keys=True)

    def stored(self) -> str:
        return json.dumps({"keys": [key.stored() for key in self.keys]}, sort_keys=True)

    def token(self, claims: "Claims", now: float) -> str:
        key = self.current(now)
        body = {
            "iss": claims.issuer,
            "sub": claims.subject,
            "aud": [claims.audience],
            "scope": " ".join(sorted(claims.scopes)),
            "iat": int(now),
            "exp": int(now + claims.life_s),
            "jti": str(uuid4()),
        }
        return jwt.encode(body, key.key, algorithm=ALGORITHM, headers={"kid": key.name})


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    issuer: str
    subject: str
    audience: str
    scopes: Iterable[str]
    life_s: float


def tokens_of(
    ring: KeyRing, issuer: str, subject: str, scopes: Mapping[str, tuple[str, ...]],
    lifetimes: Lifetimes, now: float,
) -> dict[str, str]:  # fmt: skip
    """A token for each audience."""
    return {
        audience: ring.token(Claims(issuer, subject, audience, allowed, lifetimes.token_s), now)
        for audience, allowed in scopes.items()
    }


def read_ring(text: str) -> KeyRing:
    """The keys as they were stored. ValueError when they are damaged."""
    try:
        keys = tuple(_read(entry) for entry in json.loads(text)["keys"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("no readable token keys") from error
    return KeyRing(tuple(sorted(keys, key=lambda key: key.signs_from)))


def _read(entry: Mapping[str, Any]) -> SigningKey:
    key = load_pem_private_key(str(entry["key"]).encode(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("a token key that is no Ed25519 key")  # noqa: TRY004
    return SigningKey(str(entry["name"]), float(entry["signsFrom"]), key)
