"""The requests of the platform's services by their descriptors: every field that may grow."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from callfleet.v1 import (
    banking_pb2,
    common_pb2,
    connector_pb2,
    context_pb2,
    llm_pb2,
    session_pb2,
    tts_pb2,
    vad_pb2,
)
from rpcs import METHODS

STRUCT, MASK = Struct.DESCRIPTOR.full_name, FieldMask.DESCRIPTOR.full_name
SESSION = "00000000-0000-4000-8000-000000000000"
PCM = common_pb2.AUDIO_FORMAT_PCM_S16LE
_SOUND = common_pb2.AudioChunk(
    audio_data=bytes(320), format=PCM, sample_rate=8000, session_id=SESSION
)
_LEARNED = context_pb2.ContextUpdateRequest(session_id=SESSION)
_CHANGED = session_pb2.UpdateSessionRequest(session=session_pb2.CallSession(session_id=SESSION))
_CHANGED.update_mask.paths.append("avc_instance")
GOOD: dict[str, Message] = {
    f"/callfleet.v1.{rpc}": message
    for rpc, message in {
        "SessionManagerService/CreateSession": session_pb2.CallSession(sip_call_id="a@b"),
        "SessionManagerService/UpdateSession": _CHANGED,
        "SessionManagerService/GetSession": session_pb2.GetSessionRequest(session_id=SESSION),
        "SessionManagerService/FindInterrupted": session_pb2.FindInterruptedRequest(
            caller_phone="+15550123"
        ),
        "SessionManagerService/EndSession": session_pb2.EndSessionRequest(session_id=SESSION),
        "ContextStoreService/GetContext": context_pb2.ContextRequest(session_id=SESSION),
        "ContextStoreService/UpdateContext": _LEARNED,
        "ContextStoreService/CleanupContext": context_pb2.CleanupRequest(session_id=SESSION),
        "BankingService/AuthenticateCustomer": banking_pb2.AuthenticationRequest(
            session_id=SESSION,
            customer_id="200417",
            method=banking_pb2.AUTHENTICATION_METHOD_CARD_LAST_DIGITS,
            credential="4271",
            request_id=SESSION,
        ),
        "BankingService/QueryCardDelivery": banking_pb2.CardDeliveryRequest(
            session_id=SESSION, customer_id="200417"
        ),
        "BankingService/ProcessTransaction": banking_pb2.TransactionRequest(
            transaction_id=SESSION,
            session_id=SESSION,
            customer_id="200417",
            transaction_type=banking_pb2.TRANSACTION_TYPE_CARD_INQUIRY,
        ),
        "AIVoiceConnectorService/CreateSession": connector_pb2.CreateSessionRequest(
            format=PCM, sample_rate=8000
        ),
        "AIVoiceConnectorService/ProcessAudioStream": _SOUND,
        "AIVoiceConnectorService/EndSession": session_pb2.EndSessionRequest(session_id=SESSION),
        "AIVoiceConnectorService/GetSessionStatus": connector_pb2.SessionStatusRequest(
            session_id=SESSION
        ),
        "VADService/ProcessAudio": _SOUND,
        "VADService/Configure": vad_pb2.VADConfiguration(),
        "ASRService/RecognizeSpeech": _SOUND,
        "ASRService/SelectProvider": common_pb2.ProviderSelectionRequest(
            stage=common_pb2.PROVIDER_STAGE_ASR, provider="sphinx"
        ),
        "LLMService/ProcessText": llm_pb2.TextProcessingRequest(text="hello", session_id=SESSION),
        "LLMService/UpdateContext": _LEARNED,
        "TTSService/SynthesizeText": tts_pb2.TextSynthesisRequest(
            text="Hello.", session_id=SESSION, format=PCM, sample_rate=8000
        ),
        "TTSService/SelectVoice": tts_pb2.VoiceSelectionRequest(voice="en-gb"),
    }.items()
}
"""A request of each RPC that is well formed, of a session that there need not be."""

# What the one item of a list has, so that it is well formed.
_ITEMS: dict[str, dict[str, Any]] = {
    "callfleet.v1.ConversationMessage": {"role": context_pb2.ROLE_CALLER, "content": "x"}
}


@dataclass(frozen=True)
class Grown:
    """A request in which one field is what it should not be. `field`: how clients read its path."""

    rpc: str
    field: str
    how: str
    message: Message

    def __str__(self) -> str:
        return f"{self.rpc}: {self.field}, {self.how}"


@dataclass(frozen=True)
class _Place:
    """A field at the end of messages within messages."""

    steps: tuple[FieldDescriptor, ...]

    @property
    def last(self) -> FieldDescriptor:
        return self.steps[-1]

    def field(self, *, of_item: bool) -> str:
        """`append[0].content`; a list itself is named without a number."""
        whole = self.steps if of_item else self.steps[:-1]
        words = [f"{step.name}[0]" if step.is_repeated else step.name for step in whole]
        return ".".join(words if of_item else [*words, self.last.name])

    def within(self, request: Message) -> Any:
        """The message that has the field, made where it is not there yet."""
        inside: Any = request
        for step in self.steps[:-1]:
            inside = getattr(inside, step.name)
            if step.is_repeated:
                inside = inside.add(**_ITEMS.get(_kind(step), {}))
            else:
                inside.SetInParent()
        return inside


def _places(kind: Any, before: tuple[FieldDescriptor, ...] = ()) -> Iterator[_Place]:
    for field in kind.fields:
        here = (*before, field)
        yield _Place(here)
        inner = field.message_type
        if inner is not None and not inner.full_name.startswith("google.protobuf."):
            yield from _places(inner, here)


Change = Callable[[Any], None]


def _case(rpc: str, place: _Place, how: str, change: Change, *, of_item: bool) -> Grown:
    request = METHODS[rpc].input_type._concrete_class()
    request.CopyFrom(GOOD[rpc])
    change(place.within(request))
    return Grown(rpc, place.field(of_item=of_item), how, request)


def _kind(field: FieldDescriptor) -> str:
    return "" if field.message_type is None else str(field.message_type.full_name)


def _set(name: str, value: Any) -> Change:
    def put(at: Any) -> None:
        setattr(at, name, value)

    return put


def _copied(name: str, value: Message) -> Change:
    def put(at: Any) -> None:
        getattr(at, name).CopyFrom(value)

    return put


def _extended(name: str, items: list[Any]) -> Change:
    def put(at: Any) -> None:
        getattr(at, name).extend(items)

    return put


def texts(value: str) -> Iterator[Grown]:
    """Every string of every request, once with this value: also in lists, structures and masks."""
    for rpc, method in METHODS.items():
        for place in _places(method.input_type):
            for how, change in _with_text(place.last, value).items():
                yield _case(rpc, place, how, change, of_item=True)


def _with_text(field: FieldDescriptor, value: str) -> dict[str, Change]:
    name, kind = field.name, _kind(field)
    if field.type == FieldDescriptor.TYPE_STRING:
        return {"text": _extended(name, [value]) if field.is_repeated else _set(name, value)}
    if kind == STRUCT:
        return {how: _copied(name, made) for how, made in _structures(value).items()}
    if kind == MASK:
        return {"path": _copied(name, FieldMask(paths=[value]))}
    return {}


def _structures(value: str) -> dict[str, Struct]:
    text = Value(string_value=value)
    return {
        "value": Struct(fields={"a": text}),
        "name": Struct(fields={value: Value(bool_value=True)}),
        "within": Struct(fields={"a": Value(list_value=ListValue(values=[text]))}),
    }


def lists(count: int) -> Iterator[Grown]:
    """Every list and map of every request, once with so many items."""
    for rpc, method in METHODS.items():
        for place in _places(method.input_type):
            for how, change in _with_items(place.last, count).items():
                yield _case(rpc, place, how, change, of_item=False)


def _with_items(field: FieldDescriptor, count: int) -> dict[str, Change]:
    name, kind = field.name, _kind(field)
    if kind == STRUCT:
        wide = Struct(fields={str(number): Value(bool_value=True) for number in range(count)})
        numbers = ListValue(values=[Value(number_value=12345)] * count)
        long = Struct(fields={"a": Value(list_value=numbers)})
        return {"map": _copied(name, wide), "list within": _copied(name, long)}
    if kind == MASK:
        return {"mask": _copied(name, FieldMask(paths=["avc_instance"] * count))}
    if field.is_repeated:
        made: Any = field.message_type
        one = "a" if made is None else made._concrete_class(**_ITEMS.get(kind, {}))
        return {"list": _extended(name, [one] * count)}
    return {}


def blobs(size: int) -> Iterator[Grown]:
    """Every field of bytes of every request, once with so many."""
    for rpc, method in METHODS.items():
        for place in _places(method.input_type):
            if place.last.type == FieldDescriptor.TYPE_BYTES:
                change = _set(place.last.name, bytes(size))
                yield _case(rpc, place, "bytes", change, of_item=True)
