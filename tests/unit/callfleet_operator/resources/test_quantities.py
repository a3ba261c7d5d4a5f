"""Amounts as the API server writes them; an integration test asks a real one for the table."""

import pytest

from callfleet_operator.resources.quantities import canonical_quantity, canonical_resources
from vectors.manifests.quantities import QUANTITIES


@pytest.mark.parametrize(("written", "canonical"), QUANTITIES)
def test_the_canonical_form(written: str, canonical: str) -> None:
    assert canonical_quantity(written) == canonical
    assert canonical_quantity(canonical) == canonical


@pytest.mark.parametrize("text", ["", "lots", "-1", "1e3", "1 Gi", "1E"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        canonical_quantity(text)


def test_a_map_of_amounts_is_sorted() -> None:
    assert list(canonical_resources({"memory": "1024Mi", "cpu": "1000m"}).items()) == [
        ("cpu", "1"),
        ("memory", "1Gi"),
    ]
