"""Errors of the pod's services."""


class ServicesError(Exception):
    """A service of the pod cannot be started or used."""


class TlsFilesError(ServicesError):
    """The files of the pod's TLS identity are missing or unusable: the installation's fault."""
