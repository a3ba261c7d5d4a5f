"""A client that follows its files: a new certificate, a new CA, a token, and no lost call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from callfleet_agent.identity import FollowingChannel, TlsFiles, TlsFilesError, TokenFile
from callfleet_agent.services.tls import server_credentials
from identities import AGENT, HOST, SERVICE, Authority

OPTIONS = (("grpc.ssl_target_name_override", HOST),)


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[int]:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_secure_port(
        "127.0.0.1:0", server_credentials(TlsFiles.in_folder(folder / "server"))
    )
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def asked(client: FollowingChannel) -> int:
    stub: Any = health_pb2_grpc.HealthStub(client.channel())
    return int((await stub.Check(health_pb2.HealthCheckRequest(), timeout=60)).status)


async def test_a_new_ca_and_certificate_are_taken_without_a_restart(tmp_path: Path) -> None:
    first, second, clock = Authority(), Authority(), Seconds()
    first.issue(tmp_path / "server", SERVICE)
    files = first.issue(tmp_path / "client", AGENT)
    async with serving(tmp_path) as port:
        client = FollowingChannel(
            f"127.0.0.1:{port}", files, options=OPTIONS, linger_s=0.01, clock=clock
        )
        assert await asked(client) == 1
        former = client.channel()

        second.issue(tmp_path / "server", SERVICE)
        second.issue(tmp_path / "client", AGENT)
        assert client.channel() is former  # looked at once a second
        clock.now += 1
        assert client.channel() is not former
        assert await asked(client) == 1
        await client.close()


async def test_files_that_do_not_go_together_leave_the_former_channel(tmp_path: Path) -> None:
    clock = Seconds()
    Authority().issue(tmp_path / "server", SERVICE)
    files = Authority().issue(tmp_path / "client", AGENT)
    other = Authority().issue(tmp_path / "other", AGENT)
    client = FollowingChannel("127.0.0.1:1", files, clock=clock)
    former = client.channel()
    files.key.write_bytes(other.key.read_bytes())
    clock.now += 1
    assert client.channel() is former
    files.certificate.write_bytes(other.certificate.read_bytes())
    clock.now += 1
    assert client.channel() is not former
    files.ca.unlink()
    clock.now += 1
    client.channel()
    await client.close()


async def test_without_files_there_is_no_channel(tmp_path: Path) -> None:
    client = FollowingChannel("127.0.0.1:1", TlsFiles.in_folder(tmp_path))
    with pytest.raises(TlsFilesError, match=r"tls\.crt"):
        client.channel()
    await client.close()


def test_a_token_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    token = TokenFile(tmp_path / "token")
    assert token.text() == ""
    (tmp_path / "token").write_text("first\n")
    assert token.text() == "first"
    (tmp_path / "new").write_text("second\n")
    (tmp_path / "new").replace(tmp_path / "token")
    assert token.text() == "second"
    (tmp_path / "token").unlink()
    assert token.text() == "second"
