"""Only the operator's certificate opens the control stream, and only with TLS 1.3."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from callfleet.v1 import fleet_pb2, fleet_pb2_grpc
from callfleet_agent.app.control_server import serve_control
from callfleet_agent.identity import TlsFiles, TlsFilesError
from callfleet_agent.services.tls import peer_identities, server_credentials
from callfleet_agent.session import PodIntent
from identities import AGENT as POD
from identities import HOST, OPERATOR, Authority


class FakePod:
    """A pod that takes every intent."""

    uid = ""
    version = 0

    def want(self, epoch: int, intent: PodIntent, *, row_confirmed_inactive: bool) -> None:
        """Nothing to do."""

    def report(self) -> fleet_pb2.PodReport:
        return fleet_pb2.PodReport(accepted_epoch=1)

    async def changed_since(self, version: int) -> None:
        raise AssertionError("one report is enough")


async def code_for(port: int, files: TlsFiles) -> grpc.StatusCode:
    credentials = grpc.ssl_channel_credentials(
        files.ca.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )
    options = [("grpc.ssl_target_name_override", HOST)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        stub = fleet_pb2_grpc.AgentPodServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            async for _ in stub.Control(one_intent(), timeout=60):
                pass
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


async def one_intent() -> AsyncIterator[fleet_pb2.PodIntent]:
    yield fleet_pb2.PodIntent(epoch=1, state=fleet_pb2.POD_STATE_SERVING)


async def test_the_operator_is_served_and_others_are_not(tmp_path: Path) -> None:
    ours, theirs = Authority(), Authority()
    ours.issue(tmp_path / "pod", POD)
    server, port = await serve_control(FakePod(), "127.0.0.1", 0, tmp_path / "pod")
    try:
        operator = ours.issue(tmp_path / "operator", OPERATOR)
        assert await code_for(port, operator) is grpc.StatusCode.OK
        other_pod = ours.issue(tmp_path / "other", POD)
        assert await code_for(port, other_pod) is grpc.StatusCode.PERMISSION_DENIED
        forged = theirs.issue(tmp_path / "forged", OPERATOR)
        forged.ca.write_bytes(operator.ca.read_bytes())
        assert await code_for(port, forged) is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop(None)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.parametrize(("version", "accepted"), [("-tls1_2", False), ("-tls1_3", True)])
async def test_tls_is_1_3(tmp_path: Path, version: str, accepted: bool) -> None:
    authority = Authority()
    authority.issue(tmp_path / "pod", POD)
    operator = authority.issue(tmp_path / "operator", OPERATOR)
    server, port = await serve_control(FakePod(), "127.0.0.1", 0, tmp_path / "pod")
    try:
        process = await asyncio.create_subprocess_exec(
            "openssl", "s_client", version, "-connect", f"127.0.0.1:{port}", "-alpn", "h2",
            "-cert", str(operator.certificate), "-key", str(operator.key),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await process.communicate()
    finally:
        await server.stop(None)
    assert (b"Server certificate" in output) is accepted


async def test_an_rsa_key_that_would_let_tls_1_2_in_is_refused(tmp_path: Path) -> None:
    Authority().issue(tmp_path / "pod", POD, kind="RSA")
    with pytest.raises(TlsFilesError, match=r"tls.crt has no EC key"):
        await serve_control(FakePod(), "127.0.0.1", 0, tmp_path / "pod")


def test_a_certificate_with_the_key_of_another_is_refused(tmp_path: Path) -> None:
    files = Authority().issue(tmp_path / "pod", POD)
    other = Authority().issue(tmp_path / "other", POD)
    files.key.write_bytes(other.key.read_bytes())
    with pytest.raises(TlsFilesError, match=r"tls.key is not the key of tls.crt"):
        files.contents()
    files.key.write_bytes(b"not PEM")
    with pytest.raises(TlsFilesError, match=r"tls.key is no key"):
        files.contents()


async def test_a_rotation_that_is_seen_half_way_is_seen_whole_later(tmp_path: Path) -> None:
    authority = Authority()
    files = authority.issue(tmp_path / "pod", POD)
    operator = authority.issue(tmp_path / "operator", OPERATOR)
    server, port = await serve_control(FakePod(), "127.0.0.1", 0, tmp_path / "pod")
    try:
        fresh = Authority()
        new = fresh.issue(tmp_path / "new", POD)
        files.certificate.write_bytes(new.certificate.read_bytes())  # its key comes a moment later
        assert await code_for(port, operator) is grpc.StatusCode.OK
        files.key.write_bytes(new.key.read_bytes())
        files.ca.write_bytes(new.ca.read_bytes())
        assert await code_for(port, operator) is grpc.StatusCode.UNAVAILABLE
        assert await code_for(port, fresh.issue(tmp_path / "next", OPERATOR)) is grpc.StatusCode.OK
        # A kind of key that would let TLS 1.2 in is no rotation either.
        fresh.issue(tmp_path / "pod", POD, kind="RSA")
        assert await code_for(port, fresh.issue(tmp_path / "again", OPERATOR)) is grpc.StatusCode.OK
    finally:
        await server.stop(None)


def test_a_rotation_is_noticed(tmp_path: Path) -> None:
    files = Authority().issue(tmp_path / "pod", POD)
    before = files.stamp()
    files.certificate.write_bytes(files.certificate.read_bytes())
    assert files.stamp() != before
    assert files.contents() is not None


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TlsFilesError, match=r"cannot read .*tls"):
        server_credentials(TlsFiles.in_folder(tmp_path))


async def test_what_is_no_certificate(tmp_path: Path) -> None:
    files = Authority().issue(tmp_path / "pod", POD)
    files.certificate.write_bytes(b"not PEM")
    with pytest.raises(TlsFilesError, match="is no certificate"):
        await serve_control(FakePod(), "127.0.0.1", 0, tmp_path / "pod")


def test_names_of_a_peer() -> None:
    context = {"x509_subject_alternative_name": [b"spiffe://a", b"b"]}
    assert peer_identities(context) == {"spiffe://a", "b"}
    assert peer_identities({}) == frozenset()
    assert peer_identities(None) == frozenset()
