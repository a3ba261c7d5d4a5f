"""The gRPC contract: the eight services, their RPCs, and what every message must have."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

PROTOS = Path(__file__).parents[4] / "proto" / "callfleet" / "v1"
FILES: list[FileDescriptor] = [
    import_module(f"callfleet.v1.{path.stem}_pb2").DESCRIPTOR
    for path in sorted(PROTOS.glob("*.proto"))
]

# service: {rpc: (request, client streams, response, server streams)}
SERVICES = {
    "AIVoiceConnectorService": {
        "CreateSession": ("CreateSessionRequest", False, "SessionResponse", False),
        "ProcessAudioStream": ("AudioChunk", True, "AudioChunk", True),
        "EndSession": ("EndSessionRequest", False, "SessionResponse", False),
        "GetSessionStatus": ("SessionStatusRequest", False, "SessionStatusResponse", False),
    },
    "SessionManagerService": {
        "CreateSession": ("CallSession", False, "SessionResponse", False),
        "UpdateSession": ("UpdateSessionRequest", False, "SessionResponse", False),
        "GetSession": ("GetSessionRequest", False, "CallSession", False),
        "FindInterrupted": ("FindInterruptedRequest", False, "FindInterruptedResponse", False),
        "EndSession": ("EndSessionRequest", False, "SessionResponse", False),
    },
    "VADService": {
        "ProcessAudio": ("AudioChunk", True, "VADResult", True),
        "Configure": ("VADConfiguration", False, "ConfigurationResponse", False),
    },
    "ASRService": {
        "RecognizeSpeech": ("AudioChunk", True, "RecognitionResult", True),
        "SelectProvider": ("ProviderSelectionRequest", False, "ConfigurationResponse", False),
    },
    "LLMService": {
        "ProcessText": ("TextProcessingRequest", False, "TextResponse", True),
        "UpdateContext": ("ContextUpdateRequest", False, "ContextResponse", False),
    },
    "TTSService": {
        "SynthesizeText": ("TextSynthesisRequest", False, "AudioChunk", True),
        "SelectVoice": ("VoiceSelectionRequest", False, "ConfigurationResponse", False),
    },
    "ContextStoreService": {
        "GetContext": ("ContextRequest", False, "ConversationContext", False),
        "UpdateContext": ("ContextUpdateRequest", False, "ContextResponse", False),
        "CleanupContext": ("CleanupRequest", False, "CleanupResponse", False),
    },
    "BankingService": {
        "AuthenticateCustomer": (
            "AuthenticationRequest",
            False,
            "AuthenticationResponse",
            False,
        ),
        "QueryCardDelivery": ("CardDeliveryRequest", False, "CardDeliveryResponse", False),
        "ProcessTransaction": ("TransactionRequest", False, "TransactionResponse", False),
    },
    "AgentPodService": {"Control": ("PodIntent", True, "PodReport", True)},
}

# What the contract numbered from its beginning: {message: {field: (number, type)}}. A message may
# get more fields; these stay as they are.
T = FieldDescriptor
FIELDS = {
    "AudioChunk": {
        "audio_data": (1, T.TYPE_BYTES),
        "sample_rate": (2, T.TYPE_INT32),
        "format": (3, T.TYPE_ENUM),
        "timestamp": (4, T.TYPE_INT64),
    },
    "SessionResponse": {
        "session_id": (1, T.TYPE_STRING),
        "status": (2, T.TYPE_ENUM),
        "message": (3, T.TYPE_STRING),
    },
    "TextProcessingRequest": {
        "text": (1, T.TYPE_STRING),
        "session_id": (2, T.TYPE_STRING),
        "context": (3, T.TYPE_MESSAGE),
        "intent": (4, T.TYPE_STRING),
    },
}
KINDS = {
    ("AudioChunk", "format"): "AudioFormat",
    ("SessionResponse", "status"): "SessionStatus",
    ("TextProcessingRequest", "context"): "ConversationContext",
}


def test_services_are_those_of_the_contract() -> None:
    found = {
        service.name: {
            method.name: (
                method.input_type.name,
                method.client_streaming,
                method.output_type.name,
                method.server_streaming,
            )
            for method in service.methods
        }
        for file in FILES
        for service in file.services_by_name.values()
    }
    assert SERVICES == found


@pytest.mark.parametrize("name", FIELDS)
def test_fields_keep_their_numbers_and_types(name: str) -> None:
    fields = named(name).fields_by_name
    found = {field: (fields[field].number, fields[field].type) for field in FIELDS[name]}
    assert found == FIELDS[name]
    assert not any(fields[field].is_repeated for field in FIELDS[name])


@pytest.mark.parametrize(("message", "field"), KINDS)
def test_fields_of_other_types_keep_them(message: str, field: str) -> None:
    found = named(message).fields_by_name[field]
    kind = found.enum_type or found.message_type
    assert kind is not None
    assert kind.name == KINDS[message, field]


def named(message: str) -> Descriptor:
    [found] = [
        file.message_types_by_name[message]
        for file in FILES
        if message in file.message_types_by_name
    ]
    return found


def responses() -> list[Descriptor]:
    return [
        method.output_type
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
    ]


@pytest.mark.parametrize("message", responses(), ids=lambda message: str(message.name))
def test_every_response_carries_a_correlation_id(message: Descriptor) -> None:
    field = message.fields_by_name["correlation_id"]
    assert field.type == FieldDescriptor.TYPE_STRING


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(str(file.name)).stem)
def test_every_enum_begins_with_unspecified(file: FileDescriptor) -> None:
    nested = [e for m in file.message_types_by_name.values() for e in m.enum_types]
    for enum in [*file.enum_types_by_name.values(), *nested]:
        first = enum.values[0]
        assert first.number == 0
        assert first.name.endswith("UNSPECIFIED")


@pytest.mark.parametrize("path", sorted(PROTOS.glob("*.proto")), ids=lambda path: str(path.stem))
def test_everything_is_documented(path: Path) -> None:
    lines = path.read_text().splitlines()
    bare = [
        f"{path.name}:{i + 1}: {line.strip()}"
        for i, line in enumerate(lines)
        if is_declaration(line) and not lines[i - 1].strip().startswith("//")
    ]
    assert bare == []


def is_declaration(line: str) -> bool:
    text = line.strip()
    if text.startswith(("//", "option", "import", "package", "syntax", "}")) or not text:
        return False
    return text.endswith(("{", ";"))
