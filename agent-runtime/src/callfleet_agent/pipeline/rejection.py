"""Was it really said? A grammar always hears something; this judges what it heard.

Beside the grammar, a free loop of phones listens to the same sound. Six signs of each hypothesis
are weighed together (logistic regression). `bench/nomatch.py` measures them and fits the weights;
the page docs/design/20261123.dialog-no-match.md has the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from math import exp, log

_FRAMES_PER_PHONE = 9.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A word or phone with its first and last frame (10 ms each). `log_score`: the logarithm of its
    likelihood over that of the best sound in every frame, so 0 is perfect and less is worse."""

    name: str
    first: int
    last: int
    log_score: float

    @property
    def frames(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Signs:
    """What speaks for a hypothesis; all grow with its likeliness.

    `fit`: acoustic score of a frame; `worst_word`: that of the worst word; `coverage`: how much of
    the sound that is no silence lies in words; `phones`: how alike its phones are to those of the
    free loop; `pace`: how usual its speed is; `length`: whether the loop has as many phones.
    """

    fit: float
    worst_word: float
    coverage: float
    phones: float
    pace: float
    length: float


@dataclass(frozen=True, slots=True)
class Weights:
    """The regression: a weight for each sign, and the bias."""

    signs: Signs
    bias: float


WEIGHTS = Weights(Signs(0.79, 1.09, 10.62, 5.21, 4.14, 4.07), 4.92)


def signs_of(
    words: Sequence[Segment], phones: Sequence[Segment], spelled: Mapping[str, Sequence[str]]
) -> Signs:
    """The signs of the hypothesis `words` (no fillers), given the loop's `phones` (no silence).

    `spelled` has the phones of each word.
    """
    frames = max(1, sum(word.frames for word in words))
    inside = {frame for word in words for frame in range(word.first, word.last + 1)}
    sounding = [f for phone in phones for f in range(phone.first, phone.last + 1)]
    expected = [phone for word in words for phone in spelled.get(word.name, ())]
    heard = [phone.name for phone in phones]
    longest = max(1, len(expected), len(heard))
    return Signs(
        fit=sum(word.log_score for word in words) / frames,
        worst_word=min((word.log_score / word.frames for word in words), default=-10.0),
        coverage=sum(frame in inside for frame in sounding) / max(1, len(sounding)),
        phones=-_distance(expected, heard) / longest,
        pace=-abs(log(max(1.0, frames) / max(1, len(expected)) / _FRAMES_PER_PHONE)),
        length=-abs(len(expected) - len(heard)) / longest,
    )


def confidence(signs: Signs, weights: Weights = WEIGHTS) -> float:
    """The probability, 0 to 1, that the hypothesis is what was said."""
    pairs = zip(astuple(signs), astuple(weights.signs), strict=True)
    total = weights.bias + sum(sign * weight for sign, weight in pairs)
    return 1 / (1 + exp(-max(-50.0, min(50.0, total))))


def _distance(left: Sequence[str], right: Sequence[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(right) + 1))
    for one in left:
        diagonal, row[0] = row[0], row[0] + 1
        for column, other in enumerate(right, start=1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (one != other)),
            )
    return row[-1]
