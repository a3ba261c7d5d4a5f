"""What a client's channel is made of: an identity, or nothing but whom to trust."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc

from callfleet_agent.identity.errors import TlsFilesError


class Source(Protocol):
    """Where a channel's credentials come from. Both raise TlsFilesError."""

    def stamp(self) -> tuple[int, ...]:
        """Changes when other credentials are to be used."""
        ...

    def credentials(self) -> grpc.ChannelCredentials:
        """As they are now."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """The server is verified, and no certificate is shown to it; `ca` None: the system's CAs."""

    ca: Path | None = None

    def stamp(self) -> tuple[int, ...]:
        """Changes when the file was replaced."""
        if self.ca is None:
            return ()
        try:
            return (self.ca.stat().st_mtime_ns,)
        except OSError as error:
            raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error

    def credentials(self) -> grpc.ChannelCredentials:
        """As gRPC's clients want them."""
        try:
            roots = None if self.ca is None else self.ca.read_bytes()
        except OSError as error:
            raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error
        return grpc.ssl_channel_credentials(roots)
