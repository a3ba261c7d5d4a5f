"""How well spoken dates of birth and codes are heard, and other speech is not.

    python bench/proofs.py [--quick]

The voices and the line are those of bench/nomatch.py; the recogniser hears them with the grammar of
a dialog that asks for a date of birth, or for a code of six digits. What counts is what the dialog
understands: another day is wrong, also when only one word of it is. The weights that say no were
fitted on none of these.
"""

import argparse
import platform
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from bench.nomatch import DIGITS, ENGLISH, FOREIGN, PROMPTS, VOICES, on_the_line, spoken

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Dialog, DialogSettings, Method
from callfleet_agent.dialog.dates import date_of_birth_to_words
from callfleet_agent.dialog.meaning import Meaning, expected, of_words
from callfleet_agent.dialog.state import State
from callfleet_agent.pipeline.sphinx_decoder import SphinxDecoder
from callfleet_agent.pipeline.transcriber_sphinx import ACCEPTED

SETTINGS = {
    "birth": DialogSettings(method=Method.DATE_OF_BIRTH),
    "code": DialogSettings(method=Method.ONE_TIME_CODE, credential_digits=6),
}


@dataclass(frozen=True)
class Sample:
    """A sound for one of the two dialogs; `wanted`: what is in it, if anything that is asked."""

    dialog: str
    kind: str
    voice: str
    wanted: str | None
    sound: Pcm8k


def births(how_many: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Days between 1930 and 2008, and the ways in which they are said."""
    draw, first = random.Random(7), date(1930, 1, 1)
    for _ in range(how_many):
        born = (first + timedelta(days=draw.randrange(78 * 365))).isoformat()
        day_of_year, _, year = date_of_birth_to_words(born).partition(", ")
        month, _, day = day_of_year.partition(" the ")
        yield (
            born,
            {
                "date, month first": f"{month} {day} {year}",
                "date, day first": f"the {day} of {month} {year}",
                "date, digit by digit": " ".join(
                    DIGITS[int(digit)] for digit in f"{born[5:7]}{born[8:]}{born[:4]}"
                ),
            },
        )


def corpus(quick: bool) -> Iterator[Sample]:
    """All sounds."""
    rng, draw = np.random.default_rng(11), random.Random(12)
    voices = VOICES[:2] if quick else VOICES

    def line(text: str, voice: str) -> Pcm8k:
        sound = spoken(text, voice, draw.choice((140, 160, 175)))
        return on_the_line(sound, rng, snr_db=draw.choice((38, 38, 30, 20)))

    for born, ways in births(4 if quick else 12):
        for kind, text in ways.items():
            for voice in voices:
                yield Sample("birth", kind, voice, born, line(text, voice))
    for _ in range(4 if quick else 12):
        digits = "".join(draw.choices("0123456789", k=6))
        for voice in voices:
            text = " ".join(DIGITS[int(digit)] for digit in digits)
            yield Sample("code", "six digits", voice, digits, line(text, voice))
    for voice in voices:
        yield Sample("code", "send it again", voice, "send", line("send it again", voice))
    others = [("other English", text, voices[0]) for text in ENGLISH]
    others += [("own prompt", text, "en-us") for text in PROMPTS]
    others += [("foreign", text, one) for one, texts in FOREIGN.items() for text in texts]
    for kind, text, voice in others[:: 6 if quick else 1]:
        sound = line(text, voice)
        for dialog in SETTINGS:
            yield Sample(dialog, kind, "", None, sound)


def hear(samples: list[Sample]) -> dict[tuple[str, str], Counter[str]]:
    """What became of each, by dialog and kind."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for dialog, settings in SETTINGS.items():
        grammar = Dialog(settings).grammar(State.AUTHENTICATE)
        [decoder] = SphinxDecoder.several(1, {grammar.name: grammar.jsgf()}, grammar.words)
        channels: dict[str, tuple[float, ...]] = {}
        for sample in samples:
            if sample.dialog != dialog:
                continue
            decoder.begin(grammar.name, channels.get(sample.voice, ()))
            for start in range(0, len(sample.sound), 160):
                decoder.feed(sample.sound.slice(start, start + 160))
            result = decoder.recognise()
            if sample.voice:
                channels[sample.voice] = result.channel
            heard = result.text if result.confidence >= ACCEPTED else None
            counts[dialog, sample.kind][verdict(heard, sample, settings)] += 1
    return counts


def verdict(heard: str | None, sample: Sample, settings: DialogSettings) -> str:
    """Right, wrong, or asked for again."""
    waited = expected(State.AUTHENTICATE, settings)
    meaning, found = of_words(State.AUTHENTICATE, heard or "", waited)
    if meaning is Meaning.SEND_AGAIN:
        found = "send"
    elif meaning is not Meaning.SPOKEN_DIGITS:
        return "asked again"
    return "right" if found == sample.wanted else "wrong"


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few sounds only")
    samples = list(corpus(parser.parse_args().quick))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    print(f"{platform.machine()}, Python {platform.python_version()}, {commit.stdout.strip()}\n")
    print("| asked for | what came | right | wrong | asked again |\n|---|---|---|---|---|")
    for (dialog, kind), found in sorted(hear(samples).items()):
        cells = " | ".join(str(found[one]) for one in ("right", "wrong", "asked again"))
        print(f"| {dialog} | {kind} | {cells} |")


if __name__ == "__main__":
    main()
