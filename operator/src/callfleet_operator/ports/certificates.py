"""Identities for pods: certificates, from the internal CA or from cert-manager, and tokens."""

from collections.abc import Mapping
from typing import Protocol

from callfleet_operator.identity.names import Subject
from callfleet_operator.ports.kinds import Kind, Manifest


class LeafIssuer(Protocol):
    @property
    def kind(self) -> Kind:
        """What it makes: a Secret, or a Certificate that becomes one."""
        ...

    def issue(
        self, namespace: str, name: str, subject: Subject, live: Manifest | None
    ) -> Manifest | None:
        """The object (without owner) that is to be applied; None when the one that is there is
        good.

        `live` needs its metadata only: what is inside is told by annotations.
        """
        ...


class TokenIssuer(Protocol):
    def tokens(
        self,
        namespace: str,
        name: str,
        subject: Subject,
        scopes: Mapping[str, tuple[str, ...]],
        live: Manifest | None,
    ) -> Manifest | None:
        """The Secret (without owner) with a token for each audience of `scopes`; None when the one
        that is there is good.
        """
        ...

    def key_set(self) -> str:
        """The public keys, as services read them."""
        ...
