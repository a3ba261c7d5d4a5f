"""Errors as gRPC answers, translated once: a status, and a google.rpc.Status with the details.

What is not known here is our own fault: the client hears INTERNAL and a correlation id, the log has
the rest.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from callfleet.v1.common_pb2 import ErrorDetail
from callfleet_agent.banking.errors import (
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    IntentNotFoundError,
    LockedOutError,
    NotVerifiedError,
    ParametersError,
    ProofLapsedError,
    ProofsUnderWayError,
    TooManyCodesError,
    TransactionReusedError,
)
from callfleet_agent.context.errors import (
    ContextNotFoundError,
    ContextTooLargeError,
    VersionConflictError,
)
from callfleet_agent.services.correlation import METADATA
from callfleet_agent.services.errors import (
    AUTHORIZATION,
    EngineFailedError,
    InvalidRequestError,
    NotFoundError,
    NoWorkerError,
    OverloadedError,
    SessionAwayError,
    SessionElsewhereError,
    StoppedError,
    StreamBusyError,
    StreamTakenOverError,
    TooManyRequestsError,
    UnauthenticatedError,
    Violation,
    WrongStateError,
)
from callfleet_agent.session.errors import (
    SessionChangedError,
    SessionEndedError,
    SessionExistsError,
    SessionNotFoundError,
)
from callfleet_agent.storage.errors import SealError, StoreUnavailableError

DETAILS: Final = "grpc-status-details-bin"
RETRY_AFTER: Final = "retry-after"
_CALLER: Final = ErrorDetail.FAULT_CALLER
_SERVICE: Final = ErrorDetail.FAULT_SERVICE
_DEPENDENCY: Final = ErrorDetail.FAULT_DEPENDENCY
_log = logging.getLogger(__name__)
Code = grpc.StatusCode


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told."""

    status: grpc.StatusCode
    code: str
    message: str
    fault: "ErrorDetail.Fault"
    retryable: bool = False
    violations: tuple[Violation, ...] = ()
    retry_after_s: float | None = None

    def metadata(self, correlation_id: str) -> tuple[tuple[str, str | bytes], ...]:
        """The trailers."""
        trailers: list[tuple[str, str | bytes]] = [
            (METADATA, correlation_id),
            (DETAILS, self._details(correlation_id).SerializeToString()),
        ]
        if self.retry_after_s is not None:
            trailers.append((RETRY_AFTER, str(max(1, ceil(self.retry_after_s)))))
        return tuple(trailers)

    def _details(self, correlation_id: str) -> Status:
        status = Status(code=self.status.value[0], message=self.message)
        detail = ErrorDetail(
            code=self.code,
            message=self.message,
            fault=self.fault,
            retryable=self.retryable,
            correlation_id=correlation_id,
            field=self.violations[0].field if self.violations else "",
        )
        status.details.add().Pack(detail)
        if self.violations:
            fields = [
                BadRequest.FieldViolation(field=one.field, description=one.description)
                for one in self.violations
            ]
            status.details.add().Pack(BadRequest(field_violations=fields))
        if self.retry_after_s is not None:
            delay = Duration()
            delay.FromMilliseconds(ceil(self.retry_after_s * 1000))
            status.details.add().Pack(RetryInfo(retry_delay=delay))
        return status


