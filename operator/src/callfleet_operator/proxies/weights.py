"""From weights of pods (1 to 100, relative) to what each proxy can use.

Pure. Neither proxy takes the numbers as they are:
- Kamailio's algorithm 11 deals 100 slots, rounds every share down and gives what is left to the
  last destination: 60 equal rows would send 41 % of the calls to one of them. So equal weights go
  round robin, and different ones are dealt here to exactly 100 slots.
- OpenSIPS sums weights in 16 bits.
"""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from math import gcd

SLOTS = 100
_OPENSIPS_SUM = 65_535


def equal(weights: Mapping[str, int]) -> bool:
    """All rows that may take calls have the same weight; weight 0 takes none."""
    return len({weight for weight in weights.values() if weight}) <= 1


def slots(weights: Mapping[str, int]) -> dict[str, int]:
    """100 slots dealt by weight: their sum is 100 when a weight is above 0.

    Up to 100 rows each has at least one. With more rows than slots some have none, but rows of
    equal weight together keep their share.
    """
    order = sorted(
        (uri for uri, weight in weights.items() if weight), key=lambda u: (weights[u], u)
    )
    if not order:
        return dict.fromkeys(weights, 0)
    total = sum(weights.values())
    ends = [end * SLOTS // total for end in accumulate((weights[uri] for uri in order), initial=0)]
    dealt = {uri: stop - start for uri, (start, stop) in zip(order, pairwise(ends), strict=True)}
    if len(order) <= SLOTS:
        for uri in [uri for uri in order if dealt[uri] == 0]:
            dealt[max(order, key=lambda u: dealt[u])] -= 1
            dealt[uri] = 1
    return {uri: dealt.get(uri, 0) for uri in weights}


def reduced(weights: Mapping[str, int]) -> dict[str, int]:
    """The same proportions in numbers that are small enough for a 16-bit sum."""
    divisor = gcd(*weights.values()) or 1
    small = {uri: weight // divisor for uri, weight in weights.items()}
    total = sum(small.values())
    if total <= _OPENSIPS_SUM:
        return small
    limit = _OPENSIPS_SUM - len(small)  # leaves room for those that are raised to 1
    return {uri: max(1, w * limit // total) if w else 0 for uri, w in small.items()}
