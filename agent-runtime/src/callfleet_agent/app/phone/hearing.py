"""What the agent says, as text: PocketSphinx in a child process, with a language of sentences.

The child reads one utterance after another (length, then s16le at 16 kHz) and answers each with one
line of JSON. A recogniser holds the interpreter's lock for a second and more: in the phone's own
process it would stop the phone's clock.
"""

import asyncio
import contextlib
import struct
import sys
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from callfleet_agent.app.errors import AppError
from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.resample import resample

LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of an utterance, empty when it is none of the sentences that are known; and when
    each of them ended, in seconds from the utterance's beginning."""

    text: str = ""
    ends_s: tuple[float, ...] = ()


class Hears(Protocol):
    """What recognises utterances. Raises AppError when it cannot."""

    async def recognise(self, utterance: Pcm8k) -> Heard: ...


class Ear:
    """Recognises utterances in a child process, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    @classmethod
    async def start(cls, bank_name: str) -> "Ear":
        """Start the child; it loads its models while the phone rings."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "callfleet_agent.app.recognise",
                bank_name,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        )

    async def recognise(self, utterance: Pcm8k) -> Heard:
        """The words of an utterance.

        Raises:
            AppError: the child is gone.
        """
        sound = resample(utterance, Pcm16k).data
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AppError("the recogniser has no pipes")
        async with self._lock:
            try:
                stdin.write(LENGTH.pack(len(sound)) + sound)
                await stdin.drain()
                line = await stdout.readline()
            except ConnectionError:
                line = b""
        if not line:
            raise AppError("the recogniser ended")
        told = orjson.loads(line)
        return Heard(str(told["text"]), tuple(told["ends"]))

    async def close(self) -> None:
        """End the child."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()
