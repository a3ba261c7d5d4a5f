"""Amounts in the form in which the API server writes them back.

kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity: no fraction, the largest
suffix that leaves a whole number, decimal and binary suffixes kept apart.
"""

import re
from collections.abc import Mapping
from fractions import Fraction

_FORM = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<suffix>m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_DECIMAL = {"m": Fraction(1, 1000), "": Fraction(1)} | {
    suffix: Fraction(1000) ** power for power, suffix in enumerate("kMGTP", start=1)
}
_BINARY = {f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTP", start=1)}


def canonical_quantity(text: str) -> str:
    """`1000m` is `1`, `1.5Gi` is `1536Mi`, `0.5` is `500m`. Raises ValueError for what is none."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("not a quantity")
    suffix = match["suffix"] or ""
    value = Fraction(match["number"]) * (_DECIMAL | _BINARY)[suffix]
    if suffix in _BINARY and value >= 1024 and value.denominator == 1:
        return _written(value, {"": Fraction(1)} | _BINARY)
    # What is below a thousandth is rounded up, as the API server does it.
    thousandths = -(-value * 1000 // 1)
    return _written(Fraction(thousandths, 1000), _DECIMAL)


def _written(value: Fraction, scale: Mapping[str, Fraction]) -> str:
    if value == 0:
        return "0"
    scaled = ((value / factor, suffix) for suffix, factor in reversed(list(scale.items())))
    whole, suffix = next(found for found in scaled if found[0].denominator == 1)
    return f"{whole}{suffix}"


def canonical_resources(amounts: Mapping[str, str]) -> dict[str, str]:
    """Every amount of a map of resources."""
    return {name: canonical_quantity(amount) for name, amount in sorted(amounts.items())}
