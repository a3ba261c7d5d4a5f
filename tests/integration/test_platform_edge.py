"""What the edge makes of services that end in odd ways: no client is left without an answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from callfleet.v1 import (
    llm_pb2,
    llm_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.services.edge import Edge
from callfleet_agent.services.limits import Buckets
from callfleet_agent.services.policy import POLICY
from callfleet_agent.services.server import Part, ServiceServer
from callfleet_agent.services.tls import server_credentials
from callfleet_agent.services.tokens import KeySet, TokenVerifier
from identities import AGENT, ISSUER, SERVICE, Authority, Tokens, channel
from platform_rig import Refused, session_manager, stub


class KindOfCancelledError(asyncio.CancelledError):
    """What a library may raise in the place of its own time-out."""


class GivesUp:
    """A service that ends as if it was cancelled."""

    async def GetSession(self, _: Any, __: Any) -> Any:  # noqa: N802
        raise KindOfCancelledError

    async def ProcessText(self, _: Any, __: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield llm_pb2.TextResponse(text="a piece")
        raise KindOfCancelledError

    def __getattr__(self, name: str) -> Any:
        return self.GetSession


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[grpc.aio.Channel, Any]]:
    authority, tokens = Authority(), Tokens(tmp_path / "jwks.json")
    edge = Edge(
        rules=POLICY,
        readers={},
        verifier=TokenVerifier(KeySet(tokens.path), ISSUER),
        buckets=Buckets(None),
        watcher=PlatformMetrics(),
    )
    parts = [
        Part(
            "callfleet.v1.SessionManagerService",
            session_pb2_grpc.add_SessionManagerServiceServicer_to_server,
            GivesUp(),
        ),
        Part(
            "callfleet.v1.LLMService",
            llm_pb2_grpc.add_LLMServiceServicer_to_server,
            GivesUp(),
        ),
    ]
    files = authority.issue(tmp_path / "server", SERVICE)
    server = ServiceServer(parts, edge, server_credentials(files))
    port = await server.start("127.0.0.1", 0)
    async with channel(port, authority.issue(tmp_path / "agent", AGENT)) as on:
        yield on, tokens.metadata(AGENT)
    await server.close(0)


async def test_work_that_was_given_up_within_is_answered(
    served: tuple[grpc.aio.Channel, Any],
) -> None:
    on, metadata = served
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await session_manager(on).GetSession(
            session_pb2.GetSessionRequest(), metadata=metadata, timeout=30
        )
    refused = Refused.of(caught.value)
    assert (refused.code, refused.detail.code) == (grpc.StatusCode.UNAVAILABLE, "STOPPED")
    assert refused.detail.retryable


async def test_and_so_is_a_stream(served: tuple[grpc.aio.Channel, Any]) -> None:
    on, metadata = served
    llm = stub(llm_pb2_grpc.LLMServiceStub, on)
    call = llm.ProcessText(llm_pb2.TextProcessingRequest(), metadata=metadata, timeout=30)
    pieces = aiter(call)
    assert (await anext(pieces)).text == "a piece"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(pieces)
    assert Refused.of(caught.value).detail.code == "STOPPED"
