"""PocketSphinx for the telephone: one utterance at a time, with a grammar and a free phone loop.

What makes it hear at 8 kHz with a model of 16 kHz (measured by bench/nomatch.py): a noise floor
below the speech, its channel mean kept over the call, and pronunciations as they are without the
sound above 4 kHz, where an S is an F or a TH.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pocketsphinx

from callfleet_agent.audio import Pcm8k, Pcm16k
from callfleet_agent.audio.resample import Upsampler8to16
from callfleet_agent.pipeline.rejection import Segment, Signs, confidence, signs_of

_MODELS: Final = Path(pocketsphinx.get_model_path()) / "en-us"
NARROWBAND: Final = (
    ("six", "F IH K F"), ("six", "TH IH K TH"), ("six", "S IH K"), ("six", "F IH K"),
    ("six", "TH IH K S"), ("seven", "F EH V AH N"), ("seven", "TH EH V AH N"), ("nine", "N AY"),
    ("nine", "M AY N"), ("nine", "N AY M"), ("zero", "V IH R OW"), ("zero", "DH IH R OW"),
    ("five", "F AY"), ("five", "TH AY V"), ("eight", "EY"),
    ("yes", "Y EH F"), ("yes", "Y EH TH"), ("no", "N UH UW"), ("no", "DH OW"), ("no", "DH UH UW"),
    ("no", "DH UW UH UW"),
    ("help", "HH EH OW P"), ("help", "EH OW P"), ("help", "T EH OW P"),
    ("sixty", "F IH K F T IY"), ("sixty", "TH IH K TH T IY"), ("sixty", "S IH K T IY"),
    ("sixty", "F IH K T IY"), ("sixteen", "F IH K F T IY N"), ("sixteen", "TH IH K TH T IY N"),
    ("sixteen", "F IH K T IY N"), ("sixteenth", "F IH K F T IY N TH"),
    ("sixteenth", "TH IH K TH T IY N TH"), ("sixteenth", "F IH K T IY N TH"),
    ("sixth", "F IH K F TH"), ("sixth", "TH IH K TH"), ("sixth", "F IH K TH"),
    ("seventy", "F EH V AH N T IY"), ("seventy", "TH EH V AH N T IY"),
    ("seventeen", "F EH V AH N T IY N"), ("seventeen", "TH EH V AH N T IY N"),
    ("seventeenth", "F EH V AH N T IY N TH"), ("seventeenth", "TH EH V AH N T IY N TH"),
    ("seventh", "F EH V AH N TH"), ("seventh", "TH EH V AH N TH"),
    ("nineteen", "N AY T IY N"), ("nineteen", "M AY N T IY N"), ("nineteen", "N AY N T IY M"),
    ("first", "F ER F T"), ("first", "F ER TH T"), ("first", "F ER T"), ("first", "TH ER F T"),
    ("second", "F EH K AH N D"), ("second", "TH EH K AH N D"), ("second", "F EH K AH N"),
    ("september", "F EH P T EH M B ER"), ("september", "TH EH P T EH M B ER"),
    ("thousand", "TH AW F AH N D"), ("thousand", "TH AW TH AH N D"), ("thousand", "TH AW Z AH N"),
)  # fmt: skip
NOISE_BELOW_SPEECH: Final = 0.02  # -34 dB
LEAST_NOISE: Final = 8.0
LONGEST_S: Final = 15
_SILENCES: Final = frozenset({"SIL", "+NSN+", "+SPN+", "<sil>", "<s>", "</s>", "(NULL)"})
# Without the lattice, PocketSphinx gives scores shifted right by ten bits.
_SCALE: Final = 1024
_LOWEST: Final = -1e6
_FRAME: Final = 160
_QUIET: Final = 0.03
_OWN_VARIANTS: Final = 50  # above the dictionary's own numbers


@dataclass(frozen=True, slots=True)
class Result:
    """What was heard. `text` None: the grammar has no path at all."""

    text: str | None = field(repr=False)
    confidence: float
    signs: Signs | None
    channel: tuple[float, ...]


class Levels:
    """How loud each frame of 10 ms is: a free loop of phones hears an F in every noise floor, so
    only what is louder than that can speak for or against a hypothesis."""

    def __init__(self) -> None:
        self._frames: list[float] = []
        self._rest = np.zeros(0, np.float32)
        self.loudest = 0.0

    @property
    def seconds(self) -> float:
        return len(self._frames) / 100

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """More sound of 16 kHz."""
        samples = np.concatenate((self._rest, samples))
        whole = len(samples) - len(samples) % _FRAME
        self._rest = samples[whole:]
        levels = np.sqrt((samples[:whole].reshape(-1, _FRAME) ** 2).mean(axis=1))
        self._frames += [float(level) for level in levels]
        self.loudest = max(self.loudest, float(levels.max(initial=0.0)))

    def sounding(self) -> npt.NDArray[np.bool_]:
        """Which frames are sound: at most 30 dB below the loudest, or where the line is noisy,
        louder than twice its quiet (then at most 21 dB below)."""
        levels = np.array(self._frames or [0.0])
        floor = 2 * float(np.quantile(levels, 0.1))
        return levels > max(self.loudest * _QUIET, min(floor, self.loudest * _QUIET * 3))


class Pronunciations:
    """A dictionary with nothing but the words that are needed, in a file of its own: the whole one
    takes 40 MB in each pair of decoders. Raises ValueError for words that nobody can pronounce."""

    def __init__(self, words: Iterable[str]) -> None:
        wanted, lines, known = set(words), [], set()
        for line in (_MODELS / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines():
            entry = line.split(" ", 1)[0]
            word = entry.split("(", 1)[0]
            if word in wanted:
                known.add(word)
                lines.append(line)
        if wanted - known:
            raise ValueError(f"words without a pronunciation: {sorted(wanted - known)}")
        for number, (word, phones) in enumerate(NARROWBAND, start=_OWN_VARIANTS):
            if word in wanted:
                lines.append(f"{word}({number}) {phones}")
        with NamedTemporaryFile("w", encoding="utf-8", suffix=".dict", delete=False) as file:
            file.write("\n".join(lines) + "\n")
        self.path = Path(file.name)
        self.phones = {line.split(" ", 1)[0]: tuple(line.split()[1:]) for line in lines}

    def remove(self) -> None:
        """The file is not needed once the decoders are made."""
        self.path.unlink(missing_ok=True)


def _config(dictionary: Path, **changes: Any) -> Any:
    return pocketsphinx.Config(
        hmm=str(_MODELS / "en-us"),
        dict=str(dictionary),
        loglevel="FATAL",
        lm=None,
        cmn="live",
        **changes,
    )


class SphinxDecoder:
    """Two decoders that hear the same: `begin`, `feed`, `recognise`, any number of times."""

    def __init__(self, pronunciations: Pronunciations) -> None:
        dictionary = pronunciations.path
        # Without the search of the best path through the lattice: more exact here, and the end of
        # six digits takes 5 ms instead of 0.6 s.
        self._words = pocketsphinx.Decoder(_config(dictionary, bestpath=False))
        self._phones = pocketsphinx.Decoder(
            _config(
                dictionary,
                allphone=str(_MODELS / "en-us-phone.lm.bin"),
                allphone_ci=True,
                lw=1.0,
                beam=1e-20,
                pbeam=1e-20,
            )
        )
        self._neutral = self._words.get_cmn(False)
        self._noise = np.random.default_rng(20261123)
        self._spelled = pronunciations.phones
        self._heard: list[Pcm16k] = []
        self._levels = Levels()
        self._open = False
        self._grammar = ""
        self._channel = self._neutral
        self._upsampler = Upsampler8to16()

    @classmethod
    def several(cls, count: int, grammars: Mapping[str, str], words: Iterable[str]) -> list[Self]:
        """Decoders that know these grammars (JSGF by name) and words. Raises ValueError."""
        pronunciations = Pronunciations(words)
        try:
            decoders = [cls(pronunciations) for _ in range(count)]
        finally:
            pronunciations.remove()
        for decoder in decoders:
            for name, jsgf in grammars.items():
                decoder._add_grammar(name, jsgf)  # noqa: SLF001
        return decoders

    def _add_grammar(self, name: str, jsgf: str) -> None:
        try:
            self._words.add_jsgf_string(name, jsgf)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"grammar {name} cannot be used") from error

    def begin(self, grammar: str, channel: Iterable[float] = ()) -> None:
        """A new utterance; what was open is dropped."""
        self._drop()
        self._grammar = grammar
        self._channel = ",".join(f"{value:.2f}" for value in channel) or self._neutral
        self._heard, self._levels = [], Levels()
        self._upsampler = Upsampler8to16()
        self._start()

    def feed(self, sound: Pcm8k) -> None:
        """More of the utterance; after LONGEST_S seconds the rest is not listened to."""
        if self._levels.seconds > LONGEST_S:
            return
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
        if not self._open or not self._heard:
            return Result(None, 0.0, None, ())
        self._words.end_utt()
        self._phones.end_utt()
        self._open = False
        channel = tuple(float(value) for value in self._words.get_cmn(True).split(","))
        hypothesis = self._words.hyp()
        if hypothesis is None or not hypothesis.hypstr:
            return Result(None, 0.0, None, channel)
        words = [item for item in _segments(self._words) if not item.name.startswith("<")]
        sounding = self._levels.sounding()
        phones = [item for item in _segments(self._phones) if _sounds(item, sounding)]
        signs = signs_of(words, phones, self._spelled)
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
        self._levels.add(samples)
        level = max(LEAST_NOISE, self._levels.loudest * NOISE_BELOW_SPEECH)
        noise = self._noise.normal(0.0, level, len(samples))
        return Pcm16k.from_samples(samples + noise)


def _sounds(segment: Segment, sounding: npt.NDArray[np.bool_]) -> bool:
    frames = sounding[segment.first : segment.last + 1]
    return bool(len(frames)) and bool(frames.mean() >= 0.5)


def _segments(decoder: Any) -> Iterable[Segment]:
    for item in decoder.seg() or ():
        if item.word not in _SILENCES:
            score = log(item.ascore) * _SCALE if item.ascore > 0 else _LOWEST
            yield Segment(item.word, item.start_frame, item.end_frame, score)
