"""Who asks the services: an agent or a client, with certificates and tokens."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import grpc
from bench.platform.servers import Rig, Server

from callfleet.v1 import common_pb2, session_pb2
from callfleet_agent.services.policy import POLICY
from identities import AGENT, CLIENT, Tokens

PCM: Final = common_pb2.AUDIO_FORMAT_PCM_S16LE


class Clients:
    """Asks with an agent's or a client's certificate, whichever may."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel], tokens: Tokens) -> None:
        self._channels: Mapping[str, Any] = channels
        self._metadata = {identity: tokens.metadata(identity) for identity in (AGENT, CLIENT)}

    def rpc(self, service: str, name: str, kind: str = "unary_unary") -> Callable[[Any], Any]:
        """How one RPC is called; answers are bytes."""
        path = f"/callfleet.v1.{service}/{name}"
        identity = AGENT if "voiceagent" in POLICY[path].roles else CLIENT
        made = getattr(self._channels[identity], kind)(
            path, request_serializer=lambda message: message.SerializeToString()
        )
        return lambda request: made(request, metadata=self._metadata[identity])

    async def session(self) -> str:
        """A new one."""
        request = session_pb2.CallSession(sip_call_id=str(uuid4()), caller_phone="+15550100")
        made = await self.rpc("SessionManagerService", "CreateSession")(request)
        return str(session_pb2.SessionResponse.FromString(made).session_id)


@asynccontextmanager
async def clients_of(rig: Rig, server: Server) -> AsyncIterator[Clients]:
    """With open channels."""
    async with rig.channel(server, AGENT) as agent, rig.channel(server, CLIENT) as client:
        yield Clients({AGENT: agent, CLIENT: client}, rig.tokens)
