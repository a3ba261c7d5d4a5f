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
