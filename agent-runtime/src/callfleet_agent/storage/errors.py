"""Errors of the stores."""


class StorageError(Exception):
    """Something about a store is wrong."""


class StoreUnavailableError(StorageError):
    """The store cannot be reached or is too slow: the same request may succeed later."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the store cannot be reached: {cause}")


class SealError(StorageError):
    """Sealed data cannot be opened: its key is not there, or it was changed."""


class KeyFilesError(StorageError):
    """The files of the sealing keys are missing or no keys: the installation's fault."""


class RoleError(StorageError):
    """The role of the services cannot be made: the installation's fault."""
