"""AIVoiceConnectorService of one replica among others: whatever a client asks of a session comes to
the replica that holds it, whichever it has met.

The client's own token goes along, and proves there that it has asked; the certificate of this
replica proves that it was let in here. A request is relayed once and no further.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from callfleet.v1 import common_pb2, connector_pb2, session_pb2
from callfleet_agent.providers.grpc_channel import status_was_lost
from callfleet_agent.services.actor import acting, is_relayed
from callfleet_agent.services.answers import STATUS_NUMBERS, moment
from callfleet_agent.services.connector import ConnectorService, StreamCalls
from callfleet_agent.services.correlation import METADATA, current
from callfleet_agent.services.edge import RELAYED_FOR
from callfleet_agent.services.errors import SessionAwayError
from callfleet_agent.services.inputs.sessions import SessionEnd
from callfleet_agent.services.inputs.speech import CallStart, Chunk, StatusQuestion
from callfleet_agent.services.peers import Answer, Found, Metadata, Peers
from callfleet_agent.services.refusals import RelayedError
from callfleet_agent.services.refused import refusal_in
from callfleet_agent.services.stream_ends import StreamEnds
from callfleet_agent.services.synthesis import FORMATS
from callfleet_agent.session.commands import FinishSession, SessionCommands
from callfleet_agent.session.errors import SessionNotFoundError
from callfleet_agent.session.queries import SessionQueries
from callfleet_agent.session.record import FINAL, CallSession, SessionStatus
from callfleet_agent.tracing import trace_metadata

Response = TypeVar("Response")
RELAY_S: Final = 10.0
STREAM: Final = "x-relayed-stream"
_REASONS: Final[dict[Any, Any]] = {
    status: session_pb2.EndSessionRequest.Reason.Value(f"REASON_{status.name}") for status in FINAL
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is written of sessions, for those whose replica is gone."""

    queries: SessionQueries
    commands: SessionCommands


