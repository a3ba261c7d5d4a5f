"""`callfleet dev-identity`: a service that runs with it, and a client that talks with it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from callfleet.v1 import vad_pb2, vad_pb2_grpc
from callfleet_agent.app.cli.dev_identity import dev_identity
from callfleet_agent.app.platform import Platform
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.identity import FollowingChannel, TlsFiles, TokenFile
from platform_rig import stub


def made(folder: Path, *words: str) -> None:
    done = CliRunner().invoke(dev_identity, [str(folder), *words])
    assert done.exit_code == 0, done.output


async def test_a_service_and_a_client_that_use_the_folders_talk(tmp_path: Path) -> None:
    made(tmp_path)
    settings = PlatformSettings(
        roles=("vad",), tls=tmp_path / "vad", token_keys=tmp_path / "jwks.json",
        token_issuer="callfleet", bind="127.0.0.1", port=0, http_port=None,
    )  # fmt: skip
    async with Platform(settings).running() as platform:
        client = FollowingChannel(
            f"localhost:{platform.port}", TlsFiles.in_folder(tmp_path / "client")
        )
        token = TokenFile(tmp_path / "client" / "token.vad").text()
        answer = await stub(vad_pb2_grpc.VADServiceStub, client.channel()).Configure(
            vad_pb2.VADConfiguration(), metadata=(("authorization", f"Bearer {token}"),), timeout=60
        )
        assert answer is not None
        await client.close()


def test_a_second_run_keeps_ca_and_keys_and_renews_the_rest(tmp_path: Path) -> None:
    made(tmp_path)
    kept = {
        name: (tmp_path / name).read_bytes()
        for name in ("jwks.json", "authority/tls.crt", "authority/keys.json", "agent/ca.crt")
    }
    certificate = (tmp_path / "agent" / "tls.crt").read_bytes()
    made(tmp_path, "--host", "example.test")
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    assert (tmp_path / "agent" / "tls.crt").read_bytes() != certificate
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert not [path for path in files if path.name.endswith(".new")]


def test_what_is_no_authority_is_said(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "authority" / "keys.json").write_text(json.dumps({"keys": [{}]}))
    done = CliRunner().invoke(dev_identity, [str(tmp_path)])
    assert done.exit_code == 2
    assert "no readable token keys" in done.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stays_until_it_is_told(tmp_path: Path, number: signal.Signals) -> None:
    words = ["dev-identity", str(tmp_path), "--stay"]
    process = subprocess.Popen([sys.executable, "-m", "callfleet_agent.main", *words])
    try:
        deadline = time.monotonic() + 150
        while not (tmp_path / "client" / "token.vad").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert process.poll() is None
        os.kill(process.pid, number)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