class RelayedError(Exception):
    """Another replica has refused what it was brought: the client hears that."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"another replica refused: {refusal.code}")
        self.refusal = refusal


def _unauthenticated(error: UnauthenticatedError) -> Refusal:
    status = Code.PERMISSION_DENIED if error.forbidden else Code.UNAUTHENTICATED
    violation = Violation(error.field, error.message)
    return Refusal(status, error.code, error.message, _CALLER, violations=(violation,))


def _invalid(error: InvalidRequestError) -> Refusal:
    code, message = error.code, error.message
    return Refusal(Code.INVALID_ARGUMENT, code, message, _CALLER, violations=error.violations)


def _too_many(error: TooManyRequestsError) -> Refusal:
    return Refusal(
        Code.RESOURCE_EXHAUSTED, error.code, error.message, _CALLER, True,
        violations=(Violation(AUTHORIZATION, error.message),), retry_after_s=error.retry_after_s,
    )  # fmt: skip


def _parameters(error: ParametersError) -> Refusal:
    violation = Violation(error.field, error.reason)
    message = "the request is not valid"
    return Refusal(
        Code.INVALID_ARGUMENT, "INVALID_REQUEST", message, _CALLER, violations=(violation,)
    )


def _locked(error: LockedOutError) -> Refusal:
    left = (error.until - datetime.now(UTC)).total_seconds()
    return Refusal(
        Code.RESOURCE_EXHAUSTED, "LOCKED_OUT", str(error), _CALLER, True,
        retry_after_s=max(1.0, left),
    )  # fmt: skip


def _reused(error: TransactionReusedError) -> Refusal:
    violation = Violation(error.field, str(error))
    return Refusal(
        Code.ALREADY_EXISTS, "TRANSACTION_REUSED", str(error), _CALLER, violations=(violation,)
    )


def _too_large(error: ContextTooLargeError) -> Refusal:
    violation = Violation("customer_data", f"would be longer than {error.limit} bytes")
    return Refusal(
        Code.INVALID_ARGUMENT, "CONTEXT_TOO_LARGE", str(error), _CALLER, violations=(violation,)
    )


def _overloaded(error: OverloadedError) -> Refusal:
    return Refusal(
        Code.RESOURCE_EXHAUSTED, error.code, error.message, _SERVICE, True, retry_after_s=1.0
    )


def _soon(
    error: StreamBusyError | NoWorkerError | SessionAwayError | SessionElsewhereError,
) -> Refusal:
    return Refusal(Code.UNAVAILABLE, error.code, error.message, _SERVICE, True, retry_after_s=1.0)


def _plain(
    status: grpc.StatusCode,
    code: str,
    fault: "ErrorDetail.Fault" = _CALLER,
    *,
    retryable: bool = False,
    message: str = "",
    field: str = "",
) -> Callable[[Any], Refusal]:
    """An error without anything of its own; its text is constant."""

    def make(error: Exception) -> Refusal:
        said = message or str(error)
        violations = (Violation(field, said),) if field else ()
        named = code or str(getattr(error, "code", ""))
        return Refusal(status, named, said, fault, retryable, violations)

    return make


_STORE: Final = "the store cannot be reached"
_TRANSLATIONS: Final[tuple[tuple[type[Exception], Callable[[Any], Refusal]], ...]] = (
    (UnauthenticatedError, _unauthenticated),
    (TooManyRequestsError, _too_many),
    (InvalidRequestError, _invalid),
    (OverloadedError, _overloaded),
    (
        EngineFailedError,
        _plain(
            Code.UNAVAILABLE, "ENGINE_FAILED", _SERVICE, retryable=True, message="an engine failed"
        ),
    ),
    (
        StoppedError,
        _plain(
            Code.UNAVAILABLE, "STOPPED", _SERVICE, retryable=True, message="the work was given up"
        ),
    ),
    (WrongStateError, _plain(Code.FAILED_PRECONDITION, "")),
    (StreamTakenOverError, _plain(Code.ABORTED, "", field="session_id")),
    (StreamBusyError, _soon),
    (NoWorkerError, _soon),
    (SessionAwayError, _soon),
    (SessionElsewhereError, _soon),
    (RelayedError, lambda error: error.refusal),
    (NotFoundError, _plain(Code.NOT_FOUND, "")),
    (SessionNotFoundError, _plain(Code.NOT_FOUND, "SESSION_NOT_FOUND", field="session_id")),
    (SessionEndedError, _plain(Code.FAILED_PRECONDITION, "SESSION_ENDED", field="session_id")),
    (
        SessionChangedError,
        _plain(
            Code.ABORTED, "VERSION_CONFLICT",
            message="another change came first", field="expected_version",
        ),
    ),
    (SessionExistsError, _plain(Code.ALREADY_EXISTS, "SESSION_EXISTS", field="session_id")),
    (ContextNotFoundError, _plain(Code.NOT_FOUND, "CONTEXT_NOT_FOUND", field="session_id")),
    (
        VersionConflictError,
        _plain(
            Code.ABORTED, "VERSION_CONFLICT",
            message="another change came first", field="expected_version",
        ),
    ),
    (ContextTooLargeError, _too_large),
    (LockedOutError, _locked),
    (ProofsUnderWayError, _plain(Code.ABORTED, "PROOFS_UNDER_WAY", _SERVICE, retryable=True)),
    (ProofLapsedError, _plain(Code.FAILED_PRECONDITION, "PROOF_LAPSED", field="request_id")),
    (TooManyCodesError, _plain(Code.RESOURCE_EXHAUSTED, "TOO_MANY_CODES")),
    (ParametersError, _parameters),
    (NotVerifiedError, _plain(Code.PERMISSION_DENIED, "NOT_VERIFIED")),
    (TransactionReusedError, _reused),
    (IntentNotFoundError, _plain(Code.UNIMPLEMENTED, "INTENT_NOT_FOUND", _DEPENDENCY)),
    (
        BankUnavailableError,
        _plain(
            Code.UNAVAILABLE, "BANK_UNAVAILABLE", _DEPENDENCY,
            retryable=True, message="the bank cannot be reached",
        ),
    ),
    (
        BankProtocolError,
        _plain(Code.INTERNAL, "BANK_PROTOCOL", _DEPENDENCY, message="the bank's answer is none"),
    ),
    (
        BankingError,
        _plain(Code.INTERNAL, "BANK_REFUSED", _SERVICE, message="the bank refused the request"),
    ),
    (
        StoreUnavailableError,
        _plain(Code.UNAVAILABLE, "STORE_UNAVAILABLE", _DEPENDENCY, retryable=True, message=_STORE),
    ),
    (
        SealError,
        _plain(Code.DATA_LOSS, "UNREADABLE_RECORD", _SERVICE, message="the record cannot be read"),
    ),
)  # fmt: skip
_UNKNOWN: Final = Refusal(Code.INTERNAL, "INTERNAL", "the service failed", _SERVICE)


def refusal_of(error: Exception) -> Refusal:
    """What the client is told of an error; one that is not known here is logged."""
    for kind, translate in _TRANSLATIONS:
        if isinstance(error, kind):
            return translate(error)
    # The error's own text may hold what was in the request: its type and place are enough.
    _log.error("a request failed", extra={"error": type(error).__name__, "where": _place(error)})
    return _UNKNOWN


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_globals.get('__name__', '')}:{trace.tb_lineno}"