class RelayingConnector:
    """The four RPCs. `calls` are those of this replica, which `here` serves."""

    def __init__(
        self, here: ConnectorService, calls: StreamCalls, peers: Peers, recorded: Recorded | None
    ) -> None:
        self._here = here
        self._calls = calls
        self._peers = peers
        self._recorded = recorded
        self._ends = StreamEnds()

    async def CreateSession(self, given: CallStart, context: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """Start a conversation; one that goes on elsewhere is answered there, so that a request
        that comes again begins no second one."""
        if given.session_id is not None and not self._is_for_here(given.session_id):
            metadata = _metadata(context)
            async with self._peers.find(given.session_id, metadata) as found:
                if found.holder is not None:
                    ask = found.holder.peer.connector().CreateSession
                    return await _relayed(ask, _start(given), context)
        return await self._here.CreateSession(given, context)

    async def EndSession(self, given: SessionEnd, context: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """End a conversation; of one that no replica holds, what is written."""
        if self._is_for_here(given.session_id):
            return await self._here.EndSession(given, context)
        async with self._peers.find(given.session_id, _metadata(context)) as found:
            there = self._elsewhere(given.session_id, found)
            if there is not None:
                return await _relayed(there.peer.connector().EndSession, _end(given), context)
        if self._knows(given.session_id) or self._recorded is None:
            return await self._here.EndSession(given, context)
        ended = await self._recorded.commands.finish(
            FinishSession(session_id=given.session_id, status=given.reason)
        )
        return session_pb2.SessionResponse(
            session_id=str(given.session_id), status=STATUS_NUMBERS[ended.status], message="ended"
        )

    async def GetSessionStatus(  # noqa: N802
        self, given: StatusQuestion, context: Any
    ) -> connector_pb2.SessionStatusResponse:
        """How a conversation is doing; of one that no replica holds, what is written. A replica is
        told as well how its stream has ended."""
        stream = _stream_of(context)
        if stream:
            self._ends.check(stream)
        if self._is_for_here(given.session_id):
            return await self._here.GetSessionStatus(given, context)
        async with self._peers.find(given.session_id, _metadata(context)) as found:
            there = self._elsewhere(given.session_id, found)
            if there is not None and there.status is not None:
                return there.status
        if self._knows(given.session_id) or self._recorded is None:
            return await self._here.GetSessionStatus(given, context)
        return _written(await self._recorded.queries.by_id(given.session_id))

    async def ProcessAudioStream(  # noqa: N802
        self, chunks: AsyncIterator[Chunk], context: Any
    ) -> AsyncGenerator[common_pb2.AudioChunk, None]:
        """Carry a conversation, to and from the replica that holds it."""
        first = await anext(aiter(chunks), None)
        whole = _whole(first, chunks)
        session_id = first.session_id if first is not None else None
        async with AsyncExitStack() as stack:
            there: Answer | None = None
            if session_id is not None and not self._is_for_here(session_id):
                finding = self._peers.find(session_id, _metadata(context))
                there = self._elsewhere(session_id, await stack.enter_async_context(finding))
            carried = (
                self._here.ProcessAudioStream(whole, context)
                if there is None
                else _carried(there, whole, context)
            )
            await stack.enter_async_context(aclosing(carried))
            try:
                async for piece in carried:
                    yield piece
            except Exception as error:
                self._ends.note(_stream_of(context), error)
                raise
            self._ends.note(_stream_of(context), None)

    def _is_for_here(self, session_id: UUID) -> bool:
        """Whether no other replica is to be asked."""
        return is_relayed() or self._own(session_id) is SessionStatus.ACTIVE

    def _knows(self, session_id: UUID) -> bool:
        return self._own(session_id) is not None

    def _own(self, session_id: UUID) -> SessionStatus | None:
        """The session's status on this replica."""
        try:
            return self._calls.status(session_id, acting()).status
        except SessionNotFoundError:
            return None

    def _elsewhere(self, session_id: UUID, found: Found) -> Answer | None:
        """What another replica says, None where it is for this one. Raises SessionAwayError."""
        if found.holder is not None or self._knows(session_id):
            return found.holder
        if found.witness is None and not found.is_sure:
            raise SessionAwayError
        return found.witness


def _metadata(context: Any) -> Metadata:
    """What a request carries to another replica."""
    given = dict(context.invocation_metadata() or ())
    return (
        ("authorization", given.get("authorization", "")),
        (RELAYED_FOR, acting()),
        (METADATA, current()),
        *trace_metadata(),
    )


def _stream_of(context: Any) -> str:
    """The id that another replica has given its stream, empty where none has."""
    given = dict(context.invocation_metadata() or ())
    return str(given.get(STREAM, "")) if is_relayed() else ""


def _limit_s(context: Any) -> float | None:
    left_s: float | None = context.time_remaining()
    return left_s


async def _relayed(
    ask: Callable[..., Awaitable[Response]], request: Any, context: Any, more: Metadata = ()
) -> Response:
    left_s = _limit_s(context)
    limit_s = RELAY_S if left_s is None else min(RELAY_S, left_s)
    try:
        return await ask(request, metadata=_metadata(context) + more, timeout=limit_s)
    except grpc.aio.AioRpcError as error:
        raise _refusal(error) from None


def _refusal(error: grpc.aio.AioRpcError) -> Exception:
    refusal = refusal_in(error)
    return SessionAwayError() if refusal is None else RelayedError(refusal)


async def _carried(
    there: Answer, chunks: AsyncIterator[Chunk], context: Any
) -> AsyncGenerator[common_pb2.AudioChunk, None]:
    """The stream through another replica, at the pace of whoever is slower."""
    connector, mark = there.peer.connector(), ((STREAM, str(uuid4())),)
    stream = connector.ProcessAudioStream(
        metadata=_metadata(context) + mark, timeout=_limit_s(context)
    )
    sending = asyncio.create_task(_send(stream, chunks))
    try:
        while (piece := await stream.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            yield piece
    except grpc.aio.AioRpcError as error:
        if not status_was_lost(error):
            raise _refusal(error) from None
        question = connector_pb2.SessionStatusRequest(session_id=_id_of(there))
        await _relayed(connector.GetSessionStatus, question, context, mark)
    except asyncio.CancelledError:
        if sending.done() and not sending.cancelled() and sending.exception() is not None:
            sending.result()  # what the client has sent is wrong: that has ended the stream
        raise
    finally:
        stream.cancel()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def _id_of(there: Answer) -> str:
    return there.status.session_id if there.status is not None else ""


async def _send(stream: Any, chunks: AsyncIterator[Chunk]) -> None:
    try:
        async for chunk in chunks:
            await stream.write(_chunk(chunk))
        await stream.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # the stream is over: whoever reads it hears why
    except Exception:
        stream.cancel()
        raise


async def _whole(first: Chunk | None, rest: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    if first is not None:
        yield first
        async for chunk in rest:
            yield chunk


def _start(given: CallStart) -> connector_pb2.CreateSessionRequest:
    return connector_pb2.CreateSessionRequest(
        caller_phone=given.caller_phone,
        dialed_number=given.dialed_number,
        sip_call_id=given.sip_call_id,
        format=FORMATS[given.format],
        sample_rate=given.sample_rate,
        session_id=str(given.session_id),
    )


def _end(given: SessionEnd) -> session_pb2.EndSessionRequest:
    return session_pb2.EndSessionRequest(
        session_id=str(given.session_id),
        reason=_REASONS[given.reason],
        call_end_time=moment(given.call_end_time),
    )


def _chunk(chunk: Chunk) -> common_pb2.AudioChunk:
    return common_pb2.AudioChunk(
        audio_data=chunk.audio_data,
        sample_rate=chunk.sample_rate,
        format=FORMATS[chunk.format],
        timestamp=chunk.timestamp,
        session_id=str(chunk.session_id or ""),
        sequence_number=chunk.sequence_number,
        end_of_utterance=chunk.end_of_utterance,
    )


def _written(session: CallSession) -> connector_pb2.SessionStatusResponse:
    """What is written of a session that no replica holds: if nobody has ended it, it was cut
    off."""
    status = session.status if session.is_over else SessionStatus.INTERRUPTED
    lasted = Duration()
    lasted.FromTimedelta(
        (session.call_end_time or session.call_start_time) - session.call_start_time
    )
    return connector_pb2.SessionStatusResponse(
        session_id=str(session.session_id),
        status=STATUS_NUMBERS[status],
        started_at=moment(session.call_start_time),
        duration=lasted,
    )
