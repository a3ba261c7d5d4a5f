"""A client of the platform's services: its identity and its token, as the files say now."""

from pathlib import Path

import pytest

from callfleet.v1 import session_pb2_grpc
from callfleet_agent.services.client import SESSION_MANAGER, NotReadyError, ServiceClient
from identities import AGENT, Authority


async def test_without_files_it_is_not_ready_and_with_them_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = ServiceClient("localhost:1", SESSION_MANAGER, tmp_path)
    client.connect()
    assert "a service cannot be reached yet" in caplog.text
    with pytest.raises(NotReadyError):
        client.stub(session_pb2_grpc.SessionManagerServiceStub)
    with pytest.raises(NotReadyError):
        client.metadata("c-1")

    Authority().issue(tmp_path, AGENT)
    (tmp_path / "token.session-manager").write_text("t-1\n")
    client.connect()
    assert client.stub(session_pb2_grpc.SessionManagerServiceStub) is not None
    assert client.metadata("c-1") == (
        ("authorization", "Bearer t-1"), ("x-correlation-id", "c-1"),
    )  # fmt: skip
    (tmp_path / "token.session-manager").unlink()
    (tmp_path / "token.session-manager").write_text("t-2")
    assert client.metadata("c-1")[0] == ("authorization", "Bearer t-2")
    await client.close()
