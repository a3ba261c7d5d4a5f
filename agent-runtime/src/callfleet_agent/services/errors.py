"""Errors of the services."""

from dataclasses import dataclass
from typing import Final


class ServicesError(Exception):
    """A service of the pod cannot be started or used."""


class KeySetError(ServicesError):
    """The file of the token keys is missing or no key set: the installation's fault."""


AUTHORIZATION: Final = "authorization"
CERTIFICATE: Final = "certificate"


class RequestError(Exception):
    """A request that is refused at the edge; `code` is a stable word for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UnauthenticatedError(RequestError):
    """The client does not prove who it is; `forbidden`: it does, and that is not enough. `field`:
    what is wrong, the token's metadata or the certificate."""

    def __init__(
        self, code: str, message: str, *, forbidden: bool = False, field: str = AUTHORIZATION
    ) -> None:
        super().__init__(code, message)
        self.forbidden = forbidden
        self.field = field


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
    """What the request is about is in a state in which it cannot be done."""


class StreamTakenOverError(RequestError):
    """A newer stream of the same client goes on with the session: this one is over."""

    def __init__(self) -> None:
        super().__init__("STREAM_TAKEN_OVER", "a newer stream goes on with the session")


class StreamBusyError(RequestError):
    """The stream before this one has not left in time: the same request may succeed later."""

    def __init__(self) -> None:
        super().__init__("STREAM_EXISTS", "the stream before this one has not ended yet")


class SessionElsewhereError(RequestError):
    """Another replica seems to have the session: the same request may succeed once nothing has been
    told of it there for a while."""

    def __init__(self) -> None:
        super().__init__("SESSION_ELSEWHERE", "the session may still go on at another replica")


class NoWorkerError(RequestError):
    """No worker can hold the conversation now: the same request may succeed later."""

    def __init__(self) -> None:
        super().__init__("NO_WORKER", "no worker can hold the conversation now")


class SessionAwayError(RequestError):
    """The replica that may hold the session does not answer: the same request may succeed later."""

    def __init__(self) -> None:
        super().__init__("SESSION_AWAY", "the replica that may hold the session does not answer")


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


class StoppedError(Exception):
    """The work was given up within: the same request may succeed later."""


class EngineFailedError(Exception):
    """An engine could not do its work: the same request may succeed later."""
