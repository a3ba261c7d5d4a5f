"""Errors of the journal and of delivery."""


class JournalError(Exception):
    """The journal's folder cannot be used: the installation's fault."""


class DeliverLaterError(Exception):
    """The store is away: the same record is delivered later."""


class RefusedError(Exception):
    """The store will never take this record; `code` is a constant word for the log."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the store refuses the record: {code}")
        self.code = code
