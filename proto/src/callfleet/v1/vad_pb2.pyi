from callfleet.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VADState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VAD_STATE_UNSPECIFIED: _ClassVar[VADState]
    VAD_STATE_QUIET: _ClassVar[VADState]
    VAD_STATE_STARTING: _ClassVar[VADState]
    VAD_STATE_SPEAKING: _ClassVar[VADState]
    VAD_STATE_STOPPING: _ClassVar[VADState]
VAD_STATE_UNSPECIFIED: VADState
VAD_STATE_QUIET: VADState
VAD_STATE_STARTING: VADState
VAD_STATE_SPEAKING: VADState
VAD_STATE_STOPPING: VADState

class VADResult(_message.Message):
    __slots__ = ("state", "confidence", "timestamp", "level_dbfs", "correlation_id")
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    LEVEL_DBFS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    state: VADState
    confidence: float
    timestamp: int
    level_dbfs: float
    correlation_id: str
    def __init__(self, state: _Optional[_Union[VADState, str]] = ..., confidence: _Optional[float] = ..., timestamp: _Optional[int] = ..., level_dbfs: _Optional[float] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class VADConfiguration(_message.Message):
    __slots__ = ("session_id", "confidence_threshold", "start_milliseconds", "stop_milliseconds", "minimum_level_dbfs", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    START_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    STOP_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_LEVEL_DBFS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    confidence_threshold: float
    start_milliseconds: int
    stop_milliseconds: int
    minimum_level_dbfs: float
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., confidence_threshold: _Optional[float] = ..., start_milliseconds: _Optional[int] = ..., stop_milliseconds: _Optional[int] = ..., minimum_level_dbfs: _Optional[float] = ..., correlation_id: _Optional[str] = ...) -> None: ...
