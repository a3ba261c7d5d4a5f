"""Every RPC with bytes and structures that nobody meant: an answer or a refusal, never a crash, a
hang or an inside that shows. Some of them name sessions that there are, so that more than the edge
is met. Bounded to a minute."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from callfleet.v1 import (
    asr_pb2,
    banking_pb2,
    common_pb2,
    connector_pb2,
    connector_pb2_grpc,
    context_pb2,
    fleet_pb2,
    llm_pb2,
    session_pb2,
    tts_pb2,
    vad_pb2,
)
from callfleet_agent.app.control_server import serve_control
from callfleet_agent.app.platform_settings import ROLES
from callfleet_agent.services.policy import POLICY
from callfleet_agent.session import PodIntent
from identities import AGENT, CLIENT, OPERATOR, Authority, channel
from platform_rig import Rig, rigged, stub
from stores import Server, migrated

FILES = (
    session_pb2, context_pb2, banking_pb2, vad_pb2, asr_pb2, llm_pb2, tts_pb2, connector_pb2,
)  # fmt: skip
ROUNDS = 20
EXPECTED = {
    grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED,
}  # fmt: skip
AGAIN = grpc.StatusCode.UNAVAILABLE
TEXTS = (
    "", "x", "\0", "🙂" * 50, "a" * 9000, "-1", "' OR 1=1 --", "../../etc/passwd", "%s%n{0}",
    "00000000-0000-4000-8000-000000000001", "+15550100", "200417", "4271",
)  # fmt: skip
SESSIONS: list[str] = []  # of this test, which exist
NUMBERS = (0, 1, 2, 3, 4, 99, 8000, 16000, 2**31 - 1, -1)


def methods(*files: Any) -> list[Any]:
    return [
        method
        for file in files or FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def number(field: Any, choose: random.Random) -> Any:
    low = 0 if "UINT" in TYPES[field.type] else -1
    value = choose.choice(NUMBERS)
    return max(low, value)


TYPES = {value: name for name, value in vars(FieldDescriptor).items() if name.startswith("TYPE_")}


def text_of(field: Any, choose: random.Random) -> str:
    if SESSIONS and field.name == "session_id" and choose.random() < 0.6:
        return choose.choice(SESSIONS)
    return choose.choice(TEXTS)


def value_of(field: Any, choose: random.Random) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return (
            choose.randbytes(choose.randint(0, 400))
            if field.type == FieldDescriptor.TYPE_BYTES
            else text_of(field, choose)
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
    more: dict[str, Any] = {"roles": ROLES, "burst": 1e6, "per_minute": 6e7, "calls": 6}
    more["agents_per_minute"] = 6e7
    async with rigged(tmp_path, postgres.url, redis_server.url, **more) as running:
        yield running


async def code_of(on: grpc.aio.Channel, method: Any, raw: bytes, metadata: Any) -> grpc.StatusCode:
    """The status of an answer or a refusal. A store that a busy machine makes too slow is said to
    be away, and may be asked again."""
    for _ in range(5):
        code = await code_of_one(on, method, raw, metadata)
        if code is not AGAIN:
            return code
    raise AssertionError((method.full_name, raw[:200]))


async def code_of_one(
    on: grpc.aio.Channel, method: Any, raw: bytes, metadata: Any
) -> grpc.StatusCode:
    path = f"/{method.containing_service.full_name}/{method.name}"
    raw_channel: Any = on
    kinds = {
        (False, False): raw_channel.unary_unary,
        (False, True): raw_channel.unary_stream,
        (True, True): raw_channel.stream_stream,
    }
    rpc = kinds[method.client_streaming, method.server_streaming](path)
    requests = [good_chunk(), raw] if method.input_type.name == "AudioChunk" else [raw]
    request = iter(requests) if method.client_streaming else raw
    call = rpc(request, metadata=metadata, timeout=60)
    try:
        if method.server_streaming:
            async for _ in call:
                call.cancel()  # one answer is enough
                return grpc.StatusCode.OK
        else:
            await call
    except grpc.aio.AioRpcError as error:
        told = (error.code(), error.details() or "", raw[:200])
        if error.code() not in {*EXPECTED, AGAIN} or "Traceback" in told[1]:
            raise AssertionError((path, *told)) from error
        return error.code()
    return grpc.StatusCode.OK


def good_chunk() -> bytes:
    """What a stream begins with, so that what follows is met inside of it."""
    return common_pb2.AudioChunk(
        audio_data=bytes(320),
        sample_rate=8000,
        format=common_pb2.AUDIO_FORMAT_PCM_S16LE,
        session_id=SESSIONS[-1] if SESSIONS else "",
    ).SerializeToString()


async def stormed(
    on: grpc.aio.Channel, method: Any, metadata: Any, choose: random.Random
) -> set[grpc.StatusCode]:
    seen: set[grpc.StatusCode] = set()
    for _ in range(ROUNDS):
        message = method.input_type._concrete_class()
        fill(message, choose)
        data = message.SerializeToString()
        for raw in (data, mutated(data, choose)):
            seen.add(await code_of(on, method, raw, metadata))
    return seen


def test_every_rpc_that_there_is_a_rule_for_is_stormed() -> None:
    ours = {rpc for rpc in POLICY if rpc.startswith("/callfleet.")}
    assert ours == {f"/{one.containing_service.full_name}/{one.name}" for one in methods()}


@pytest.mark.drill
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
async def test_no_bytes_and_no_structure_break_a_service(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    choose = random.Random(20261125)
    client = rig.authority.issue(tmp_path / "client", CLIENT)
    async with channel(rig.platform.port, client) as as_client:
        connector = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, as_client)
        request = connector_pb2.CreateSessionRequest(
            format=common_pb2.AUDIO_FORMAT_PCM_S16LE, sample_rate=8000
        )
        SESSIONS[:] = [await rig.verified()]
        for method in methods():
            if method.input_type.name == "CreateSessionRequest":  # of the connector, the last one:
                # a conversation without a stream ends after 30 seconds
                held = await connector.CreateSession(request, metadata=rig.tokens.metadata(CLIENT))
                SESSIONS.append(held.session_id)
            rule = POLICY[f"/{method.containing_service.full_name}/{method.name}"]
            by_agent = "voiceagent" in rule.roles
            on, subject = (rig.channel, AGENT) if by_agent else (as_client, CLIENT)
            seen = await stormed(on, method, rig.tokens.metadata(subject), choose)
            assert grpc.StatusCode.INVALID_ARGUMENT in seen, method.full_name
    SESSIONS.clear()
    await rig.session()  # and it still works
    assert "a request failed" not in caplog.text  # nobody met an error that is not known


class FakePod:
    """A pod that takes every intent."""

    uid = ""
    version = 0

    def want(self, epoch: int, intent: PodIntent, *, row_confirmed_inactive: bool) -> None:
        """Nothing to do."""

    def report(self) -> fleet_pb2.PodReport:
        return fleet_pb2.PodReport(accepted_epoch=1)

    async def changed_since(self, version: int) -> None:
        await asyncio.Event().wait()


async def test_no_bytes_and_no_structure_break_the_pods_control(tmp_path: Path) -> None:
    authority, choose = Authority(), random.Random(20261126)
    authority.issue(tmp_path / "pod", AGENT)
    operator = authority.issue(tmp_path / "operator", OPERATOR)
    server, port = await serve_control(FakePod(), "127.0.0.1", 0, tmp_path / "pod")
    try:
        async with channel(port, operator) as on:
            for method in methods(fleet_pb2):
                await stormed(on, method, None, choose)
                good = fleet_pb2.PodIntent(epoch=1, state=fleet_pb2.POD_STATE_SERVING)
                raw = good.SerializeToString()
                assert await code_of(on, method, raw, None) is grpc.StatusCode.OK
    finally:
        await server.stop(None)
