"""Identities for development: what the operator and Kubernetes give to pods, as folders of files.

    DIR/jwks.json             the key set that services read
    DIR/ROLE, DIR/agent, DIR/client
                              tls.crt, tls.key, ca.crt; the last two with token.AUDIENCE beside them
    DIR/authority             the CA and the keys of tokens, kept from run to run

Nobody watches over these keys: not for production.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callfleet_agent.app.errors import SettingsError
from callfleet_operator.identity.authority import Authority, make_authority, read_authority
from callfleet_operator.identity.certificates import KeyPair, make_leaf
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import (
    AGENT_SCOPES,
    CLIENT_SCOPES,
    Subject,
    agent_subject,
    client_subject,
    service_subject,
    token_file,
)
from callfleet_operator.identity.tokens import KeyRing, read_ring, tokens_of

NAMESPACE: Final = "development"
LIVES: Final = Lifetimes()


@dataclass(frozen=True, slots=True)
class DevIdentities:
    """Everything of one folder. `hosts` are names by which services are reached besides those of
    their roles."""

    folder: Path
    roles: tuple[str, ...]
    agent: str = "card-line"
    client: str = "client"
    hosts: tuple[str, ...] = ("localhost",)
    issuer: str = "callfleet"

    def write(self, now: float) -> None:
        """Certificates, tokens and the key set, made or renewed; whoever reads them follows.

        Raises:
            SettingsError: the folder cannot be written, or holds something else.
        """
        try:
            authority, ring = self._kept(now)
            _write(self.folder / "jwks.json", ring.jwks().encode())
            for folder, subject in self._subjects():
                self._certify(authority, self.folder / folder, subject, now)
            for folder, subject, scopes in (
                ("agent", self._agent(), AGENT_SCOPES),
                ("client", self._client(), CLIENT_SCOPES),
            ):
                self._authorise(ring, self.folder / folder, subject, scopes, now)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{self.folder}: {error}") from error

    def _subjects(self) -> Iterable[tuple[str, Subject]]:
        for role in self.roles:
            named = service_subject(NAMESPACE, role, role)
            yield role, Subject(named.identity, (*named.hosts, *self.hosts))
        yield "agent", self._agent()
        yield "client", self._client()

    def _agent(self) -> Subject:
        return agent_subject(NAMESPACE, self.agent)

    def _client(self) -> Subject:
        return client_subject(NAMESPACE, self.client)

    def _kept(self, now: float) -> tuple[Authority, KeyRing]:
        folder = self.folder / "authority"
        ring_file = folder / "keys.json"
        if (folder / "tls.key").exists():
            pair = KeyPair((folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes())
            authority = read_authority(pair, b"", None, 0.0)
        else:
            authority = make_authority("callfleet development", LIVES, now)
            _write(folder / "tls.crt", authority.ca.certificate)
            _write(folder / "tls.key", authority.ca.key)
        ring = read_ring(ring_file.read_text()) if ring_file.exists() else KeyRing()
        tended = ring.tended(LIVES, now)
        _write(ring_file, tended.stored().encode())
        return authority, tended

    def _certify(self, authority: Authority, folder: Path, subject: Subject, now: float) -> None:
        """A new certificate for each run: names may have changed."""
        leaf = make_leaf(authority.ca, subject, now, LIVES.leaf_s)
        files = {"ca.crt": authority.bundle, "tls.key": leaf.key, "tls.crt": leaf.certificate}
        for name, content in files.items():
            _write(folder / name, content)

    def _authorise(
        self, ring: KeyRing, folder: Path, subject: Subject,
        scopes: Mapping[str, tuple[str, ...]], now: float,
    ) -> None:  # fmt: skip
        made = tokens_of(ring, self.issuer, subject.identity, scopes, LIVES, now)
        for audience, text in made.items():
            _write(folder / token_file(audience), text.encode())


def _write(path: Path, content: bytes) -> None:
    """All at once, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
