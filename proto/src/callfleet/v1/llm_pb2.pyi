from callfleet.v1 import context_pb2 as _context_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TextProcessingRequest(_message.Message):
    __slots__ = ("text", "session_id", "context", "intent", "language", "correlation_id")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    text: str
    session_id: str
    context: _context_pb2.ConversationContext
    intent: str
    language: str
    correlation_id: str
    def __init__(self, text: _Optional[str] = ..., session_id: _Optional[str] = ..., context: _Optional[_Union[_context_pb2.ConversationContext, _Mapping]] = ..., intent: _Optional[str] = ..., language: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class TextResponse(_message.Message):
    __slots__ = ("text", "finish_reason", "intent", "confidence", "provider", "session_id", "correlation_id")
    class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FINISH_REASON_UNSPECIFIED: _ClassVar[TextResponse.FinishReason]
        FINISH_REASON_STOP: _ClassVar[TextResponse.FinishReason]
        FINISH_REASON_LENGTH: _ClassVar[TextResponse.FinishReason]
        FINISH_REASON_GOODBYE: _ClassVar[TextResponse.FinishReason]
        FINISH_REASON_FILTERED: _ClassVar[TextResponse.FinishReason]
    FINISH_REASON_UNSPECIFIED: TextResponse.FinishReason
    FINISH_REASON_STOP: TextResponse.FinishReason
    FINISH_REASON_LENGTH: TextResponse.FinishReason
    FINISH_REASON_GOODBYE: TextResponse.FinishReason
    FINISH_REASON_FILTERED: TextResponse.FinishReason
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    text: str
    finish_reason: TextResponse.FinishReason
    intent: str
    confidence: float
    provider: str
    session_id: str
    correlation_id: str
    def __init__(self, text: _Optional[str] = ..., finish_reason: _Optional[_Union[TextResponse.FinishReason, str]] = ..., intent: _Optional[str] = ..., confidence: _Optional[float] = ..., provider: _Optional[str] = ..., session_id: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...
