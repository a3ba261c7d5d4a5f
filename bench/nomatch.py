"""How well the recogniser says no: what is in the grammar against everything that is not.

    python bench/nomatch.py [--quick] [--fit] [--markdown]

Speech is made with espeak-ng (voices that the weights were not fitted on are held out), put at
-22 dBFS, given a noise floor, and sent through G.711. Each sound is heard by the engine's own
decoder with every grammar that it could meet, and with the channel mean of what the same voice
said before, as in a call. `--fit` fits the weights of pipeline/rejection.py anew.
"""

import argparse
import platform
import random
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass

import numpy as np

from callfleet_agent.audio import Pcm8k, Pcm22k
from callfleet_agent.audio.g711 import Law, decode, encode
from callfleet_agent.audio.resample import resample
from callfleet_agent.dialog import Dialog
from callfleet_agent.pipeline.rejection import WEIGHTS, Signs, Weights, confidence
from callfleet_agent.pipeline.sphinx_decoder import Result, SphinxDecoder
from callfleet_agent.pipeline.transcriber_sphinx import ACCEPTED

VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3", "en-us+m7", "en-gb-x-rp", "en-gb+f2")
HELD_OUT = {"en-gb", "en-us+m7"}
INTENT = (
    "where is my credit card", "where is my card", "when will my card arrive",
    "has my debit card been sent", "i have not received my credit card", "status of my card",
    "card status", "track my card", "help", "operator", "good bye", "repeat", "start again",
)  # fmt: skip
CONFIRM = (
    "yes", "yes please", "yes that is right", "correct", "no", "no thank you", "that is wrong",
    "no that is wrong", "repeat", "help", "good bye",
)  # fmt: skip
MORE = ("no", "yes", "no thank you", "yes please", "where is my card")
ENGLISH = (
    "i would like to order a pizza", "what is the weather tomorrow",
    "please transfer fifty pounds to john", "um", "erm well", "my name is peter miller",
    "can you hear me", "just a second", "put the kettle on darling", "is this the hospital",
    "i want to open an account", "thursday", "banana", "what", "the train leaves at nine", "hello",
    "one moment", "my mother is at home",
)  # fmt: skip
FOREIGN = {
    "de": ("wo ist meine karte bitte", "ich verstehe sie nicht", "guten tag", "einen moment"),
    "fr-fr": ("où est ma carte", "je ne comprends pas", "bonjour monsieur", "un instant"),
    "es": ("dónde está mi tarjeta", "no entiendo nada", "buenos días", "un momento por favor"),
    "it": ("dove è la mia carta", "non capisco", "buongiorno"),
    "nl": ("waar is mijn kaart", "ik begrijp het niet", "goedemorgen"),
    "pl": ("gdzie jest moja karta", "nie rozumiem", "dzień dobry"),
    "sv": ("var är mitt kort", "jag förstår inte"),
    "tr": ("kartım nerede", "anlamıyorum"),
    "ru": ("где моя карта", "я не понимаю", "добрый день"),
    "pt": ("onde está o meu cartão", "não entendo"),
}
PROMPTS = (
    "Welcome to Example Bank.", "How can I help you?",
    "Please say or key in your six digit customer number.",
    "Please say or key in the last four digits of your card.", "Is that right?",
    "Sorry, I did not understand that.", "Is there anything else I can help you with?",
    "Your card was shipped on November the twentieth with Royal Mail.",
    "Thank you for calling. Good bye.", "Are you still there?",
)  # fmt: skip
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEECH = 10 ** (-22 / 20) * 32768


@dataclass(frozen=True)
class Sample:
    """A sound: its kind, the grammars to hear it with, and the text when that is in them."""

    kind: str
    grammars: tuple[str, ...]
    text: str
    sound: Pcm8k
    held_out: bool
    voice: str = ""


