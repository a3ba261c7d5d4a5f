"""A child process full of decoders: they hold the interpreter's lock for up to 80 ms, so the
worker's loop must not share a process with them. Run as `python -m …sphinx_process`.

Messages on standard input and output: u32 length, u8 kind, u32 utterance, payload; big-endian. It
ends when its input does, so it cannot outlive the worker.

What has arrived is read before anything is decoded, and then the most urgent utterance is worked
on: one whose answer is awaited comes before those that are still being spoken. Sound is decoded in
pieces of up to 100 ms, since a decoder that takes turns with others at every 20 ms takes a quarter
longer (each pushes the others' models out of the processor's cache).
"""

import os
import select
import struct
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import numpy as np
import orjson

from callfleet_agent.audio import Pcm8k
from callfleet_agent.pipeline.sphinx_decoder import LONGEST_S, Result, SphinxDecoder

HEADER: Final = struct.Struct("!IBI")
NUMBER: Final = struct.Struct("!I")
START, BEGIN, AUDIO, RECOGNISE, CLOSE, FORGET = range(1, 7)
READY, RESULT = 129, 130
MAX_MESSAGE: Final = 1 << 20
PIECE: Final = 1600  # bytes: 100 ms
_LONGEST: Final = LONGEST_S * Pcm8k.rate * 2  # bytes
_NOTHING: Final = Result(None, 0.0, None, ())


@dataclass(slots=True)
class _Question:
    """What has been said up to here (bytes)? `wanted` until nobody awaits the answer."""

    until: int
    wanted: bool = True


@dataclass(slots=True)
class _Utterance:
    """What came for an utterance; `answered`: how many of its questions have been."""

    grammar: str
    channel: list[float]
    decoder: SphinxDecoder | None = None
    sound: bytearray = field(default_factory=bytearray)
    decoded: int = 0
    asked: deque[_Question] = field(default_factory=deque)
    answered: int = 0

    @property
    def busy(self) -> bool:
        """Whether there is something to do for it now."""
        return self.decoder is not None and (bool(self.asked) or self.decoded < len(self.sound))


class DecoderHouse:
    """Gives each utterance a decoder of its own for as long as it lasts; the others wait."""

    def __init__(self, output: BinaryIO) -> None:
        self._free: list[SphinxDecoder] = []
        self._open: dict[int, _Utterance] = {}
        self._asked: deque[int] = deque()
        self._output = output

    def take(self, kind: int, utterance: int, payload: bytes) -> None:
        """One message. What belongs to no open utterance is dropped."""
        if kind == START:
            self._start(payload)
        elif kind == BEGIN:
            fields = orjson.loads(payload)
            self._open[utterance] = _Utterance(fields["grammar"], fields["channel"])
            self._give_decoders()
        elif (known := self._open.get(utterance)) is None:
            return
        elif kind == AUDIO:
            known.sound += payload[: max(0, _LONGEST - len(known.sound))]
        elif kind == RECOGNISE:
            known.asked.append(_Question(len(known.sound)))
            self._asked.append(utterance)
        elif kind == FORGET:
            self._forget(utterance, known, NUMBER.unpack(payload)[0])
        elif kind == CLOSE:
            self._close(utterance)

    def work(self) -> bool:
        """Do a little of what is most urgent; False when there is nothing to do."""
        number = self._most_urgent()
        if number is None:
            return False
        utterance = self._open[number]
        decoder = utterance.decoder
        if decoder is None:
            return False
        until = utterance.asked[0].until if utterance.asked else len(utterance.sound)
        piece = bytes(utterance.sound[utterance.decoded : until][:PIECE])
        if piece:
            utterance.decoded += len(piece)
            decoder.feed(Pcm8k(piece))
        if utterance.asked and utterance.decoded >= until:
            self._answered(number, utterance, decoder.recognise())
        return True

    def _most_urgent(self) -> int | None:
        """Who waits longest for an answer, else who has begun first."""
        urgent = (number for number in self._asked if self._open[number].decoder is not None)
        begun = (number for number, utterance in self._open.items() if utterance.busy)
        return next(urgent, None) or next(begun, None)

    def _start(self, payload: bytes) -> None:
        fields = orjson.loads(payload)
        self._free = SphinxDecoder.several(fields["decoders"], fields["grammars"], fields["words"])
        for grammar in list(fields["grammars"])[:1]:
            for decoder in self._free:
                _warm(decoder, grammar)
        self._send(READY, 0, b"")

    def _forget(self, number: int, utterance: _Utterance, question: int) -> None:
        """Nobody awaits this answer any more (speech went on): an empty one will do."""
        index = question - utterance.answered
        if 0 <= index < len(utterance.asked):
            utterance.asked[index].wanted = False
        while utterance.asked and not utterance.asked[0].wanted:
            self._answered(number, utterance, _NOTHING)

    def _answered(self, number: int, utterance: _Utterance, result: Result) -> None:
        utterance.asked.popleft()
        utterance.answered += 1
        self._asked.remove(number)
        answer = {"text": result.text, "confidence": result.confidence, "channel": result.channel}
        self._send(RESULT, number, orjson.dumps(answer))

    def _close(self, number: int) -> None:
        utterance = self._open.pop(number)
        self._asked = deque(asked for asked in self._asked if asked != number)
        if utterance.decoder is not None:
            self._free.append(utterance.decoder)
            self._give_decoders()

    def _give_decoders(self) -> None:
        for utterance in self._open.values():
            if not self._free:
                return
            if utterance.decoder is None:
                utterance.decoder = self._free.pop()
                utterance.decoder.begin(utterance.grammar, utterance.channel)

    def _send(self, kind: int, utterance: int, payload: bytes) -> None:
        self._output.write(HEADER.pack(len(payload), kind, utterance) + payload)
        self._output.flush()


def _warm(decoder: SphinxDecoder, grammar: str) -> None:
    """Hear a hiss, so that all of the model has been touched before the first caller speaks. With
    any grammar: the first use of another takes 2 ms at most."""
    decoder.begin(grammar)
    hiss = np.random.default_rng(1).normal(0.0, 3000.0, 2400)
    decoder.feed(Pcm8k.from_samples(hiss))
    decoder.recognise()


class Inbox:
    """Messages from a file descriptor."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._data = bytearray()
        self.ended = False

    def messages(self, *, wait: bool) -> Iterator[tuple[int, int, bytes]]:
        """What has arrived; `wait` for something if there is nothing."""
        while not self.ended and select.select([self._source], [], [], None if wait else 0)[0]:
            data = os.read(self._source, 1 << 16)
            self.ended = not data
            self._data += data
            wait = False
        while len(self._data) >= HEADER.size:
            length, kind, utterance = HEADER.unpack_from(self._data)
            if length > MAX_MESSAGE:
                self.ended = True
                return
            end = HEADER.size + length
            if len(self._data) < end:
                return
            payload = bytes(self._data[HEADER.size : end])
            del self._data[:end]
            yield kind, utterance, payload


def serve(source: int, output: BinaryIO) -> None:
    """Works until the input ends."""
    house, inbox, busy = DecoderHouse(output), Inbox(source), False
    while not inbox.ended:
        for kind, utterance, payload in inbox.messages(wait=not busy):
            house.take(kind, utterance, payload)
        busy = house.work()


if __name__ == "__main__":
    serve(sys.stdin.fileno(), sys.stdout.buffer)
