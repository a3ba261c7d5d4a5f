"""The embedded transcriber: PocketSphinx in a pool of child processes made at start."""

import asyncio
import contextlib
import itertools
import logging
import sys
from collections import deque
from collections.abc import Sequence
from typing import Final, TypeVar

import orjson

from callfleet_agent.at_work import Pace, at_work, work_of
from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Grammar
from callfleet_agent.pipeline.ports import Recognition, TranscriberError
from callfleet_agent.pipeline.sphinx_process import (
    AUDIO,
    BEGIN,
    CLOSE,
    FORGET,
    HEADER,
    MAX_MESSAGE,
    NUMBER,
    READY,
    RECOGNISE,
    RESULT,
    START,
)
from callfleet_agent.time_limit import at_most

ACCEPTED: Final = 0.4
"""The confidence from which a hypothesis is taken for what was said."""
PACE: Final = Pace(look_s=60.0, most_s=540.0)  # less than a worker's own
ANSWER_LIMIT_S: Final = 4.0
_MAX_UNWRITTEN: Final = 4 << 20
_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class _Child:
    """One process of decoders. When it dies, what it was asked fails and it is started again."""

    def __init__(self, decoders: int) -> None:
        self._decoders = decoders
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self.up = asyncio.Event()
        self.answers: dict[int, deque[asyncio.Future[Recognition]]] = {}

    async def start(self, grammars: Sequence[Grammar]) -> None:
        """Raises TranscriberError when it does not come up."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "callfleet_agent.pipeline.sphinx_process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._reader = loop.create_task(self._read(self._process, self._process.stdout))
        words = sorted(set().union(*(grammar.words for grammar in grammars)))
        texts = {grammar.name: grammar.jsgf() for grammar in grammars}
        fields = {"decoders": self._decoders, "words": words, "grammars": texts}
        self.send(START, 0, orjson.dumps(fields))
        try:
            await at_work(self._ready, self._work, PACE, self._slow)
            self.up.set()
        except (TimeoutError, TranscriberError):
            await self.stop()
            raise TranscriberError("a decoder process did not start") from None

    def _work(self) -> int | None:
        return None if self._process is None else work_of(self._process.pid)

    def _slow(self, seconds: float) -> None:
        _log.warning("decoders are slow to start, and at work", extra={"seconds": round(seconds)})

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.alive else None

    def send(self, kind: int, utterance: int, payload: bytes = b"") -> None:
        """Never blocks; a child that does not read loses messages, and then its answers fail."""
        if self._process is None or self._process.stdin is None or not self.alive:
            return
        pipe = self._process.stdin
        if pipe.transport.get_write_buffer_size() < _MAX_UNWRITTEN and not pipe.is_closing():
            pipe.write(HEADER.pack(len(payload), kind, utterance) + payload)

    async def wait(self) -> None:
        """Until it has ended."""
        if self._reader is not None:
            await asyncio.wait({self._reader})

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader

    async def _read(
        self, process: asyncio.subprocess.Process, output: asyncio.StreamReader | None
    ) -> None:
        try:
            while output is not None:
                header = await output.readexactly(HEADER.size)
                length, kind, utterance = HEADER.unpack(header)
                if length > MAX_MESSAGE:
                    break
                self._received(kind, utterance, await output.readexactly(length))
        except asyncio.IncompleteReadError:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self._fail_all()

    def _received(self, kind: int, utterance: int, payload: bytes) -> None:
        if kind == READY and self._ready is not None:
            _settle(self._ready, None)
        waiting = self.answers.get(utterance)
        if kind == RESULT and waiting:
            fields = orjson.loads(payload)
            accepted = fields["text"] is not None and fields["confidence"] >= ACCEPTED
            text = fields["text"] if accepted else None
            recognition = Recognition(text, fields["confidence"], tuple(fields["channel"]))
            _settle(waiting.popleft(), recognition)

    def _fail_all(self) -> None:
        self.up.clear()
        error = TranscriberError("the decoder process ended")
        for waiting in self.answers.values():
            while waiting:
                _fail(waiting.popleft(), error)
        if self._ready is not None:
            _fail(self._ready, error)


def _settle(future: "asyncio.Future[Answer]", value: "Answer") -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[Answer]", error: TranscriberError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whoever still waits gets it; nobody else need see it


class SphinxUtterance:
    """One utterance in a child process."""

    def __init__(self, child: _Child, number: int, limit_s: float) -> None:
        self._child = child
        self._limit_s = limit_s
        self.number = number
        self._open = True
        self._questions = itertools.count()

    def feed(self, sound: Pcm8k) -> None:
        if self._open:
            self._child.send(AUDIO, self.number, sound.data)

    async def recognise(self) -> Recognition:
        if not self._open or not self._child.alive:
            raise TranscriberError("the decoder process is gone")
        future: asyncio.Future[Recognition] = asyncio.get_running_loop().create_future()
        self._child.answers.setdefault(self.number, deque()).append(future)
        question = next(self._questions)
        self._child.send(RECOGNISE, self.number)
        try:
            async with at_most(self._limit_s):
                return await future
        except TimeoutError:
            raise TranscriberError("the decoder process is too slow") from None
        except asyncio.CancelledError:
            if self._open:
                self._child.send(FORGET, self.number, NUMBER.pack(question))
            raise

    def close(self) -> None:
        if self._open:
            self._open = False
            self._child.send(CLOSE, self.number)
            for future in self._child.answers.pop(self.number, ()):
                _fail(future, TranscriberError("the utterance was closed"))

    @property
    def open_in(self) -> _Child | None:
        """The child that is busy with it."""
        return self._child if self._open else None


class SphinxTranscriber:
    """`processes` children with `decoders` each; an answer has `limit_s`."""

    def __init__(self, processes: int, decoders: int, limit_s: float = ANSWER_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._children = [_Child(decoders) for _ in range(processes)]
        self._open: list[SphinxUtterance] = []
        self.numbers = itertools.count(1)
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self, grammars: Sequence[Grammar]) -> None:
        await asyncio.gather(*(child.start(grammars) for child in self._children))
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(c, grammars)) for c in self._children]

    def begin(self, grammar: Grammar, channel: tuple[float, ...]) -> SphinxUtterance:
        self._open = [utterance for utterance in self._open if utterance.open_in]
        load = [sum(u.open_in is child for u in self._open) for child in self._children]
        for index, child in enumerate(self._children):
            load[index] += 1_000_000 * (not child.up.is_set())
        child = self._children[load.index(min(load))]
        utterance = SphinxUtterance(child, next(self.numbers), self._limit_s)
        self._open.append(utterance)
        fields = {"grammar": grammar.name, "channel": channel}
        child.send(BEGIN, utterance.number, orjson.dumps(fields))
        return utterance

    @property
    def processes(self) -> list[int | None]:
        """The children's process ids, None for one that is being started again."""
        return [child.pid for child in self._children]

    async def warm(self) -> None:
        """Until every child has all its grammars."""
        await asyncio.gather(*(child.up.wait() for child in self._children))

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self._children))

    async def _keep(self, child: _Child, grammars: Sequence[Grammar]) -> None:
        pause_s = 0.5
        while True:
            await child.wait()
            _log.warning("a decoder process ended and is started again")
            try:
                await child.start(grammars)
                pause_s = 0.5
            except (TranscriberError, OSError):
                await asyncio.sleep(pause_s)
                pause_s = min(30.0, pause_s * 2)
