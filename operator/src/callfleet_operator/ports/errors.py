"""What can go wrong behind a port: each error says whose fault it is and whether trying again
helps.
"""

from dataclasses import dataclass


class PortError(Exception):
    """The root of all errors of ports. `retry` tells whether the same call may succeed later."""

    retry = True


class NotLeaderError(PortError):
    """A write was refused before it was sent: this process does not lead, or leads in another
    epoch.
    """


@dataclass
class KubeError(PortError):
    """The API server refused, or could not be reached (`status` 0).

    `reason` is the API's own word (NotFound, Conflict, Invalid, ...). `message` is the server's
    text: it may quote objects, so it belongs in conditions of the same object, not in metric
    labels.
    """

    status: int
    reason: str
    message: str
    retry_after_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"


class NotFoundError(KubeError):
    """The object, or its namespace, or its kind is not there (404)."""


class ConflictError(KubeError):
    """The object changed since it was read (409 Conflict): read again, then decide again."""


class AlreadyExistsError(KubeError):
    """A create-only request met an object of the same name (409 AlreadyExists)."""


class InvalidError(KubeError):
    """The object cannot be accepted as it is (400, 422): our builder's fault, or the spec's."""

    retry = False


class ForbiddenError(KubeError):
    """The service account lacks a right (401, 403): the installation's fault; may be mended
    meanwhile.
    """


class GoneError(KubeError):
    """The resource version is too old (410): list again."""


class UnavailableError(KubeError):
    """No answer in time, no connection, too many requests, or a server's error (0, 429, 5xx)."""
