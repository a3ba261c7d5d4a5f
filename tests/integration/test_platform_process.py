"""`callfleet serve ROLE…` and `callfleet storage` as processes."""

import asyncio
import json
import signal
from pathlib import Path

from click.testing import CliRunner

from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.cli.serve import serve
from callfleet_agent.app.cli.storage import storage
from identities import AGENT, channel
from platform_processes import Installation
from platform_rig import PHONE, session_manager
from stores import Server


async def test_a_process_says_in_json_what_it_does_and_ends_when_it_is_told(
    tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    installation = Installation(tmp_path, postgres.url, redis_server.url, "http://127.0.0.1:9")
    await installation.prepared(postgres.url)
    with installation.serving("session-manager", "context-store") as service:
        async with channel(service.port, installation.agent) as on:
            request = session_pb.CallSession(sip_call_id="a@b", caller_phone=PHONE)
            metadata = installation.tokens.metadata(AGENT)
            await session_manager(on).CreateSession(request, metadata=metadata, timeout=60)
        status = await asyncio.to_thread(service.end, signal.SIGTERM)
        log = service.log.read_text()

    assert status == 0
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
        (
            ["upkeep", *database],
            "deleted: 0 months, 0 calls, 0 contexts; ended: 0 lost calls",
        ),
        (["reseal", *database, *keys], "sealed again: 0 rows"),
        (["migrate", *database, "--to", "base"], "the schema is at base"),
    ):
        done = CliRunner().invoke(storage, words)
        assert (done.exit_code, done.output.strip()) == (0, wanted)
