"""Tokens for pods, in Secrets: short-lived, renewed when a third of their life is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import Subject, token_file
from callfleet_operator.identity.tokens import KeyRing, tokens_of
from callfleet_operator.kube.certificates import NOT_AFTER, ends_at, rfc3339, secret
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import Manifest

KEY: Final = "callfleet.io/token-key"
AUDIENCES: Final = "callfleet.io/audiences"


@dataclass
class Minter:
    """The TokenIssuer. `scopes` by audience are what a subject may do."""

    ring: KeyRing
    issuer: str
    clock: Clock
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    def tokens(
        self,
        namespace: str,
        name: str,
        subject: Subject,
        scopes: Mapping[str, tuple[str, ...]],
        live: Manifest | None,
    ) -> Manifest | None:
        audiences = ",".join(scopes)
        if live is not None and self._good(live, audiences):
            return None
        now = self.clock.wall()
        made = tokens_of(self.ring, self.issuer, subject.identity, scopes, self.lifetimes, now)
        data = {token_file(audience): text.encode() for audience, text in made.items()}
        notes = {
            KEY: self.ring.current(now).name,
            AUDIENCES: audiences,
            NOT_AFTER: rfc3339(now + self.lifetimes.token_s),
        }
        return secret(namespace, name, data, notes)

    def key_set(self) -> str:
        return self.ring.jwks()

    def _good(self, live: Manifest, audiences: str) -> bool:
        annotations = live["metadata"].get("annotations") or {}
        if not self.ring.knows(str(annotations.get(KEY))):
            return False
        ends = ends_at(annotations)
        left = ends - self.clock.wall() if ends is not None else 0.0
        return annotations.get(AUDIENCES) == audiences and left > self.lifetimes.token_s * 2 / 3
