import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AudioFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIO_FORMAT_UNSPECIFIED: _ClassVar[AudioFormat]
    AUDIO_FORMAT_PCM_S16LE: _ClassVar[AudioFormat]
    AUDIO_FORMAT_PCMU: _ClassVar[AudioFormat]
    AUDIO_FORMAT_PCMA: _ClassVar[AudioFormat]

class ProviderStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROVIDER_STAGE_UNSPECIFIED: _ClassVar[ProviderStage]
    PROVIDER_STAGE_VAD: _ClassVar[ProviderStage]
    PROVIDER_STAGE_ASR: _ClassVar[ProviderStage]
    PROVIDER_STAGE_LLM: _ClassVar[ProviderStage]
    PROVIDER_STAGE_TTS: _ClassVar[ProviderStage]
AUDIO_FORMAT_UNSPECIFIED: AudioFormat
AUDIO_FORMAT_PCM_S16LE: AudioFormat
AUDIO_FORMAT_PCMU: AudioFormat
AUDIO_FORMAT_PCMA: AudioFormat
PROVIDER_STAGE_UNSPECIFIED: ProviderStage
PROVIDER_STAGE_VAD: ProviderStage
PROVIDER_STAGE_ASR: ProviderStage
PROVIDER_STAGE_LLM: ProviderStage
PROVIDER_STAGE_TTS: ProviderStage

class AudioChunk(_message.Message):
    __slots__ = ("audio_data", "sample_rate", "format", "timestamp", "session_id", "sequence_number", "end_of_utterance", "correlation_id")
    AUDIO_DATA_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    END_OF_UTTERANCE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    audio_data: bytes
    sample_rate: int
    format: AudioFormat
    timestamp: int
    session_id: str
    sequence_number: int
    end_of_utterance: bool
    correlation_id: str
    def __init__(self, audio_data: _Optional[bytes] = ..., sample_rate: _Optional[int] = ..., format: _Optional[_Union[AudioFormat, str]] = ..., timestamp: _Optional[int] = ..., session_id: _Optional[str] = ..., sequence_number: _Optional[int] = ..., end_of_utterance: _Optional[bool] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("code", "message", "fault", "retryable", "correlation_id", "field")
    class Fault(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FAULT_UNSPECIFIED: _ClassVar[ErrorDetail.Fault]
        FAULT_CALLER: _ClassVar[ErrorDetail.Fault]
        FAULT_SERVICE: _ClassVar[ErrorDetail.Fault]
        FAULT_DEPENDENCY: _ClassVar[ErrorDetail.Fault]
    FAULT_UNSPECIFIED: ErrorDetail.Fault
    FAULT_CALLER: ErrorDetail.Fault
    FAULT_SERVICE: ErrorDetail.Fault
    FAULT_DEPENDENCY: ErrorDetail.Fault
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    fault: ErrorDetail.Fault
    retryable: bool
    correlation_id: str
    field: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., fault: _Optional[_Union[ErrorDetail.Fault, str]] = ..., retryable: _Optional[bool] = ..., correlation_id: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class ConfigurationResponse(_message.Message):
    __slots__ = ("correlation_id", "applied", "message", "effective_at")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    applied: bool
    message: str
    effective_at: _timestamp_pb2.Timestamp
    def __init__(self, correlation_id: _Optional[str] = ..., applied: _Optional[bool] = ..., message: _Optional[str] = ..., effective_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProviderSelectionRequest(_message.Message):
    __slots__ = ("session_id", "stage", "provider", "fallbacks", "correlation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    stage: ProviderStage
    provider: str
    fallbacks: _containers.RepeatedScalarFieldContainer[str]
    correlation_id: str
    def __init__(self, session_id: _Optional[str] = ..., stage: _Optional[_Union[ProviderStage, str]] = ..., provider: _Optional[str] = ..., fallbacks: _Optional[_Iterable[str]] = ..., correlation_id: _Optional[str] = ...) -> None: ...
