"""One link, sans-IO: bytes in, messages out, and what may not be sent refused.

Errors end the link: after one, every call raises again.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeVar
from uuid import UUID

from callfleet_agent.audio import FRAME_SAMPLES
from callfleet_agent.link.errors import LinkError, LocalProtocolError, RemoteProtocolError
from callfleet_agent.link.messages import (
    MESSAGES,
    PROTOCOL,
    Audio,
    EndOfSpeech,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    Message,
    Ping,
    Pong,
    Tick,
)
from callfleet_agent.link.speech import SpeechAccount
from callfleet_agent.link.state import (
    CONNECTOR_HEARS,
    CONNECTOR_SENDS,
    WORKER_HEARS,
    WORKER_SENDS,
    ConnectorState,
    WorkerState,
)

MAX_LENGTH: Final = 1024 * 1024
OPTIONAL: Final = 0x8000
MAX_PINGS: Final = 16

_LENGTH = struct.Struct("!I")
_HEADER = struct.Struct("!BBH16sIQ")
_NO_CALL = UUID(int=0)

S = TypeVar("S", ConnectorState, WorkerState)


class Side(Enum):
    """Which end of the link this is."""

    CONNECTOR = "connector"
    WORKER = "worker"


class LinkConnection:
    """The protocol of one call at one side.

    A connector gives the call's UUID; a worker learns it from Hello. `send` returns the bytes of
    a message or raises LocalProtocolError; `receive_data` returns complete messages or raises
    RemoteProtocolError. Audio of an ended epoch that was still on its way, and speech after the
    connector's Hangup, are not returned.
    """

    def __init__(self, side: Side, call: UUID | None = None) -> None:
        if (side is Side.CONNECTOR) is (call is None):
            raise ValueError("a connector names the call, a worker is told it")
        self.side = side
        self.call = call
        self.connector_state = ConnectorState.START
        self.worker_state = WorkerState.START
        self.stale_audio = 0
        self._speech = SpeechAccount()
        self._buffer = bytearray()
        self._pings: deque[int] = deque()
        self._interrupted: deque[tuple[int, int]] = deque()  # epochs that ended, and their ends
        self._inbound = 0
        self._broken: LinkError | None = None

    @property
    def epoch(self) -> int:
        """The current epoch of speech."""
        return self._speech.epoch

    @property
    def speech_end(self) -> int:
        """The position after the last sample of speech of the current epoch."""
        return self._speech.end

    @property
    def unanswered_pings(self) -> int:
        return len(self._pings)

    def writable_samples(self) -> int:
        """How many samples the worker may send now; never negative, 0 when it may send none."""
        if Audio not in WORKER_SENDS[self.worker_state]:
            return 0
        return self._speech.writable

    def send(self, message: Message) -> bytes:
        """The bytes of `message`. Raises LocalProtocolError when it may not be sent now; then
        the link is still usable."""
        if self._broken is not None:
            raise LocalProtocolError("the link is broken") from self._broken
        try:
            payload = message.payload()
            # Before Hello the states refuse whatever a worker, who knows no call yet, may send.
            call = (self.call or _NO_CALL).bytes
            header = _HEADER.pack(PROTOCOL, message.TYPE, 0, call, message.epoch, message.position)
            length = _LENGTH.pack(_checked_length(_HEADER.size + len(payload)))
            self._advance(self.side, message)
        except (ValueError, TypeError, struct.error) as error:
            raise LocalProtocolError(f"{type(message).__name__}: {error}") from error
        return length + header + payload

    def receive_data(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order. Raises RemoteProtocolError."""
        if self._broken is not None:
            raise RemoteProtocolError("the link is broken") from self._broken
        self._buffer += data
        messages: list[Message] = []
        try:
            while (frame := self._next_frame()) is not None:
                message = self._decode(frame)
                if message is not None and self._accept(message):
                    messages.append(message)
        except (ValueError, TypeError) as error:
            self._broken = RemoteProtocolError(str(error))
            raise self._broken from error
        return messages

    def receive_eof(self) -> None:
        """The stream ended. Raises RemoteProtocolError when it should not have: in the middle of
        a message, or while the call goes on."""
        if self._broken is not None:
            return
        ended = self.connector_state in (ConnectorState.START, ConnectorState.ENDED)
        refused = self.worker_state is WorkerState.LEAVING and (
            self.connector_state is ConnectorState.OFFERED
        )
        if self._buffer or not (ended or refused):
            self._broken = RemoteProtocolError("the stream ended in the middle of the call")
            raise self._broken

    def _next_frame(self) -> bytes | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + _checked_length(length)
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return frame

    def _decode(self, frame: bytes) -> Message | None:
        version, number, flags, call, epoch, position = _HEADER.unpack_from(frame)
        if version != PROTOCOL:
            raise ValueError(f"version {version} is not {PROTOCOL}")
        kind = MESSAGES.get(number)
        if kind is None:
            if flags & OPTIONAL:
                return None
            raise ValueError(f"unknown message type {number:#x}")
        if self.call is None and kind is Hello:
            self.call = UUID(bytes=call)
        if self.call is None or self.call.bytes != call:
            raise ValueError("a message of another call")
        return kind.parse(epoch, position, frame[_HEADER.size :])

    def _accept(self, message: Message) -> bool:
        """Follows a message of the other side; False when it is not for the application."""
        self._advance(Side.WORKER if self.side is Side.CONNECTOR else Side.CONNECTOR, message)
        if self.connector_state is ConnectorState.ENDED and self.side is Side.CONNECTOR:
            return not isinstance(message, Audio | Interrupt | EndOfSpeech)
        return not (isinstance(message, Audio) and message.epoch < self.epoch)

    def _advance(self, sender: Side, message: Message) -> None:
        """Moves the states by a message of `sender`; raises ValueError and changes nothing when
        it may not be sent."""
        if sender is Side.CONNECTOR:
            connector = _follow(
                CONNECTOR_SENDS[self.connector_state], self.connector_state, message
            )
            self._check_connector(message)
            self._connector_moved(connector, message)
        else:
            worker = _follow(WORKER_SENDS[self.worker_state], self.worker_state, message)
            self._check_worker(message)
            self.worker_state = worker
            heard = CONNECTOR_HEARS.get(self.connector_state, {})
            self.connector_state = heard.get(type(message), self.connector_state)

    def _connector_moved(self, state: ConnectorState, message: Message) -> None:
        if isinstance(message, Hello) and message.resumed:
            state = ConnectorState.RESUMING
        if state is ConnectorState.OFFERED and self.worker_state is WorkerState.START:
            self.worker_state = WorkerState.INVITED
        self.connector_state = state
        if self.side is Side.WORKER:
            heard = WORKER_HEARS.get(self.worker_state, {})
            self.worker_state = heard.get(type(message), self.worker_state)

    def _check_connector(self, message: Message) -> None:
        match message:
            case Hello():
                self._speech.open(message.epoch)
                self._inbound = message.position
            case Tick():
                self._check_tick(message)
            case Interrupted():
                if not self._interrupted or self._interrupted[0][0] != message.epoch:
                    raise ValueError(f"nobody interrupted epoch {message.epoch}")
                if message.position > self._interrupted[0][1]:
                    raise ValueError("more was played than was sent")
                self._interrupted.popleft()
            case Ping():
                if len(self._pings) >= MAX_PINGS:
                    raise ValueError(f"{MAX_PINGS} pings are unanswered")
                self._pings.append(message.nonce)

    def _check_tick(self, tick: Tick) -> None:
        if tick.position < self._inbound:
            raise ValueError(f"inbound sound at {tick.position} is not after {self._inbound}")
        if not self._speech.is_stale(tick.epoch):
            if tick.played_epoch == tick.epoch:
                self._speech.check_reached(tick.played_position)
            self._speech.grant(tick.credit_position)
        elif self.side is Side.CONNECTOR:  # at the worker it may have crossed an Interrupt
            raise ValueError(f"epoch {tick.epoch} has ended")
        self._inbound = tick.position + FRAME_SAMPLES

    def _check_worker(self, message: Message) -> None:
        match message:
            case Interrupt():
                ended = (self._speech.epoch, self._speech.end)
                self._speech.raise_to(message.epoch)
                self._interrupted.append(ended)
            case Audio():
                if not self._is_stale_speech(message):
                    self._speech.add(message.position, len(message.samples))
            case EndOfSpeech() | Hangup():
                if not self._is_stale_speech(message):
                    self._speech.check_reached(message.position)
            case Pong():
                if message.nonce not in self._pings:
                    raise ValueError("a pong that no ping asked for")
                while self._pings.popleft() != message.nonce:
                    pass

    def _is_stale_speech(self, message: Message) -> bool:
        if not self._speech.is_stale(message.epoch):
            return False
        if self.side is Side.WORKER:
            raise ValueError(f"epoch {message.epoch} has ended")
        self.stale_audio += isinstance(message, Audio)
        return True


def _checked_length(length: int) -> int:
    if not _HEADER.size <= length <= MAX_LENGTH:
        raise ValueError(f"a message of {length} bytes")
    return length


def _follow(table: Mapping[type[Message], S], state: S, message: Message) -> S:
    if type(message) not in table:
        raise ValueError(f"{type(message).__name__} may not be sent in state {state.value}")
    return table[type(message)]
