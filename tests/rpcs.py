"""Every RPC of the platform's services, by its name on the wire."""

from typing import Any, Final

from callfleet.v1 import (
    asr_pb2,
    banking_pb2,
    connector_pb2,
    context_pb2,
    llm_pb2,
    session_pb2,
    tts_pb2,
    vad_pb2,
)

_FILES: Final[tuple[Any, ...]] = (
    session_pb2, context_pb2, banking_pb2, vad_pb2, asr_pb2, llm_pb2, tts_pb2, connector_pb2,
)  # fmt: skip
METHODS: Final[dict[str, Any]] = {
    f"/{service.full_name}/{method.name}": method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
