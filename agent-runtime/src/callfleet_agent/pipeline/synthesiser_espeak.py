"""The embedded synthesiser: espeak-ng, one short-lived process for each sentence.

Text is data: it goes in by standard input, without markup (-m is not given), and what espeak-ng
would take for phonemes ([[ ]]) is taken out. A cancelled sentence kills its process.
"""

import asyncio
import contextlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from callfleet_agent.audio import Pcm8k, Pcm22k
from callfleet_agent.audio.resample import resample
from callfleet_agent.pipeline.ports import SynthesiserError
from callfleet_agent.time_limit import at_most

LIMIT_S: Final = 5.0
START_LIMIT_S: Final = 60.0  # nobody waits for it, and all workers of a machine start at once
MAX_TEXT: Final = 1000
MAX_KEPT_SAMPLES: Final = 8000 * 60 * 20  # 20 min of speech, 19 MB
MAX_PROCESSES: Final = 4
_HEADER: Final = 44
_RATE: Final = slice(24, 28)
_NOT_SPOKEN: Final = re.compile(r"[\[\]<>&|\\{}\x00-\x1f\x7f]")


class EspeakSynthesiser:
    """A voice of espeak-ng, with what was rendered kept for as long as there is room. A sentence
    may take `limit_s`."""

    def __init__(self, voice: str, words_per_minute: int, *, limit_s: float = LIMIT_S) -> None:
        self._command = ("espeak-ng", "-v", voice, "-s", str(words_per_minute), "-b", "1",
                         "--stdin", "--stdout")  # fmt: skip
        self._kept: OrderedDict[str, Pcm8k] = OrderedDict()
        self._samples = 0
        self._limit_s = limit_s
        self._turn = asyncio.Semaphore(MAX_PROCESSES)

    async def start(self, sentences: Sequence[str]) -> None:
        """Raises SynthesiserError when espeak-ng does not speak."""
        await asyncio.gather(*(self._spoken(sentence, START_LIMIT_S) for sentence in sentences))

    async def speech(self, sentence: str, *, private: bool) -> Pcm8k:
        return await self._spoken(sentence, self._limit_s, private=private)

    async def stop(self) -> None:
        self._kept.clear()

    async def _spoken(self, sentence: str, limit_s: float, *, private: bool = False) -> Pcm8k:
        if (kept := self._kept.get(sentence)) is not None:
            self._kept.move_to_end(sentence)
            return kept
        async with self._turn:
            sound = _trimmed(await self._rendered(sentence, limit_s))
        if not private:
            self._keep(sentence, sound)
        return sound

    async def _rendered(self, sentence: str, limit_s: float) -> Pcm8k:
        text = _NOT_SPOKEN.sub(" ", sentence)[:MAX_TEXT]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise SynthesiserError(f"espeak-ng cannot be run: {error.strerror}") from None
        try:
            async with at_most(limit_s):
                wav, _ = await process.communicate(text.encode())
        except TimeoutError:
            raise SynthesiserError("espeak-ng is too slow") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return _sound(wav, process.returncode)

    def _keep(self, sentence: str, sound: Pcm8k) -> None:
        if sentence not in self._kept:
            self._kept[sentence] = sound
            self._samples += len(sound)
        while self._samples > MAX_KEPT_SAMPLES:
            _, dropped = self._kept.popitem(last=False)
            self._samples -= len(dropped)


def _sound(wav: bytes, status: int | None) -> Pcm8k:
    """The header's lengths are not filled in, since the file was written to a pipe."""
    rate = int.from_bytes(wav[_RATE], "little")
    if status != 0 or wav[:4] != b"RIFF" or rate != Pcm22k.rate:
        raise SynthesiserError(f"espeak-ng ended with status {status} and no speech")
    body = wav[_HEADER:]
    return resample(Pcm22k(body[: len(body) & ~1]), Pcm8k)


def _trimmed(sound: Pcm8k) -> Pcm8k:
    """Without the silence at the beginning, which would delay the answer; a little is left."""
    for start in range(0, len(sound), 40):
        samples = sound.slice(start, start + 40).samples
        if len(samples) and abs(samples.astype(int)).max() > 100:
            return sound.slice(max(0, start - 40))
    return sound
