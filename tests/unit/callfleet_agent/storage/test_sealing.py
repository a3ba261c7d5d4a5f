"""Sealing: bound to its place, opened by any key that is there, with files as a Secret has them."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.storage.errors import KeyFilesError, SealError
from callfleet_agent.storage.sealing import Sealer, make_keys, read_keys
from stores import sealer

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.text())
def test_what_is_sealed_is_opened_in_its_place_alone(value: object, place: str) -> None:
    sealed = sealer().seal(value, place)
    assert sealer("k2").open(sealed, place) == value
    with pytest.raises(SealError):
        sealer().open(sealed, place + "x")


def test_the_same_twice_is_sealed_differently() -> None:
    assert sealer().seal("x", "p") != sealer().seal("x", "p")


@pytest.mark.parametrize(
    "changed",
    [
        None,
        "text",
        {},
        {"key": "k9", "sealed": "AAAA"},
        {"key": "k2"},
        {"key": "k1", "sealed": "no base64!"},
        {"key": "k1", "sealed": ""},
        {"key": ["k1"], "sealed": "AAAA"},
    ],
)
def test_what_was_changed_is_not_opened(changed: object) -> None:
    with pytest.raises(SealError):
        sealer().open(changed, "p")


def test_a_changed_byte_or_key_name_is_noticed() -> None:
    sealed = sealer().seal("x", "p")
    data = bytearray(base64.b64decode(sealed["sealed"]))
    data[-1] ^= 1
    for changed in ({**sealed, "sealed": base64.b64encode(data).decode()}, {**sealed, "key": "k2"}):
        with pytest.raises(SealError):
            sealer().open(changed, "p")


def test_fingerprints_are_stable_bounded_and_not_the_text() -> None:
    first, again = sealer().fingerprint("200417", 52), sealer("k2").fingerprint("200417", 52)
    assert first == again != sealer().fingerprint("200418", 52)
    assert len(sealer().fingerprint("200417", 20)) == 20
    assert "200417" not in first


def test_keys_are_made_read_and_rotated(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, "2026-11")
    old = read_keys(folder).seal("x", "p")
    make_keys(folder, "2026-12")
    keys = read_keys(folder)
    assert (keys.current, keys.open(old, "p")) == ("2026-12", "x")
    assert not keys.is_current(old)
    assert keys.is_current(keys.seal("x", "p"))
    assert (folder / "2026-12").stat().st_mode & 0o77 == 0
    with pytest.raises(KeyFilesError):
        make_keys(folder, "2026-12")
    with pytest.raises(KeyFilesError):
        make_keys(folder, "current")


def test_keys_that_are_none_are_said(tmp_path: Path) -> None:
    with pytest.raises(KeyFilesError):
        read_keys(tmp_path)
    make_keys(tmp_path, "a")
    (tmp_path / "b").write_text("not base64")
    with pytest.raises(KeyFilesError, match="b is no key"):
        read_keys(tmp_path)
    (tmp_path / "b").write_text("AAAA")
    with pytest.raises(KeyFilesError, match="32 bytes"):
        read_keys(tmp_path)
    with pytest.raises(KeyFilesError):
        Sealer("gone", {}, bytes(32))
