"""Certificates for the pods of an agent, from the internal CA."""

from typing import Protocol

from callfleet_operator.ports.kinds import Manifest


class LeafIssuer(Protocol):
    def issue(self, namespace: str, agent: str, live: Manifest | None) -> Manifest | None:
        """The Secret (without owner) that is to be applied; None when the one that is there is
        good.

        `live` needs its metadata only: what is inside is told by annotations.
        """
        ...
