"""A child process full of decoders: they hold the interpreter's lock for up to 80 ms, so the
worker's loop must not share a process with them. Run as `python -m …sphinx_process`.

Messages on standard input and output: u32 length, u8 kind, u32 utterance, payload; big-endian. It
ends when its input does, so it cannot outlive the worker.
"""

import struct
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import orjson

from callfleet_agent.audio import Pcm8k
from callfleet_agent.pipeline.sphinx_decoder import LONGEST_S, SphinxDecoder

HEADER: Final = struct.Struct("!IBI")
START, BEGIN, AUDIO, RECOGNISE, CLOSE = range(1, 6)
READY, RESULT = 129, 130
MAX_MESSAGE: Final = 1 << 20


@dataclass(slots=True)
class _Waiting:
    """An utterance that waits for a decoder: what came for it so far."""

    grammar: str
    channel: list[float]
    audio: list[Pcm8k] = field(default_factory=list)
    samples: int = 0
    asked: int = 0


class DecoderHouse:
    """Gives each utterance a decoder of its own for as long as it lasts; the others wait."""

    def __init__(self, output: BinaryIO) -> None:
        self._free: list[SphinxDecoder] = []
        self._busy: dict[int, SphinxDecoder] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._order: deque[int] = deque()
        self._output = output

    def handle(self, kind: int, utterance: int, payload: bytes) -> None:
        """One message. What belongs to no open utterance is dropped."""
        if kind == START:
            self._start(payload)
        elif kind == BEGIN:
            fields = orjson.loads(payload)
            self._waiting[utterance] = _Waiting(fields["grammar"], fields["channel"])
            self._order.append(utterance)
            self._serve()
        elif kind == AUDIO:
            self._hear(utterance, Pcm8k(payload))
        elif kind == RECOGNISE:
            self._recognise(utterance)
        elif kind == CLOSE:
            self._close(utterance)

    def _start(self, payload: bytes) -> None:
        fields = orjson.loads(payload)
        self._free = SphinxDecoder.several(fields["decoders"], fields["grammars"], fields["words"])
        for decoder in self._free:
            for grammar in fields["grammars"]:
                _warm(decoder, grammar)
        self._send(READY, 0, b"")

    def _hear(self, utterance: int, sound: Pcm8k) -> None:
        if (decoder := self._busy.get(utterance)) is not None:
            decoder.feed(sound)
            return
        waiting = self._waiting.get(utterance)
        if waiting is not None and waiting.samples < LONGEST_S * sound.rate:
            waiting.samples += len(sound)
            waiting.audio.append(sound)

    def _recognise(self, utterance: int) -> None:
        if (decoder := self._busy.get(utterance)) is not None:
            result = decoder.recognise()
            answer = {
                "text": result.text,
                "confidence": result.confidence,
                "channel": result.channel,
            }
            self._send(RESULT, utterance, orjson.dumps(answer))
        elif (waiting := self._waiting.get(utterance)) is not None:
            waiting.asked += 1

    def _close(self, utterance: int) -> None:
        self._waiting.pop(utterance, None)
        if (decoder := self._busy.pop(utterance, None)) is not None:
            self._free.append(decoder)
            self._serve()

    def _serve(self) -> None:
        while self._free and self._order:
            utterance = self._order.popleft()
            waiting = self._waiting.pop(utterance, None)
            if waiting is None:
                continue
            decoder = self._busy[utterance] = self._free.pop()
            decoder.begin(waiting.grammar, waiting.channel)
            for sound in waiting.audio:
                decoder.feed(sound)
            for _ in range(waiting.asked):
                self._recognise(utterance)

    def _send(self, kind: int, utterance: int, payload: bytes) -> None:
        self._output.write(HEADER.pack(len(payload), kind, utterance) + payload)
        self._output.flush()


def _warm(decoder: SphinxDecoder, grammar: str) -> None:
    decoder.begin(grammar)
    decoder.feed(Pcm8k.silence(4000))
    decoder.recognise()


def serve(source: BinaryIO, output: BinaryIO) -> None:
    """Works until the input ends."""
    house = DecoderHouse(output)
    while len(header := source.read(HEADER.size)) == HEADER.size:
        length, kind, utterance = HEADER.unpack(header)
        if length > MAX_MESSAGE:
            return
        house.handle(kind, utterance, source.read(length))


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
