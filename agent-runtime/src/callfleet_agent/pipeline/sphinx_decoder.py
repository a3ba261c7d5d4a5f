"""PocketSphinx for the telephone: one utterance at a time, with a grammar and a free phone loop.

What makes it hear at 8 kHz with a model of 16 kHz (measured by bench/nomatch.py): a noise floor
below the speech, its channel mean kept over the call, and pronunciations as they are without the
sound above 4 kHz, where an S is an F or a TH.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pocketsphinx

from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.resample import Upsampler8to16
from callfleet_agent.pipeline.rejection import Segment, Signs, confidence, signs_of

NARROWBAND: Final = (
    ("six", "F IH K F"), ("six", "TH IH K TH"), ("six", "S IH K"), ("six", "F IH K"),
    ("six", "TH IH K S"), ("seven", "F EH V AH N"), ("seven", "TH EH V AH N"), ("nine", "N AY"),
    ("nine", "M AY N"), ("nine", "N AY M"), ("zero", "V IH R OW"), ("zero", "DH IH R OW"),
    ("five", "F AY"), ("five", "TH AY V"), ("eight", "EY"),
    ("yes", "Y EH F"), ("yes", "Y EH TH"),
)  # fmt: skip
NOISE_BELOW_SPEECH: Final = 0.04  # -28 dB
LEAST_NOISE: Final = 8.0
LONGEST_S: Final = 15
_SILENCES: Final = frozenset({"SIL", "+NSN+", "+SPN+", "<sil>", "<s>", "</s>", "(NULL)"})
_OWN_VARIANTS: Final = 50  # above the dictionary's own numbers


@dataclass(frozen=True, slots=True)
class Result:
    """What was heard. `text` None: the grammar has no path at all."""

    text: str | None = field(repr=False)
    confidence: float
    signs: Signs | None
    channel: tuple[float, ...]


def _config(**changes: Any) -> Any:
    models = Path(pocketsphinx.get_model_path()) / "en-us"
    return pocketsphinx.Config(
        hmm=str(models / "en-us"),
        dict=str(models / "cmudict-en-us.dict"),
        loglevel="FATAL",
        lm=None,
        cmn="live",
        **changes,
    )


class SphinxDecoder:
    """Two decoders that hear the same: `begin`, `feed`, `recognise`, any number of times."""

    def __init__(self) -> None:
        models = Path(pocketsphinx.get_model_path()) / "en-us"
        # Narrower beams than the default: as exact, and six digits end in 0.1 s instead of 0.7 s.
        self._words = pocketsphinx.Decoder(_config(beam=1e-30, pbeam=1e-30, wbeam=1e-20))
        self._phones = pocketsphinx.Decoder(
            _config(
                allphone=str(models / "en-us-phone.lm.bin"),
                allphone_ci=True,
                lw=1.0,
                beam=1e-20,
                pbeam=1e-20,
            )
        )
        for number, (word, phones) in enumerate(NARROWBAND):
            self._words.add_word(f"{word}({_OWN_VARIANTS + number})", phones, False)
        self._neutral = self._words.get_cmn(False)
        self._noise = np.random.default_rng(20261123)
        self._spelled: dict[str, Sequence[str]] = {}
        self._heard: list[Pcm16k] = []
        self._samples = 0
        self._loudest = 0.0
        self._open = False
        self._grammar = ""
        self._channel = self._neutral
        self._upsampler = Upsampler8to16()

    def add_grammar(self, name: str, jsgf: str) -> None:
        """Raises ValueError for a grammar that cannot be used, such as one with unknown words."""
        try:
            self._words.add_jsgf_string(name, jsgf)
        except RuntimeError as error:
            raise ValueError(f"grammar {name} cannot be used") from error

    def begin(self, grammar: str, channel: Iterable[float] = ()) -> None:
        """A new utterance; what was open is dropped."""
        self._drop()
        self._grammar = grammar
        self._channel = ",".join(f"{value:.2f}" for value in channel) or self._neutral
        self._heard, self._samples, self._loudest = [], 0, 0.0
        self._upsampler = Upsampler8to16()
        self._start()

    def feed(self, sound: Pcm8k) -> None:
        """More of the utterance; after LONGEST_S seconds the rest is not listened to."""
        if self._samples > LONGEST_S * sound.rate:
            return
        self._samples += len(sound)
        wide = self._with_noise_floor(self._upsampler.process(sound))
        self._heard.append(wide)
        if not self._open:
            # It went on after all: what was heard so far belongs to it.
            self._start()
            for earlier in self._heard[:-1]:
                self._process(earlier)
        self._process(wide)

    def recognise(self) -> Result:
        """What was said up to here."""
        if not self._open or not self._samples:
            return Result(None, 0.0, None, ())
        self._words.end_utt()
        self._phones.end_utt()
        self._open = False
        channel = tuple(float(value) for value in self._words.get_cmn(True).split(","))
        hypothesis = self._words.hyp()
        if hypothesis is None or not hypothesis.hypstr:
            return Result(None, 0.0, None, channel)
        words = [item for item in _segments(self._words) if not item.name.startswith("<")]
        phones = list(_segments(self._phones))
        signs = signs_of(words, phones, {word.name: self._spell(word.name) for word in words})
        return Result(hypothesis.hypstr, confidence(signs), signs, channel)

    def _start(self) -> None:
        self._words.activate_search(self._grammar)
        for decoder in (self._words, self._phones):
            decoder.set_cmn(self._channel)
            decoder.start_utt()
        self._open = True

    def _drop(self) -> None:
        if self._open:
            self._words.end_utt()
            self._phones.end_utt()
            self._open = False

    def _process(self, sound: Pcm16k) -> None:
        if sound.data:
            self._words.process_raw(sound.data, False, False)
            self._phones.process_raw(sound.data, False, False)

    def _with_noise_floor(self, sound: Pcm16k) -> Pcm16k:
        samples = sound.samples.astype(np.float32)
        if not len(samples):
            return sound
        self._loudest = max(self._loudest, float(np.sqrt((samples**2).mean())))
        level = max(LEAST_NOISE, self._loudest * NOISE_BELOW_SPEECH)
        noise = self._noise.normal(0.0, level, len(samples))
        return Pcm16k.from_samples(samples + noise)

    def _spell(self, word: str) -> Sequence[str]:
        if word not in self._spelled:
            self._spelled[word] = (self._words.lookup_word(word) or "").split()
        return self._spelled[word]


def _segments(decoder: Any) -> Iterable[Segment]:
    for item in decoder.seg() or ():
        if item.word not in _SILENCES:
            yield Segment(item.word, item.start_frame, item.end_frame, item.ascore)
