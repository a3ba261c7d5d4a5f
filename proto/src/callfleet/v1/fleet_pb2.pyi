from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PodState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POD_STATE_UNSPECIFIED: _ClassVar[PodState]
    POD_STATE_SERVING: _ClassVar[PodState]
    POD_STATE_DRAINING: _ClassVar[PodState]
POD_STATE_UNSPECIFIED: PodState
POD_STATE_SERVING: PodState
POD_STATE_DRAINING: PodState

class PodIntent(_message.Message):
    __slots__ = ("correlation_id", "epoch", "state", "row_confirmed_inactive", "pod_uid")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROW_CONFIRMED_INACTIVE_FIELD_NUMBER: _ClassVar[int]
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    epoch: int
    state: PodState
    row_confirmed_inactive: bool
    pod_uid: str
    def __init__(self, correlation_id: _Optional[str] = ..., epoch: _Optional[int] = ..., state: _Optional[_Union[PodState, str]] = ..., row_confirmed_inactive: _Optional[bool] = ..., pod_uid: _Optional[str] = ...) -> None: ...

class PodReport(_message.Message):
    __slots__ = ("correlation_id", "pod_uid", "accepted_epoch", "state", "calls", "capacity", "terminating", "slo", "revision")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    TERMINATING_FIELD_NUMBER: _ClassVar[int]
    SLO_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    pod_uid: str
    accepted_epoch: int
    state: PodState
    calls: int
    capacity: int
    terminating: bool
    slo: Slo
    revision: str
    def __init__(self, correlation_id: _Optional[str] = ..., pod_uid: _Optional[str] = ..., accepted_epoch: _Optional[int] = ..., state: _Optional[_Union[PodState, str]] = ..., calls: _Optional[int] = ..., capacity: _Optional[int] = ..., terminating: _Optional[bool] = ..., slo: _Optional[_Union[Slo, _Mapping]] = ..., revision: _Optional[str] = ...) -> None: ...

class Slo(_message.Message):
    __slots__ = ("calls_offered", "calls_answered", "calls_refused", "calls_failed", "provider_errors", "turns", "response_counts", "response_limits_ms", "workers_lost", "started_unix_ms")
    CALLS_OFFERED_FIELD_NUMBER: _ClassVar[int]
    CALLS_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    CALLS_REFUSED_FIELD_NUMBER: _ClassVar[int]
    CALLS_FAILED_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ERRORS_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_LIMITS_MS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_LOST_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    calls_offered: int
    calls_answered: int
    calls_refused: int
    calls_failed: int
    provider_errors: int
    turns: int
    response_counts: _containers.RepeatedScalarFieldContainer[int]
    response_limits_ms: _containers.RepeatedScalarFieldContainer[int]
    workers_lost: int
    started_unix_ms: int
    def __init__(self, calls_offered: _Optional[int] = ..., calls_answered: _Optional[int] = ..., calls_refused: _Optional[int] = ..., calls_failed: _Optional[int] = ..., provider_errors: _Optional[int] = ..., turns: _Optional[int] = ..., response_counts: _Optional[_Iterable[int]] = ..., response_limits_ms: _Optional[_Iterable[int]] = ..., workers_lost: _Optional[int] = ..., started_unix_ms: _Optional[int] = ...) -> None: ...