def spoken(text: str, voice: str, speed: int) -> np.ndarray:
    """espeak-ng's speech as float samples of 8 kHz."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdin", "--stdout"]
    wav = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
    return resample(Pcm22k(wav[44:]), Pcm8k).samples.astype(np.float32)


def on_the_line(samples: np.ndarray, rng: np.random.Generator, *, snr_db: float) -> Pcm8k:
    """Levelled, in as much quiet as the worker gives (`lead_ms`, `look_ms`), with noise, through
    G.711."""
    level = float(np.sqrt((samples**2).mean())) if len(samples) else 0.0
    if level:
        samples = samples * (SPEECH / level)
    before, after = np.zeros(1600, np.float32), np.zeros(800, np.float32)
    line = np.concatenate((before, samples, after))
    line += rng.normal(0, SPEECH * 10 ** (-snr_db / 20), len(line))
    return decode(encode(Pcm8k.from_samples(line), Law.PCMU), Law.PCMU)


def digit_strings(count: int, how_many: int) -> list[str]:
    """The demonstration's own number first, then drawn ones."""
    draw = random.Random(count)
    own = {4: "four two seven one", 6: "two zero zero four one seven"}[count]
    return [own, *(" ".join(draw.choices(DIGITS, k=count)) for _ in range(how_many - 1))]


def corpus(quick: bool) -> Iterator[Sample]:
    """All sounds."""
    rng, draw = np.random.default_rng(1), random.Random(2)
    voices = VOICES[:2] if quick else VOICES
    sets = {
        "intent": INTENT, "confirm": CONFIRM, "authenticate": digit_strings(4, 10),
        "identify": digit_strings(6, 8), "more": MORE,
    }  # fmt: skip
    everywhere = tuple(sets)
    for grammar, texts in sets.items():
        for voice in voices:
            for text in texts[:4] if quick else texts:
                sound = spoken(text, voice, draw.choice((140, 160, 175)))
                line = on_the_line(sound, rng, snr_db=draw.choice((38, 38, 30, 20)))
                yield Sample("in grammar", (grammar,), text, line, voice in HELD_OUT, voice)
    for index, text in enumerate(ENGLISH[:4] if quick else ENGLISH):
        for voice in voices[:3]:
            line = on_the_line(spoken(text, voice, 165), rng, snr_db=draw.choice((38, 30)))
            yield Sample("other English", everywhere, "", line, index % 3 == 0)
    for language, texts in FOREIGN.items():
        for text in texts[:1] if quick else texts:
            for voice in (language, f"{language}+f2"):
                line = on_the_line(spoken(text, voice, 165), rng, snr_db=draw.choice((38, 30)))
                yield Sample("foreign", everywhere, "", line, language in {"es", "pl", "sv"})
    for index, text in enumerate(PROMPTS[:2] if quick else PROMPTS):
        line = on_the_line(spoken(text, "en-us", 165), rng, snr_db=38)
        yield Sample("own prompt", everywhere, "", line, index % 3 == 0)
    yield from noises(rng, everywhere)


