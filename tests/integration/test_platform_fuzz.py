"""Every RPC with bytes and structures that nobody meant: an answer or a refusal, never a crash, a
hang or an inside that shows. Bounded to seconds."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from callfleet.v1 import banking_pb2, context_pb2, session_pb2, tts_pb2, vad_pb2
from callfleet_agent.services.policy import POLICY
from identities import AGENT, CLIENT, channel
from platform_rig import Rig, rigged
from stores import Server, migrated

ROLES = ("session-manager", "context-store", "banking", "vad", "tts")
FILES = (session_pb2, context_pb2, banking_pb2, vad_pb2, tts_pb2)
ROUNDS = 25
EXPECTED = {
    grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED,
}  # fmt: skip
TEXTS = (
    "", "x", "\0", "🙂" * 50, "a" * 9000, "-1", "' OR 1=1 --", "../../etc/passwd", "%s%n{0}",
    "00000000-0000-4000-8000-000000000001", "+15550100", "200417", "4271",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 4, 99, 8000, 16000, 2**31 - 1, -1)


def methods() -> list[Any]:
    return [
        method
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def number(field: Any, choose: random.Random) -> Any:
    low = 0 if "UINT" in TYPES[field.type] else -1
    value = choose.choice(NUMBERS)
    return max(low, value)


TYPES = {value: name for name, value in vars(FieldDescriptor).items() if name.startswith("TYPE_")}


def value_of(field: Any, choose: random.Random) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return (
            choose.randbytes(choose.randint(0, 400))
            if field.type == FieldDescriptor.TYPE_BYTES
            else choose.choice(TEXTS)
        )
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return choose.random() < 0.5
    if kind in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        return choose.choice((0.0, 1.0, -1.0, 1e30, float("nan"), float("inf")))
    return number(field, choose)


def fill(message: Message, choose: random.Random, depth: int = 3) -> None:
    """Random values in random fields."""
    for field in message.DESCRIPTOR.fields:
        if choose.random() < 0.3:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if depth:  # of Struct
                entry = message.fields[choose.choice(TEXTS)]  # type: ignore[attr-defined]
                fill(entry, choose, depth - 1)
        elif field.message_type is not None:
            if not depth:
                continue
            target = getattr(message, field.name)
            if field.is_repeated:
                for _ in range(choose.randint(0, 3)):
                    fill(target.add(), choose, depth - 1)
            else:
                target.SetInParent()
                fill(target, choose, depth - 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(value_of(field, choose) for _ in range(2))
        else:
            setattr(message, field.name, value_of(field, choose))


def mutated(data: bytes, choose: random.Random) -> bytes:
    """The bytes with some changed, some gone, some more."""
    changed = bytearray(data or b"\x0a\x01x")
    for _ in range(choose.randint(1, 4)):
        changed[choose.randrange(len(changed))] = choose.randrange(256)
    return bytes(changed[: choose.randint(1, len(changed))]) + choose.randbytes(
        choose.choice((0, 0, 7))
    )


@pytest.fixture
async def rig(tmp_path: Path, postgres: Server, redis_server: Server) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    more: dict[str, Any] = {"roles": ROLES, "burst": 1e6, "per_minute": 6e7}
    more["agents_per_minute"] = 6e7
    async with rigged(tmp_path, postgres.url, redis_server.url, **more) as running:
        yield running


async def code_of(on: grpc.aio.Channel, method: Any, raw: bytes, metadata: Any) -> grpc.StatusCode:
    path = f"/{method.containing_service.full_name}/{method.name}"
    raw_channel: Any = on
    kinds = {
        (False, False): raw_channel.unary_unary,
        (False, True): raw_channel.unary_stream,
        (True, True): raw_channel.stream_stream,
    }
    rpc = kinds[method.client_streaming, method.server_streaming](path)
    request = iter([raw]) if method.client_streaming else raw
    call = rpc(request, metadata=metadata, timeout=10)
    try:
        if method.server_streaming:
            async for _ in call:
                call.cancel()  # one answer is enough
                return grpc.StatusCode.OK
        else:
            await call
    except grpc.aio.AioRpcError as error:
        if error.code() not in EXPECTED or "Traceback" in (error.details() or ""):
            raise AssertionError((path, error.code(), raw)) from error
        return error.code()
    return grpc.StatusCode.OK


async def test_no_bytes_and_no_structure_break_a_service(rig: Rig, tmp_path: Path) -> None:
    choose = random.Random(20261125)
    client = rig.authority.issue(tmp_path / "client", CLIENT)
    seen: set[grpc.StatusCode] = set()
    async with channel(rig.platform.port, client) as as_client:
        for method in methods():
            rule = POLICY[f"/{method.containing_service.full_name}/{method.name}"]
            by_agent = "voiceagent" in rule.roles
            on, subject = (rig.channel, AGENT) if by_agent else (as_client, CLIENT)
            metadata = rig.tokens.metadata(subject)
            for _ in range(ROUNDS):
                message = method.input_type._concrete_class()
                fill(message, choose)
                data = message.SerializeToString()
                for raw in (data, mutated(data, choose)):
                    seen.add(await code_of(on, method, raw, metadata))
    assert grpc.StatusCode.INVALID_ARGUMENT in seen
    await rig.session()  # and it still works
