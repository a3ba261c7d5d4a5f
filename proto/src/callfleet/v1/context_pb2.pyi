import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_CALLER: _ClassVar[Role]
    ROLE_AGENT: _ClassVar[Role]
    ROLE_SYSTEM: _ClassVar[Role]
    ROLE_TOOL: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
ROLE_CALLER: Role
ROLE_AGENT: Role
ROLE_SYSTEM: Role
ROLE_TOOL: Role

class ConversationMessage(_message.Message):
    __slots__ = ("role", "content", "timestamp", "turn", "interrupted")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    role: Role
    content: str
    timestamp: _timestamp_pb2.Timestamp
    turn: int
    interrupted: bool
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., content: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., turn: _Optional[int] = ..., interrupted: _Optional[bool] = ...) -> None: ...

class ConversationContext(_message.Message):
    __slots__ = ("context_id", "session_id", "conversation_history", "current_intent", "customer_data", "last_updated", "expires_at", "correlation_id", "version")
    CONTEXT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_HISTORY_FIELD_NUMBER: _ClassVar[int]
    CURRENT_INTENT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_UPDATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    context_id: str
    session_id: str
    conversation_history: _containers.RepeatedCompositeFieldContainer[ConversationMessage]
    current_intent: str
    customer_data: _struct_pb2.Struct
    last_updated: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    correlation_id: str
    version: int
    def __init__(self, context_id: _Optional[str] = ..., session_id: _Optional[str] = ..., conversation_history: _Optional[_Iterable[_Union[ConversationMessage, _Mapping]]] = ..., current_intent: _Optional[str] = ..., customer_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., last_updated: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., correlation_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class ContextRequest(_message.Message):
    __slots__ = ("session_id", "history_limit", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HISTORY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    history_limit: int
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., history_limit: _Optional[int] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class ContextUpdateRequest(_message.Message):
    __slots__ = ("session_id", "append", "current_intent", "customer_data", "ttl", "expected_version", "request_id", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    CURRENT_INTENT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_DATA_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    append: _containers.RepeatedCompositeFieldContainer[ConversationMessage]
    current_intent: str
    customer_data: _struct_pb2.Struct
    ttl: _duration_pb2.Duration
    expected_version: int
    request_id: str
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., append: _Optional[_Iterable[_Union[ConversationMessage, _Mapping]]] = ..., current_intent: _Optional[str] = ..., customer_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., expected_version: _Optional[int] = ..., request_id: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class ContextResponse(_message.Message):
    __slots__ = ("session_id", "context_id", "version", "expires_at", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    context_id: str
    version: int
    expires_at: _timestamp_pb2.Timestamp
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., context_id: _Optional[str] = ..., version: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class CleanupRequest(_message.Message):
    __slots__ = ("session_id", "expired", "dry_run", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    expired: bool
    dry_run: bool
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., expired: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class CleanupResponse(_message.Message):
    __slots__ = ("removed", "correlation_id")
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    removed: int
    correlation_id: str
    def __init__(self, removed: _Optional[int] = ..., correlation_id: _Optional[str] = ...) -> None: ...