def noises(rng: np.random.Generator, grammars: tuple[str, ...]) -> Iterator[Sample]:
    """Tones, noise, coughs, babble: what a line carries beside speech."""
    time_s = np.arange(12000) / 8000
    for tones in ((440,), (1000,), (697, 1209), (350, 440), (425,)):
        sound = np.sum([np.sin(2 * np.pi * tone * time_s) for tone in tones], axis=0)
        yield Sample("tone", grammars, "", on_the_line(sound, rng, snr_db=38), tones == (440,))
    for index, seconds in enumerate((0.3, 0.8, 1.5, 2.5)):
        white = rng.normal(0, 1, int(8000 * seconds))
        brown = np.diff(np.convolve(white, np.ones(60) / 60, "same"), prepend=0.0)
        for sound in (white, brown):
            yield Sample("noise", grammars, "", on_the_line(sound, rng, snr_db=38), index == 0)
    for index, seconds in enumerate((0.15, 0.3, 0.5)):
        count = int(8000 * seconds)
        cough = rng.normal(0, 1, count) * np.exp(-np.arange(count) / (count / 4))
        yield Sample("noise", grammars, "", on_the_line(cough, rng, snr_db=38), index == 0)
    crowd = [spoken(texts[0] + " " + texts[1], one, 165) for one, texts in FOREIGN.items()]
    shortest = min(map(len, crowd))
    babble = np.sum([voice[:shortest] for voice in crowd], axis=0)
    for index in range(3):
        piece = babble[index * shortest // 4 :][: shortest // 2]
        yield Sample("babble", grammars, "", on_the_line(piece, rng, snr_db=38), index == 0)


@dataclass(frozen=True)
class Trial:
    """A sample heard with one grammar."""

    sample: Sample
    grammar: str
    result: Result

    @property
    def right(self) -> bool:
        said = (self.result.text or "").replace("oh", "zero")
        return bool(self.sample.text) and said == self.sample.text


def hear(samples: list[Sample]) -> tuple[list[Trial], float]:
    """Every sample with every grammar that it may meet, in pieces of 20 ms; and the CPU seconds."""
    grammars = Dialog().grammars()
    words = set().union(*(grammar.words for grammar in grammars))
    [decoder] = SphinxDecoder.several(1, {g.name: g.jsgf() for g in grammars}, words)
    trials: list[Trial] = []
    began = time.process_time()
    channels: dict[str, tuple[float, ...]] = {}
    for sample in samples:
        for grammar in sample.grammars:
            decoder.begin(grammar, channels.get(sample.voice, ()))
            for start in range(0, len(sample.sound), 160):
                decoder.feed(sample.sound.slice(start, start + 160))
            result = decoder.recognise()
            if sample.voice:
                channels[sample.voice] = result.channel
            trials.append(Trial(sample, grammar, result))
    return trials, time.process_time() - began


def fitted(trials: list[Trial]) -> Weights:
    """Weights and bias of a logistic regression on what is not held out, in units of the signs."""
    used = [t for t in trials if t.result.signs and not t.sample.held_out]
    used = [t for t in used if t.right or not t.sample.text]
    rows = np.array([astuple(t.result.signs) for t in used if t.result.signs])
    wanted = np.array([float(t.right) for t in used])
    # What is said counts as much as what is not, although there are more ways to say nothing.
    share = np.where(wanted > 0, 0.5 / wanted.mean(), 0.5 / (1 - wanted.mean()))
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    table = np.c_[(rows - mean) / spread, np.ones(len(rows))]
    weights = np.zeros(table.shape[1])
    for _ in range(60):
        likely = 1 / (1 + np.exp(-table @ weights))
        gradient = table.T @ (share * (wanted - likely)) - weights
        hessian = (table.T * (share * likely * (1 - likely))) @ table + np.eye(len(weights))
        weights = weights + np.linalg.solve(hessian, gradient)
    own = weights[:-1] / spread
    signs = Signs(*(round(float(weight), 2) for weight in own))
    return Weights(signs, round(float(weights[-1] - own @ mean), 2))


def table(trials: list[Trial], weights: Weights, *, held_out: bool) -> str:
    """The confusion table as Markdown."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for trial in trials:
        if trial.sample.held_out == held_out:
            signs = trial.result.signs
            accepted = signs is not None and confidence(signs, weights) >= ACCEPTED
            verdict = ("right" if trial.right else "wrong") if accepted else "no match"
            counts[trial.sample.kind, trial.grammar][verdict] += 1
    lines = [
        "| what came | grammar | heard right | heard wrong | no match |",
        "|---|---|---|---|---|",
    ]
    for (kind, grammar), found in sorted(counts.items()):
        cells = [str(found[verdict]) for verdict in ("right", "wrong", "no match")]
        lines.append(f"| {kind} | {grammar} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few sounds only")
    parser.add_argument("--fit", action="store_true", help="fit the weights anew")
    options = parser.parse_args()
    samples = list(corpus(options.quick))
    trials, cpu_s = hear(samples)
    seconds = sum(trial.sample.sound.seconds for trial in trials)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    print(f"{platform.machine()}, Python {platform.python_version()}, {commit.stdout.strip()}")
    print(f"{len(trials)} trials, {seconds:.0f} s of sound, {cpu_s / seconds:.1%} of a core")
    weights = WEIGHTS
    if options.fit:
        weights = fitted(trials)
        print(weights)
    print("\nHeld out (voices, languages and sounds that the weights were not fitted on):\n")
    print(table(trials, weights, held_out=True))
    print("\nThe others:\n")
    print(table(trials, weights, held_out=False))


if __name__ == "__main__":
    main()
