"""AIVoiceConnectorService: a conversation without a phone. The calls themselves are the app's."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

from google.protobuf.duration_pb2 import Duration

from callfleet.v1 import common_pb2, connector_pb2, session_pb2
from callfleet_agent.audio import Pcm8k
from callfleet_agent.services.actor import acting
from callfleet_agent.services.answers import STATUS_NUMBERS, moment
from callfleet_agent.services.errors import InvalidRequestError, Violation
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.sessions import SessionEnd
from callfleet_agent.services.inputs.speech import CallStart, Chunk, StatusQuestion
from callfleet_agent.services.sound import Inward, Outward
from callfleet_agent.services.synthesis import FORMATS
from callfleet_agent.session.record import SessionStatus

NAME: Final = "callfleet.v1.AIVoiceConnectorService"
READERS: Final = {
    f"/{NAME}/CreateSession": reader_of(CallStart),
    f"/{NAME}/ProcessAudioStream": reader_of(Chunk),
    f"/{NAME}/EndSession": reader_of(SessionEnd),
    f"/{NAME}/GetSessionStatus": reader_of(StatusQuestion),
}


class Activity(StrEnum):
    """What a call's pipeline does."""

    LISTENING = "listening"
    HEARING = "hearing"
    THINKING = "thinking"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class CallStatus:
    """How a call is doing."""

    session_id: UUID
    status: SessionStatus
    activity: Activity
    started_at: datetime
    lasted_s: float
    turns: int
    epoch: int
    format: str
    sample_rate: int


class StreamCalls(Protocol):
    """The calls of this process. Another client's session is not found."""

    async def start(self, given: CallStart, owner: str) -> CallStatus:
        """Raises OverloadedError."""
        ...

    def status(self, session_id: UUID, owner: str) -> CallStatus:
        """Raises SessionNotFoundError."""
        ...

    async def end(self, session_id: UUID, owner: str, status: SessionStatus) -> CallStatus:
        """Raises SessionNotFoundError."""
        ...

    def hold(
        self, session_id: UUID, sound: AsyncIterator[Pcm8k]
    ) -> AsyncGenerator[tuple[Pcm8k, bool], None]:
        """The agent's sound, at the pace of speech, until the call or the caller's sound ends;
        with each piece whether it is the last of an utterance. It takes over from the stream that
        the session has.

        Raises:
            SessionEndedError, StreamBusyError: it cannot be held.
            StreamTakenOverError: a newer stream has taken over.
        """
        ...


_ACTIVITIES: Final[dict[Any, Any]] = {
    activity: connector_pb2.SessionStatusResponse.Activity.Value(f"ACTIVITY_{activity.name}")
    for activity in Activity
}


class ConnectorService:
    """The four RPCs."""

    def __init__(self, calls: StreamCalls) -> None:
        self._calls = calls

    async def CreateSession(self, given: CallStart, _: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """Start a conversation."""
        return _response(
            await self._calls.start(given, acting()), "send audio with ProcessAudioStream"
        )

    async def EndSession(self, given: SessionEnd, _: Any) -> session_pb2.SessionResponse:  # noqa: N802
        """End a conversation."""
        return _response(await self._calls.end(given.session_id, acting(), given.reason), "ended")

    async def GetSessionStatus(  # noqa: N802
        self, given: StatusQuestion, _: Any
    ) -> connector_pb2.SessionStatusResponse:
        """How a conversation is doing."""
        found = self._calls.status(given.session_id, acting())
        lasted = Duration()
        lasted.FromMilliseconds(int(found.lasted_s * 1000))
        return connector_pb2.SessionStatusResponse(
            session_id=str(found.session_id),
            status=STATUS_NUMBERS[found.status],
            activity=_ACTIVITIES[found.activity],
            started_at=moment(found.started_at),
            duration=lasted,
            turns=found.turns,
            epoch=found.epoch,
        )

    async def ProcessAudioStream(  # noqa: N802
        self, chunks: AsyncIterator[Chunk], _: Any
    ) -> AsyncGenerator[common_pb2.AudioChunk, None]:
        """Carry a conversation: the caller's audio in, the agent's out."""
        first = await anext(aiter(chunks), None)
        if first is None or first.session_id is None:
            raise InvalidRequestError(Violation("session_id", "is required in the first chunk"))
        status = self._calls.status(first.session_id, acting())
        if (first.format, first.sample_rate) != (status.format, status.sample_rate):
            raise InvalidRequestError(Violation("format", "is not what the session was made with"))
        outward, position, count = Outward(status.format, status.sample_rate), 0, 0
        held = self._calls.hold(first.session_id, _sound(first, chunks))
        async with aclosing(held):  # left to the garbage collector it would go on for a while
            async for sound, is_last in held:
                yield common_pb2.AudioChunk(
                    audio_data=outward.take(sound),
                    sample_rate=status.sample_rate,
                    format=FORMATS[status.format],
                    timestamp=position * 125,
                    session_id=str(first.session_id),
                    sequence_number=count,
                    end_of_utterance=is_last,
                )
                position += len(sound)
                count += 1


async def _sound(first: Chunk, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Pcm8k]:
    inward = Inward()
    yield inward.take(first)
    async for chunk in chunks:
        if chunk.session_id not in {None, first.session_id}:
            raise InvalidRequestError(Violation("session_id", "changes within the stream"))
        yield inward.take(chunk)


def _response(call: CallStatus, message: str) -> session_pb2.SessionResponse:
    return session_pb2.SessionResponse(
        session_id=str(call.session_id), status=STATUS_NUMBERS[call.status], message=message
    )
