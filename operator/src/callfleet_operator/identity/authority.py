"""The CA that signs, its successor, and those that are trusted until what they signed has ended.

    alone --ends soon, or told to--> succeeded --the successor has been trusted for `settle_s`-->
    alone (the former CA stays trusted until its end)

Whoever verifies has therefore known a CA for a while before the first leaf of it is seen.
"""

import hashlib
import re
from dataclasses import dataclass, field, replace

from .certificates import KeyPair, make_ca, not_after
from .lifetimes import Lifetimes

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True)
class Successor:
    """The next CA, and the Unix time from which it signs."""

    ca: KeyPair
    takes_over: float


@dataclass(frozen=True)
class Authority:
    """`former` are certificates (PEM) of CAs that sign no more."""

    ca: KeyPair
    successor: Successor | None = None
    former: tuple[bytes, ...] = field(default=())

    @property
    def bundle(self) -> bytes:
        """What is to be trusted, PEM."""
        coming = (self.successor.ca.certificate,) if self.successor else ()
        return b"".join((self.ca.certificate, *coming, *self.former))

    @property
    def trust(self) -> str:
        """Changes with the bundle."""
        return hashlib.sha256(self.bundle).hexdigest()[:16]

    def tended(
        self, installation: str, lifetimes: Lifetimes, now: float, *, rotate: bool = False
    ) -> "Authority":
        """What is right now; this very object when nothing is to be done. `rotate`: a successor
        is wanted although the CA does not end yet."""
        current = _after(self, now)
        ends_soon = current.ca.not_after - now < lifetimes.successor_s
        if current.successor is None and (rotate or ends_soon):
            settled = now + lifetimes.settle_s
            # A CA that has ended signs nothing that is believed: there is nothing to wait for.
            takes_over = settled if current.ca.not_after > settled else now
            made = make_ca(installation, now, lifetimes.ca_s)
            current = _after(replace(current, successor=Successor(made, takes_over)), now)
        alive = tuple(pem for pem in current.former if not_after(pem) > now)
        return current if alive == current.former else replace(current, former=alive)


def _after(authority: Authority, now: float) -> Authority:
    """With the successor in its place, when its time has come."""
    coming = authority.successor
    if coming is None or now < coming.takes_over:
        return authority
    return Authority(coming.ca, None, (authority.ca.certificate, *authority.former))


def make_authority(installation: str, lifetimes: Lifetimes, now: float) -> Authority:
    return Authority(make_ca(installation, now, lifetimes.ca_s))


def read_authority(
    ca: KeyPair, bundle: bytes, successor: KeyPair | None, takes_over: float
) -> Authority:
    """The authority as it was stored. ValueError when it is damaged."""
    ca.check()
    if successor is not None:
        successor.check()
    known = {_bare(pair.certificate) for pair in (ca, successor) if pair is not None}
    former = tuple(pem for pem in _PEM.findall(bundle) if _bare(pem) not in known)
    for pem in former:
        not_after(pem)
    coming = Successor(successor, takes_over) if successor is not None else None
    return Authority(ca, coming, former)


def _bare(pem: bytes) -> bytes:
    return pem.strip()
