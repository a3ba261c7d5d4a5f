"""Speech of agents to text, and the card's status in a recording.

`python -m callfleet_agent.app.recognise BANK` is the child process of `phone.hearing`.
"""

import os
import random
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final

import numpy as np
import orjson
from pocketsphinx import Config, Decoder, get_model_path

from callfleet_agent.app.phone.hearing import LENGTH, Heard
from callfleet_agent.app.phone.measure import Segments
from callfleet_agent.app.sentences import Language, status_in
from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k, Pcm16k
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.audio.resample import resample

FLOOR_DBFS: Final = -58.0
NICENESS: Final = 10
_LONGEST_S: Final = 30.0
_TRIES: Final = 2
_FRAMES_PER_S: Final = 100


class Recogniser:
    """Recognises utterances of an agent. Making one takes half a second, an utterance a few."""

    def __init__(self, bank_name: str = "Example Bank") -> None:
        self._floor = NoiseFloor(random.Random(0), FLOOR_DBFS)
        model = Path(str(get_model_path())) / "en-us"
        dictionary = model / "cmudict-en-us.dict"
        with dictionary.open(encoding="utf-8") as lines:
            known = frozenset(line.partition(" ")[0] for line in lines)
        self._language = Language(bank_name, known)
        with NamedTemporaryFile("w", suffix=".gram", encoding="utf-8") as grammar:
            grammar.write(self._language.grammar)
            grammar.flush()
            self._decoder = Decoder(
                Config(
                    hmm=str(model / "en-us"),
                    dict=str(dictionary),
                    jsgf=grammar.name,
                    lm=None,
                    samprate=Pcm16k.rate,
                    loglevel="FATAL",
                )
            )
        self._neutral = self._decoder.get_cmn(False)

    def recognise(self, utterance: Pcm16k) -> str:
        """The whole sentences of an agent in an utterance, empty if there is none."""
        return self.hear(utterance).text

    def hear(self, utterance: Pcm16k) -> Heard:
        """The whole sentences of an agent in an utterance, and when each word ended. Where there is
        none it is heard again over another noise, and without what was learned of the line."""
        for _ in range(_TRIES):
            heard = self._heard(utterance)
            if heard.text:
                return heard
            self._decoder.set_cmn(self._neutral)
        return Heard()

    def _heard(self, utterance: Pcm16k) -> Heard:
        decoder = self._decoder
        sound = utterance.slice(0, int(_LONGEST_S * Pcm16k.rate))
        floor = self._floor.take(len(sound))  # digital silence between words is misheard
        noisy = sound.samples.astype(np.int32) + np.frombuffer(floor, dtype="<i2")
        decoder.start_utt()
        decoder.process_raw(Pcm16k.from_samples(noisy).data, full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return Heard()
        words = [(each.word.partition("(")[0], each.end_frame) for each in decoder.seg()]
        spoken = [(word, end) for word, end in words if word and word[0] not in "<["]
        text = self._language.complete(" ".join(word for word, _ in spoken))
        ends = ((end + 1) / _FRAMES_PER_S for _, end in spoken[: len(text.split())])
        return Heard(text, tuple(ends))


def recognise_recording(wav: Path, bank_name: str = "Example Bank") -> list[str]:
    """What an agent says in a recording of the phone (the right channel, or the only one).

    Raises:
        OSError, wave.Error: the file cannot be read.
    """
    recogniser = Recogniser(bank_name)
    return [
        text
        for utterance in utterances(agent_side(wav))
        if (text := recogniser.recognise(resample(utterance, Pcm16k)))
    ]


def recognise_status(wav: Path, bank_name: str = "Example Bank") -> str | None:
    """The card's status that an agent tells in a recording, None if it tells none."""
    for text in recognise_recording(wav, bank_name):
        status = status_in(text)
        if status is not None:
            return status
    return None


def agent_side(wav: Path) -> Pcm8k:
    """The agent's channel of a recording."""
    import wave

    with wave.open(str(wav), "rb") as file:
        channels, frames = file.getnchannels(), file.readframes(file.getnframes())
        if (file.getframerate(), file.getsampwidth()) != (Pcm8k.rate, 2):
            raise wave.Error("a recording has 8000 samples of 16 bits a second")
    return Pcm8k.from_samples(np.frombuffer(frames, dtype="<i2")[channels - 1 :: channels])


def utterances(sound: Pcm8k) -> list[Pcm8k]:
    """The stretches of speech in a recording."""
    segments, found = Segments(), []
    for start in range(0, len(sound), FRAME_SAMPLES):
        utterance = segments.add(sound.slice(start, start + FRAME_SAMPLES))
        if utterance is not None:
            found.append(utterance)
    rest = segments.flush()
    return [*found, rest] if rest is not None else found


def serve(bank_name: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer utterances until there are no more; what is measured meanwhile comes first."""
    os.nice(NICENESS)
    recogniser = Recogniser(bank_name)
    while head := source.read(LENGTH.size):
        (length,) = LENGTH.unpack(head)
        heard = recogniser.hear(Pcm16k(source.read(length)))
        sink.write(orjson.dumps({"text": heard.text, "ends": heard.ends_s}) + b"\n")
        sink.flush()


if __name__ == "__main__":
    serve(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
