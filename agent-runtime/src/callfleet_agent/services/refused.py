"""What a service said no with, as its client reads it: our own details, or gRPC's bare status."""

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from callfleet.v1.common_pb2 import ErrorDetail
from callfleet_agent.services.errors import Violation
from callfleet_agent.services.refusals import DETAILS, Refusal


@dataclass(frozen=True, slots=True)
class Refused:
    """`code` is the service's own word, empty when it did not speak; `retryable` as it says."""

    status: grpc.StatusCode
    code: str = ""
    retryable: bool = False

    @property
    def is_the_services(self) -> bool:
        """Whether the service itself said it."""
        return bool(self.code)


def refused(error: grpc.aio.AioRpcError) -> Refused:
    """What the error says."""
    detail = ErrorDetail()
    if _unpacked(_status_in(error), detail):
        return Refused(error.code(), detail.code, detail.retryable)
    return Refused(error.code())


def refusal_in(error: grpc.aio.AioRpcError) -> Refusal | None:
    """The service's own refusal as it was made; None when the service did not speak."""
    status, detail = _status_in(error), ErrorDetail()
    if not _unpacked(status, detail):
        return None
    bad, retry = BadRequest(), RetryInfo()
    _unpacked(status, bad)
    after_s = retry.retry_delay.ToTimedelta().total_seconds() if _unpacked(status, retry) else None
    return Refusal(
        status=error.code(),
        code=detail.code,
        message=detail.message,
        fault=detail.fault,
        retryable=detail.retryable,
        violations=tuple(Violation(one.field, one.description) for one in bad.field_violations),
        retry_after_s=after_s,
    )


def _status_in(error: grpc.aio.AioRpcError) -> Status:
    trailers: Any = error.trailing_metadata() or ()
    try:
        return Status.FromString(next((value for name, value in trailers if name == DETAILS), b""))
    except (DecodeError, TypeError):
        return Status()


def _unpacked(status: Status, into: Message) -> bool:
    try:
        return any(entry.Unpack(into) for entry in status.details)
    except DecodeError:
        return False
