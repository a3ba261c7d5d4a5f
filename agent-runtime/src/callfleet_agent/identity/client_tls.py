"""TLS of HTTP clients: 1.3, verified, with a client certificate where the server asks for one."""

import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from callfleet_agent.identity.errors import AuthorityFileError, TlsFilesError

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class ClientTls:
    """The context of new connections; `ca_file` None: the system's CAs. Files that change are read
    again: Secrets rotate."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    _context: ssl.SSLContext | None = field(default=None, repr=False)
    _stamp: _Stamp = ()

    def context(self) -> ssl.SSLContext:
        """For a new connection.

        Raises:
            TlsFilesError: a file cannot be used, and there was nothing before.
        """
        try:
            stamp = self._stamped()
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = self._made(), stamp
        except TlsFilesError as error:
            if self._context is None:
                raise
            _log.warning("the files of TLS cannot be read again", extra={"reason": str(error)})
        return self._context

    def _stamped(self) -> _Stamp:
        found = []
        for path in (self.ca_file, self.certificate_file, self.key_file):
            if path is None:
                continue
            try:
                stat = path.stat()
            except OSError:
                raise self._unusable(path) from None
            found.append((stat.st_mtime_ns, stat.st_ino))
        return tuple(found)

    def _made(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError):
            raise self._unusable(self.ca_file) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if self.certificate_file is not None:
            try:
                context.load_cert_chain(self.certificate_file, self.key_file, password="")
            except (OSError, ssl.SSLError):  # or one of the two is of another pair
                raise self._unusable(self.certificate_file) from None
        return context

    def _unusable(self, path: Path | None) -> TlsFilesError:
        if path == self.ca_file:
            return AuthorityFileError("the file of the certificate authority cannot be used")
        return TlsFilesError("the client's certificate and key cannot be used")
