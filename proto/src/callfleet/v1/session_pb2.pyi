import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATUS_UNSPECIFIED: _ClassVar[SessionStatus]
    SESSION_STATUS_ACTIVE: _ClassVar[SessionStatus]
    SESSION_STATUS_COMPLETED: _ClassVar[SessionStatus]
    SESSION_STATUS_FAILED: _ClassVar[SessionStatus]
    SESSION_STATUS_INTERRUPTED: _ClassVar[SessionStatus]
SESSION_STATUS_UNSPECIFIED: SessionStatus
SESSION_STATUS_ACTIVE: SessionStatus
SESSION_STATUS_COMPLETED: SessionStatus
SESSION_STATUS_FAILED: SessionStatus
SESSION_STATUS_INTERRUPTED: SessionStatus

class CallSession(_message.Message):
    __slots__ = ("session_id", "caller_phone", "call_start_time", "call_end_time", "sip_call_id", "status", "ai_provider_config", "created_at", "updated_at", "correlation_id", "avc_instance", "voice_agent", "version")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_PHONE_FIELD_NUMBER: _ClassVar[int]
    CALL_START_TIME_FIELD_NUMBER: _ClassVar[int]
    CALL_END_TIME_FIELD_NUMBER: _ClassVar[int]
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AI_PROVIDER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    AVC_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    VOICE_AGENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    caller_phone: str
    call_start_time: _timestamp_pb2.Timestamp
    call_end_time: _timestamp_pb2.Timestamp
    sip_call_id: str
    status: SessionStatus
    ai_provider_config: _struct_pb2.Struct
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    correlation_id: str
    avc_instance: str
    voice_agent: str
    version: int
    def __init__(self, session_id: _Optional[str] = ..., caller_phone: _Optional[str] = ..., call_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., call_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sip_call_id: _Optional[str] = ..., status: _Optional[_Union[SessionStatus, str]] = ..., ai_provider_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., correlation_id: _Optional[str] = ..., avc_instance: _Optional[str] = ..., voice_agent: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("session_id", "status", "message", "correlation_id", "version")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    status: SessionStatus
    message: str
    correlation_id: str
    version: int
    def __init__(self, session_id: _Optional[str] = ..., status: _Optional[_Union[SessionStatus, str]] = ..., message: _Optional[str] = ..., correlation_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class UpdateSessionRequest(_message.Message):
    __slots__ = ("session", "update_mask", "request_id", "correlation_id", "expected_version")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    session: CallSession
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    correlation_id: str
    expected_version: int
    def __init__(self, session: _Optional[_Union[CallSession, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id", "sip_call_id", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    sip_call_id: str
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., sip_call_id: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class FindInterruptedRequest(_message.Message):
    __slots__ = ("caller_phone", "sip_call_id", "session_id", "within", "correlation_id")
    CALLER_PHONE_FIELD_NUMBER: _ClassVar[int]
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    caller_phone: str
    sip_call_id: str
    session_id: str
    within: _duration_pb2.Duration
    correlation_id: str
    def __init__(self, caller_phone: _Optional[str] = ..., sip_call_id: _Optional[str] = ..., session_id: _Optional[str] = ..., within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class FindInterruptedResponse(_message.Message):
    __slots__ = ("session", "correlation_id")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session: CallSession
    correlation_id: str
    def __init__(self, session: _Optional[_Union[CallSession, _Mapping]] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class EndSessionRequest(_message.Message):
    __slots__ = ("session_id", "reason", "call_end_time", "correlation_id")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[EndSessionRequest.Reason]
        REASON_COMPLETED: _ClassVar[EndSessionRequest.Reason]
        REASON_FAILED: _ClassVar[EndSessionRequest.Reason]
        REASON_INTERRUPTED: _ClassVar[EndSessionRequest.Reason]
    REASON_UNSPECIFIED: EndSessionRequest.Reason
    REASON_COMPLETED: EndSessionRequest.Reason
    REASON_FAILED: EndSessionRequest.Reason
    REASON_INTERRUPTED: EndSessionRequest.Reason
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CALL_END_TIME_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    reason: EndSessionRequest.Reason
    call_end_time: _timestamp_pb2.Timestamp
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., reason: _Optional[_Union[EndSessionRequest.Reason, str]] = ..., call_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., correlation_id: _Optional[str] = ...) -> None: ...
