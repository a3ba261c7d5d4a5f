"""Errors of a call's memory."""


class ContextStoreError(Exception):
    """Something about a stored context is wrong."""


class ContextNotFoundError(ContextStoreError):
    """There is no context of this session, or its time is over."""

    def __init__(self) -> None:
        super().__init__("the session has no context")


class VersionConflictError(ContextStoreError):
    """Another change came first: read again, and decide again."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"the context has version {found}, not {expected}")
        self.expected = expected
        self.found = found


class ContextTooLargeError(ContextStoreError):
    """The facts of the customer would be too many."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"customer_data would be longer than {limit} bytes")
        self.limit = limit
