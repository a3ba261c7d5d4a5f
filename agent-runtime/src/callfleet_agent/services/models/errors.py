"""Why a model could not be brought."""

from typing import Literal

from callfleet_agent.services.errors import ServicesError

Reason = Literal[
    "NotFound", "NoAccess", "NoRoom", "Checksum", "Unfit", "Unreachable", "Unsupported", "Invalid"
]


class ModelError(ServicesError):
    """`reason` is a word for programs; the text is for a person and quotes no credential."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason

    @property
    def retry(self) -> bool:
        """Whether the same request may succeed later."""
        return self.reason == "Unreachable"


def of_status(status: int, what: str) -> ModelError:
    """What an HTTP status says of the thing that was asked for."""
    if status in (401, 403):
        return ModelError("NoAccess", f"{what} may not be read (HTTP {status})")
    if status in (404, 410):
        return ModelError("NotFound", f"{what} is not there (HTTP {status})")
    if status == 429 or status >= 500:
        return ModelError("Unreachable", f"{what} cannot be had now (HTTP {status})")
    return ModelError("Unsupported", f"{what}: the server answers HTTP {status}")
