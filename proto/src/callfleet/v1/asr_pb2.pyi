from callfleet.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecognizedWord(_message.Message):
    __slots__ = ("word", "start", "end", "confidence")
    WORD_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    word: str
    start: int
    end: int
    confidence: float
    def __init__(self, word: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class RecognitionResult(_message.Message):
    __slots__ = ("kind", "text", "confidence", "words", "timestamp", "provider", "language", "correlation_id")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[RecognitionResult.Kind]
        KIND_PARTIAL: _ClassVar[RecognitionResult.Kind]
        KIND_FINAL: _ClassVar[RecognitionResult.Kind]
        KIND_NO_MATCH: _ClassVar[RecognitionResult.Kind]
    KIND_UNSPECIFIED: RecognitionResult.Kind
    KIND_PARTIAL: RecognitionResult.Kind
    KIND_FINAL: RecognitionResult.Kind
    KIND_NO_MATCH: RecognitionResult.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    kind: RecognitionResult.Kind
    text: str
    confidence: float
    words: _containers.RepeatedCompositeFieldContainer[RecognizedWord]
    timestamp: int
    provider: str
    language: str
    correlation_id: str
    def __init__(self, kind: _Optional[_Union[RecognitionResult.Kind, str]] = ..., text: _Optional[str] = ..., confidence: _Optional[float] = ..., words: _Optional[_Iterable[_Union[RecognizedWord, _Mapping]]] = ..., timestamp: _Optional[int] = ..., provider: _Optional[str] = ..., language: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...
