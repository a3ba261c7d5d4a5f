"""Tokens: JWT, EdDSA only, short-lived, for one audience, with scopes, and bound to a certificate.

A token's subject is the identity in its holder's certificate, so that a token that was overheard
or taken from a log is of no use to anybody else. Keys are a JWK set in a file that is read again
when it changes: put the new key in, sign with it, take the old one out when its last token is over.
"""

import base64
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from callfleet_agent.services.errors import KeySetError, UnauthenticatedError

ALGORITHM: Final = "EdDSA"
LONGEST_LIFE_S: Final = 3600
LEEWAY_S: Final = 5
MAX_TOKEN_BYTES: Final = 8192
_REQUIRED: Final = ("exp", "iat", "aud", "sub", "iss", "jti")
_MOST_REMEMBERED: Final = 1024
_LOOK_AGAIN_S: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """A verified token."""

    subject: str
    audiences: frozenset[str]
    scopes: frozenset[str]
    expires_at: float


class KeySet:
    """Public keys by their ids, from a JWK set (RFC 7517) in a file."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._stamp: tuple[int, int] | None = None
        self._keys: Mapping[str, Ed25519PublicKey] = {}
        self._looked_at = 0.0
        self.generation = 0
        self._read()

    def key(self, name: str) -> Ed25519PublicKey | None:
        """The key with this id."""
        return self._keys.get(name)

    def refresh(self) -> None:
        """Read the file again when it changed; looked at once a second at most."""
        if self._clock() < self._looked_at + _LOOK_AGAIN_S:
            return
        try:
            self._read()
        except KeySetError:
            _log.warning("the key set cannot be read again, the former one stays")

    def _read(self) -> None:
        self._looked_at = self._clock()
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp == self._stamp:
                return
            keys = _keys_of(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise KeySetError("the file of the token keys is no key set") from error
        self._keys, self._stamp = keys, stamp
        self.generation += 1


def _keys_of(data: Any) -> dict[str, Ed25519PublicKey]:
    if not isinstance(data, dict) or not isinstance(data.get("keys"), list):
        raise ValueError("no JWK set")  # noqa: TRY004
    keys: dict[str, Ed25519PublicKey] = {}
    for entry in data["keys"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            raise ValueError("a key without a name")  # noqa: TRY004
        key = jwt.PyJWK.from_dict(entry, algorithm=ALGORITHM).key
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("a key that is no public Ed25519 key")  # noqa: TRY004
        keys[entry["kid"]] = key
    return keys


@dataclass(slots=True)
class TokenVerifier:
    """Verifies tokens of one issuer; remembers those that it has verified until they end."""

    keys: KeySet
    issuer: str
    clock: Callable[[], float] = time.time
    _known: OrderedDict[bytes, Token] = field(default_factory=OrderedDict)
    _generation: int = -1

    def verify(self, text: str, *, subject: str, audience: str, scope: str) -> Token:
        """The token, which must be this subject's, for this audience and with this scope.

        Raises:
            UnauthenticatedError: it is not.
        """
        token = self._verified(text)
        if token.subject != subject:
            raise UnauthenticatedError("TOKEN_OF_ANOTHER", "the token belongs to another client")
        if audience not in token.audiences:
            raise UnauthenticatedError("TOKEN_AUDIENCE", "the token is for another audience")
        if scope not in token.scopes:
            raise UnauthenticatedError("TOKEN_SCOPE", "the token lacks the scope", forbidden=True)
        return token

    def _verified(self, text: str) -> Token:
        if len(text) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError("TOKEN_INVALID", "the token is too long")
        self.keys.refresh()
        if self._generation != self.keys.generation:
            self._known.clear()  # a key may be gone
            self._generation = self.keys.generation
        digest = hashlib.sha256(text.encode(errors="replace")).digest()
        token = self._known.get(digest)
        if token is None:
            token = self._read(text)
            self._known[digest] = token
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        if token.expires_at + LEEWAY_S <= self.clock():
            raise UnauthenticatedError("TOKEN_EXPIRED", "the token has expired")
        return token

    def _read(self, text: str) -> Token:
        try:
            header = jwt.get_unverified_header(text)
            key = self.keys.key(str(header.get("kid")))
            if key is None:
                raise UnauthenticatedError("TOKEN_KEY", "the token's key is not known")
            claims = jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={
                    "require": list(_REQUIRED),
                    "verify_aud": False,  # checked for each RPC
                    "verify_exp": False,  # checked with our clock, each time
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise UnauthenticatedError("TOKEN_INVALID", "the token is not valid") from None
        return self._checked(claims)

    def _checked(self, claims: Mapping[str, Any]) -> Token:
        issued, expires, now = claims["iat"], claims["exp"], self.clock()
        audience, scope = claims["aud"], claims.get("scope", "")
        audiences = [audience] if isinstance(audience, str) else audience
        numbers = all(isinstance(value, int | float) for value in (issued, expires))
        if not numbers or not isinstance(scope, str) or not isinstance(audiences, list):
            raise UnauthenticatedError("TOKEN_INVALID", "the token is not valid")
        if issued > now + LEEWAY_S:
            raise UnauthenticatedError("TOKEN_INVALID", "the token is of the future")
        if expires - issued > LONGEST_LIFE_S:
            raise UnauthenticatedError("TOKEN_INVALID", "the token lives for too long")
        return Token(
            subject=str(claims["sub"]),
            audiences=frozenset(map(str, audiences)),
            scopes=frozenset(scope.split()),
            expires_at=float(expires),
        )


@dataclass(frozen=True, slots=True)
class TokenMint:
    """Signs tokens for one subject."""

    key: Ed25519PrivateKey = field(repr=False)
    key_name: str
    issuer: str
    subject: str
    life_s: int = 300
    clock: Callable[[], float] = time.time

    def token(self, audience: Iterable[str], scopes: Iterable[str]) -> str:
        """A token for these audiences with these scopes."""
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": sorted(audience),
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + self.life_s,
            "jti": str(uuid4()),
        }
        return jwt.encode(claims, self.key, algorithm=ALGORITHM, headers={"kid": self.key_name})


def public_jwk(key: Ed25519PublicKey, name: str) -> dict[str, str]:
    """The key as an entry of a JWK set."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": name, "x": text,
    }  # fmt: skip
