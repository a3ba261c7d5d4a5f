"""Whether an apply would change anything."""

from typing import Any

import pytest

from callfleet_operator.resources.apply import (
    HASH_ANNOTATION,
    is_subset,
    manifest_hash,
    with_hash,
)

CONTAINERS = [{"name": "agent", "image": "a"}]


@pytest.mark.parametrize(
    ("case", "wanted", "live", "answer"),
    [
        ("equal", {"a": 1}, {"a": 1}, True),
        ("others added a field", {"a": 1}, {"a": 1, "b": 2}, True),
        ("a field is missing", {"a": 1, "b": 2}, {"a": 1}, False),
        ("a field differs", {"a": 1}, {"a": 2}, False),
        ("deep down", {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1, "d": 2}}}, True),
        ("not deep enough", {"a": {"b": 1}}, {"a": 1}, False),
        ("true is not 1", {"a": True}, {"a": 1}, False),
        ("0 is not false", {"a": 0}, {"a": False}, False),
        ("text is not a number", {"a": "1"}, {"a": 1}, False),
        ("plain values in a list", ["a", "b"], ["a", "b"], True),
        ("plain values in another order", ["a", "b"], ["b", "a"], False),
        ("one plain value more", ["a"], ["a", "b"], False),
        ("no values at all", [], ["a"], False),
        (
            "a webhook filled in a field",
            CONTAINERS,
            [{"name": "agent", "image": "a", "tty": 1}],
            True,
        ),
        ("a webhook added a container", CONTAINERS, [{"name": "mesh"}, *CONTAINERS], True),
        ("a container is missing", CONTAINERS, [{"name": "mesh"}], False),
        ("a container differs", CONTAINERS, [{"name": "agent", "image": "b"}], False),
        ("items in another order", [{"n": 1}, {"n": 2}], [{"n": 2}, {"n": 1}], False),
        ("one item for two", [{"n": 1}, {"n": 1}], [{"n": 1}], False),
        ("no list", CONTAINERS, {"name": "agent"}, False),
    ],
)
def test_is_what_is_wanted_there_already(case: str, wanted: Any, live: Any, answer: bool) -> None:
    assert is_subset(wanted, live) is answer, case


MANIFEST = {"kind": "Service", "metadata": {"name": "a"}, "spec": {"b": 1, "c": [1, 2]}}


def test_the_hash_is_of_everything_but_itself() -> None:
    hashed = with_hash(MANIFEST)
    assert hashed["metadata"]["annotations"] == {HASH_ANNOTATION: manifest_hash(MANIFEST)}
    assert manifest_hash(hashed) == manifest_hash(MANIFEST)
    assert with_hash(hashed) == hashed
    assert "annotations" not in MANIFEST["metadata"]


def test_the_hash_keeps_other_annotations_and_counts_them() -> None:
    noted = {**MANIFEST, "metadata": {"name": "a", "annotations": {"note": "x"}}}
    assert with_hash(noted)["metadata"]["annotations"]["note"] == "x"
    assert manifest_hash(noted) != manifest_hash(MANIFEST)


def test_the_hash_does_not_depend_on_the_order_of_fields() -> None:
    turned = {"spec": {"c": [1, 2], "b": 1}, "metadata": {"name": "a"}, "kind": "Service"}
    assert manifest_hash(turned) == manifest_hash(MANIFEST)
    assert manifest_hash({**MANIFEST, "spec": {"b": 1, "c": [2, 1]}}) != manifest_hash(MANIFEST)
