from callfleet.v1 import common_pb2 as _common_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TextSynthesisRequest(_message.Message):
    __slots__ = ("text", "session_id", "voice", "format", "sample_rate", "speed", "correlation_id")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    text: str
    session_id: str
    voice: str
    format: _common_pb2.AudioFormat
    sample_rate: int
    speed: float
    correlation_id: str
    def __init__(self, text: _Optional[str] = ..., session_id: _Optional[str] = ..., voice: _Optional[str] = ..., format: _Optional[_Union[_common_pb2.AudioFormat, str]] = ..., sample_rate: _Optional[int] = ..., speed: _Optional[float] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class VoiceSelectionRequest(_message.Message):
    __slots__ = ("session_id", "voice", "provider", "language", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    voice: str
    provider: str
    language: str
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., voice: _Optional[str] = ..., provider: _Optional[str] = ..., language: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...
