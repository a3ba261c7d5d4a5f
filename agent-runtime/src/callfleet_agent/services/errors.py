"""Errors of the services."""

from dataclasses import dataclass


class ServicesError(Exception):
    """A service of the pod cannot be started or used."""


class TlsFilesError(ServicesError):
    """The files of the pod's TLS identity are missing or unusable: the installation's fault."""


class KeySetError(ServicesError):
    """The file of the token keys is missing or no key set: the installation's fault."""


class RequestError(Exception):
    """A request that is refused at the edge; `code` is a stable word for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UnauthenticatedError(RequestError):
    """The client does not prove who it is; `forbidden`: it does, and that is not enough."""

    def __init__(self, code: str, message: str, *, forbidden: bool = False) -> None:
        super().__init__(code, message)
        self.forbidden = forbidden


class TooManyRequestsError(RequestError):
    """The client is over its rate."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("RATE_LIMITED", "the client sends too many requests")
        self.retry_after_s = retry_after_s


class OverloadedError(RequestError):
    """This service has as much to do as it may have."""

    def __init__(self, message: str = "the service is at its limit") -> None:
        super().__init__("OVERLOADED", message)


class NotFoundError(RequestError):
    """What the request names is not there."""


class WrongStateError(RequestError):
    """What the request names is in a state that does not allow it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of the request, and what is wrong with it: never the value."""

    field: str
    description: str


class InvalidRequestError(RequestError):
    """Fields of the request are wrong."""

    def __init__(self, *violations: Violation) -> None:
        super().__init__("INVALID_REQUEST", "the request is not valid")
        self.violations = violations


class EngineFailedError(Exception):
    """An engine could not do its work: the same request may succeed later."""
