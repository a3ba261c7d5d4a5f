"""Errors of identities."""


class TlsFilesError(Exception):
    """The files of the process's TLS identity are missing or unusable: the installation's fault."""


class AuthorityFileError(TlsFilesError):
    """The one with the authority that verifies the other end."""
