"""The replicas of a service as one of them asks the others: all pods behind a headless name.

Which of them holds a session is asked of themselves and read in no store: what they say is right
while the stores are away, and never old.
"""

import asyncio
import logging
import socket
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import grpc
import grpc.aio

from callfleet.v1 import connector_pb2, connector_pb2_grpc, session_pb2
from callfleet_agent.identity import FollowingChannel, TlsFiles, TlsFilesError
from callfleet_agent.services.refused import refused

Metadata = tuple[tuple[str, str], ...]
ASK_S: Final = 2.0
_MOST_HOLDERS: Final = 10_000
_log = logging.getLogger(__name__)


class Peer:
    """One replica. Its certificate must have `name`, which only this service's has."""

    def __init__(self, target: str, files: TlsFiles, name: str) -> None:
        options = (("grpc.ssl_target_name_override", name), ("grpc.enable_retries", 0))
        self._channel = FollowingChannel(target, files, options=options)
        self.target = target
        self.users = 0

    def connector(self) -> Any:
        """Its AIVoiceConnectorService. Raises TlsFilesError."""
        stub: Any = connector_pb2_grpc.AIVoiceConnectorServiceStub
        return stub(self._channel.channel())

    async def close(self) -> None:
        """End what is going on."""
        await self._channel.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a replica says of a session: its status, None for one that it does not have; or nothing
    at all."""

    peer: Peer
    status: connector_pb2.SessionStatusResponse | None
    is_given: bool = True

    @property
    def holds(self) -> bool:
        """Whether the session goes on there."""
        return self.status is not None and self.status.status == session_pb2.SESSION_STATUS_ACTIVE


@dataclass(frozen=True, slots=True)
class Found:
    """What the holder of a session says, and who remembers how it ended; `is_sure`: every replica
    has said."""

    holder: Answer | None = None
    witness: Answer | None = None
    is_sure: bool = True


class Peers:
    """All replicas behind `addresses` (HOST:PORT), this one among them: it answers like another.

    `name`: the DNS name in this process's own certificate.
    """

    def __init__(
        self, addresses: Sequence[str], files: TlsFiles, name: str, *, ask_s: float = ASK_S
    ) -> None:
        self._addresses = tuple(addresses)
        self._make: Callable[[str], Peer] = lambda target: Peer(target, files, name)
        self._ask_s = ask_s
        self._peers: dict[str, Peer] = {}
        self._holders: OrderedDict[UUID, str] = OrderedDict()  # asked before the others

    @asynccontextmanager
    async def find(self, session_id: UUID, metadata: Metadata) -> AsyncIterator[Found]:
        """Who holds the session; whoever was asked is kept open within the block."""
        async with self._asked() as (peers, is_known):
            yield await self._found(peers, is_known, session_id, metadata)

    async def close(self) -> None:
        """End what is going on."""
        peers, self._peers = self._peers, {}
        await asyncio.gather(*(peer.close() for peer in peers.values()))

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[tuple[list[Peer], bool]]:
        """All that there are, and whether they are known; those that are gone are let go of."""
        try:
            targets = {target for address in self._addresses for target in await _targets(address)}
        except OSError as error:
            _log.warning("replicas are not found", extra={"reason": type(error).__name__})
            yield [], False
            return
        gone = [one for one in self._peers if one not in targets and not self._peers[one].users]
        leaving = [self._peers.pop(target) for target in gone]
        peers = [self._peers.setdefault(target, self._make(target)) for target in sorted(targets)]
        for peer in peers:
            peer.users += 1
        try:
            await asyncio.gather(*(peer.close() for peer in leaving))
            yield peers, True
        finally:
            for peer in peers:
                peer.users -= 1

    async def _found(
        self, peers: Sequence[Peer], is_known: bool, session_id: UUID, metadata: Metadata
    ) -> Found:
        last = self._holders.pop(session_id, None)
        witness, is_sure = None, is_known
        for some in ([one for one in peers if one.target == last],
                     [one for one in peers if one.target != last]):  # fmt: skip
            async with aclosing(self._answers(some, session_id, metadata)) as answers:
                async for answer in answers:
                    if answer.holds:
                        self._remember(session_id, answer.peer)
                        return Found(holder=answer)
                    witness = answer if answer.status is not None else witness
                    is_sure = is_sure and answer.is_given
        return Found(witness=witness, is_sure=is_sure)

    def _remember(self, session_id: UUID, holder: Peer) -> None:
        self._holders[session_id] = holder.target
        if len(self._holders) > _MOST_HOLDERS:
            self._holders.popitem(last=False)

    async def _answers(
        self, peers: Sequence[Peer], session_id: UUID, metadata: Metadata
    ) -> AsyncGenerator[Answer, None]:
        asking = [asyncio.create_task(self._ask(peer, session_id, metadata)) for peer in peers]
        try:
            for answer in asyncio.as_completed(asking):
                yield await answer
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, peer: Peer, session_id: UUID, metadata: Metadata) -> Answer:
        question = connector_pb2.SessionStatusRequest(session_id=str(session_id))
        try:
            status = await peer.connector().GetSessionStatus(
                question, metadata=metadata, timeout=self._ask_s
            )
        except grpc.aio.AioRpcError as error:
            said = refused(error)
            if said.code == "SESSION_NOT_FOUND":
                return Answer(peer, None)
            reason = said.code or said.status.name
        except TlsFilesError:
            reason = "NOT_READY"
        else:
            return Answer(peer, status)
        _log.warning("a replica does not answer", extra={"reason": reason})
        return Answer(peer, None, is_given=False)


async def _targets(address: str) -> set[str]:
    """Where gRPC finds each pod behind HOST:PORT. Raises OSError."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    return {
        f"ipv6:[{place[0]}]:{place[1]}"
        if family == socket.AF_INET6
        else f"ipv4:{place[0]}:{place[1]}"
        for family, _, _, _, place in found
    }
