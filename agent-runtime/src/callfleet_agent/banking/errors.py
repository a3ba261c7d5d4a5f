"""What can go wrong at the bank; every error says whether trying again can help.

No message holds anything of a customer: they go into logs.
"""

from datetime import datetime


class BankingError(Exception):
    """Base. `code` is a short constant word for logs; `retry`: whether later may work."""

    def __init__(self, code: str, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry


class AuthenticationError(BankingError):
    """The bank does not accept us: a missing, wrong or expired token; not the caller's fault."""


class IntentNotFoundError(BankingError):
    """The bank does not do what was asked: an unknown operation or transaction type."""


class RequestRefusedError(BankingError):
    """The bank read the request and refused it: our fault, no use trying again."""


class BankUnavailableError(BankingError):
    """The bank cannot be reached, is too slow, or says that it is in trouble: later may work."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message, retry=True)


class AuditUnavailableError(BankUnavailableError):
    """What is asked for cannot be written down, so it is not done."""

    def __init__(self) -> None:
        super().__init__("audit_away", "the audit log cannot be written")


class BankProtocolError(BankingError):
    """The bank's answer is not one: their fault, and asking again gives the same."""


class NotVerifiedError(BankingError):
    """The session's caller has not proved to be this customer."""

    def __init__(self) -> None:
        super().__init__("not_verified", "the caller has not proved to be this customer")


class LockedOutError(BankingError):
    """Too many proofs were wrong."""

    def __init__(self, until: datetime) -> None:
        super().__init__("locked_out", "too many proofs were wrong")
        self.until = until


class ProofsUnderWayError(BankingError):
    """As many proofs of the customer as tries are left wait for the bank's answer."""

    def __init__(self) -> None:
        super().__init__("proofs_under_way", "other proofs have to be answered first", retry=True)


class ProofLapsedError(BankingError):
    """The proof was asked for too long ago to be asked for again."""

    def __init__(self) -> None:
        super().__init__("proof_lapsed", "the proof came too long ago: it needs an id of its own")


class TooManyCodesError(BankingError):
    """No other one-time code is sent to this customer now; the one before may still come."""

    def __init__(self) -> None:
        super().__init__("too_many_codes", "no other code can be sent now")


class TransactionReusedError(BankingError):
    """The request's id was used for another request; `field` names it."""

    def __init__(self, field: str = "transaction_id") -> None:
        super().__init__("transaction_reused", "the id was used for another request")
        self.field = field


class ParametersError(BankingError):
    """An argument does not belong to the kind of transaction, or is none. Names the field only."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__("bad_parameters", f"{name}: {reason}")
        self.field = f"query_parameters.{name}"
        self.reason = reason
