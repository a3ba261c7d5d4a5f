"""`callfleet serve ROLE…` and `callfleet storage` as processes: started, killed, started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from click.testing import CliRunner

from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import context_pb2_grpc
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.cli.serve import serve
from callfleet_agent.app.cli.storage import storage
from identities import AGENT, ISSUER, SERVICE, Authority, Tokens, channel
from platform_rig import PHONE, session_manager, stub
from stores import Server, free_port

CALLFLEET = [sys.executable, "-m", "callfleet_agent.main"]


def command(*words: str, code: int = 0) -> str:
    done = subprocess.run([*CALLFLEET, *words], check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@dataclass
class Service:
    """A running process of the platform."""

    process: "subprocess.Popen[str]"
    http_port: int

    def ready(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/readyz"):
                    return
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, self.process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        os.kill(self.process.pid, number)
        _, log = self.process.communicate(timeout=30)
        return self.process.returncode, log


@contextmanager
def served(arguments: list[str], http_port: int) -> Iterator[Service]:
    process = subprocess.Popen(
        [*CALLFLEET, "serve", "session-manager", "context-store", *arguments],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        service = Service(process, http_port)
        service.ready()
        yield service
    finally:
        process.kill()
        process.communicate()


AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def write(
    contexts: Any, session_id: str, metadata: Any, acknowledged: list[str], stop: asyncio.Event
) -> None:
    """One change after the other, each repeated with its id until it is acknowledged."""
    while not stop.is_set():
        change = context_pb.ContextUpdateRequest(session_id=session_id, request_id=str(uuid4()))
        change.append.add(role=context_pb.ROLE_CALLER, content=change.request_id)
        while not stop.is_set():
            try:
                await contexts.UpdateContext(
                    change, metadata=metadata, timeout=5, wait_for_ready=True
                )
            except grpc.aio.AioRpcError as error:
                if error.code() not in AWAY:
                    raise
                continue
            acknowledged.append(change.request_id)
            break
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_service_killed_in_the_middle_of_a_load_has_lost_nothing_that_it_acknowledged(
    tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    authority, tokens = Authority(), Tokens(tmp_path / "jwks.json")
    server = authority.issue(tmp_path / "server", SERVICE)
    agent = authority.issue(tmp_path / "agent", AGENT)
    sealing, port, http_port = tmp_path / "sealing", free_port(), free_port()
    await asyncio.to_thread(command, "storage", "migrate", "--database-url", postgres.url)
    await asyncio.to_thread(command, "storage", "new-key", "k1", "--sealing-keys", str(sealing))
    arguments = [
        "--bind", "127.0.0.1", "--port", str(port), "--http-port", str(http_port),
        "--tls", str(server.certificate.parent), "--token-keys", str(tokens.path),
        "--token-issuer", ISSUER, "--sealing-keys", str(sealing),
        "--database-url", postgres.url, "--redis-url", redis_server.url,
    ]  # fmt: skip
    acknowledged: list[str] = []
    metadata = tokens.metadata(AGENT)

    async with channel(port, agent) as on:
        sessions = session_manager(on)
        contexts: Any = stub(context_pb2_grpc.ContextStoreServiceStub, on)
        request = session_pb.CallSession(
            session_id=str(uuid4()), sip_call_id="a@b", caller_phone=PHONE
        )

        stop = asyncio.Event()
        with served(arguments, http_port) as first:
            await sessions.CreateSession(request, metadata=metadata, timeout=10)
            writing = asyncio.create_task(
                write(contexts, request.session_id, metadata, acknowledged, stop)
            )
            await asyncio.sleep(1.5)
            code, log = await asyncio.to_thread(first.end, signal.SIGKILL)
        before = len(acknowledged)
        with served(arguments, http_port) as second:
            async with asyncio.timeout(30):
                while len(acknowledged) < before + 5:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            stop.set()
            await writing
            found = await contexts.GetContext(
                context_pb.ContextRequest(session_id=request.session_id),
                metadata=metadata, timeout=5,
            )  # fmt: skip
            status, _ = await asyncio.to_thread(second.end, signal.SIGTERM)

    said = [one.content for one in found.conversation_history]
    assert (code, status) == (-signal.SIGKILL, 0)
    assert before > 0
    assert said[: len(acknowledged)] == acknowledged
    assert len(said) == len(set(said)) <= len(acknowledged) + 1
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"timestamp", "level", "correlation_id", "service", "message"} <= set(lines[0])
    assert PHONE not in log
    assert any(line["message"] == "the services are up" for line in lines)


def test_what_is_missing_is_said() -> None:
    for words, wanted in (
        (["session-manager"], "--database-url"),
        (["ai-voice-connector"], "--bank-url"),
        (["vad", "nonsense"], "no role nonsense"),
    ):
        done = CliRunner().invoke(serve, words)
        assert done.exit_code == 2
        assert wanted in done.output


def test_the_stores_upkeep_says_what_it_did(postgres: Server, tmp_path: Path) -> None:
    database, keys = ["--database-url", postgres.url], ["--sealing-keys", str(tmp_path / "keys")]
    for words, wanted in (
        (["migrate", *database], "the schema is at head"),
        (["new-key", "k1", *keys], "k1 is the current key"),
        (["upkeep", *database], "deleted: 0 months, 0 calls, 0 contexts"),
        (["reseal", *database, *keys], "sealed again: 0 rows"),
        (["migrate", *database, "--to", "base"], "the schema is at base"),
    ):
        done = CliRunner().invoke(storage, words)
        assert (done.exit_code, done.output.strip()) == (0, wanted)
