import datetime

from callfleet.v1 import common_pb2 as _common_pb2
from callfleet.v1 import session_pb2 as _session_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateSessionRequest(_message.Message):
    __slots__ = ("caller_phone", "dialed_number", "sip_call_id", "format", "sample_rate", "session_id", "correlation_id")
    CALLER_PHONE_FIELD_NUMBER: _ClassVar[int]
    DIALED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    caller_phone: str
    dialed_number: str
    sip_call_id: str
    format: _common_pb2.AudioFormat
    sample_rate: int
    session_id: str
    correlation_id: str
    def __init__(self, caller_phone: _Optional[str] = ..., dialed_number: _Optional[str] = ..., sip_call_id: _Optional[str] = ..., format: _Optional[_Union[_common_pb2.AudioFormat, str]] = ..., sample_rate: _Optional[int] = ..., session_id: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class SessionStatusRequest(_message.Message):
    __slots__ = ("session_id", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class SessionStatusResponse(_message.Message):
    __slots__ = ("session_id", "status", "activity", "started_at", "duration", "turns", "epoch", "correlation_id")
    class Activity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTIVITY_UNSPECIFIED: _ClassVar[SessionStatusResponse.Activity]
        ACTIVITY_LISTENING: _ClassVar[SessionStatusResponse.Activity]
        ACTIVITY_HEARING: _ClassVar[SessionStatusResponse.Activity]
        ACTIVITY_THINKING: _ClassVar[SessionStatusResponse.Activity]
        ACTIVITY_SPEAKING: _ClassVar[SessionStatusResponse.Activity]
    ACTIVITY_UNSPECIFIED: SessionStatusResponse.Activity
    ACTIVITY_LISTENING: SessionStatusResponse.Activity
    ACTIVITY_HEARING: SessionStatusResponse.Activity
    ACTIVITY_THINKING: SessionStatusResponse.Activity
    ACTIVITY_SPEAKING: SessionStatusResponse.Activity
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    status: _session_pb2.SessionStatus
    activity: SessionStatusResponse.Activity
    started_at: _timestamp_pb2.Timestamp
    duration: _duration_pb2.Duration
    turns: int
    epoch: int
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., status: _Optional[_Union[_session_pb2.SessionStatus, str]] = ..., activity: _Optional[_Union[SessionStatusResponse.Activity, str]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., turns: _Optional[int] = ..., epoch: _Optional[int] = ..., correlation_id: _Optional[str] = ...) -> None: ...
