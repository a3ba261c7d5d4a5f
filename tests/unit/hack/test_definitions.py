"""Definitions of other projects: what is fetched, and what is refused."""

from pathlib import Path

import pytest

from callfleet_hack import definitions
from callfleet_hack.definitions import SOURCES, Source
from callfleet_hack.errors import HackError

GO = """#!/bin/sh
mkdir -p "$GOMODCACHE/m/config"
echo "kind: CustomResourceDefinition" > "$GOMODCACHE/m/config/one.yaml"
printf '{"Dir": "%s/m", "Sum": "h1:as-pinned="}' "$GOMODCACHE"
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "go").write_text(GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path / "cache" / "callfleet" / "definitions"


def source(total: str = "h1:as-pinned=") -> tuple[Source, ...]:
    return (Source("example.com/m", "v1.0.0", total, ("config/one.yaml",)),)


def test_every_source_is_pinned() -> None:
    assert all(source.version and source.total.startswith("h1:") for source in SOURCES)
    names = [Path(name).name for source in SOURCES for name in source.files]
    assert len(set(names)) == len(names)


def test_the_files_stay_and_the_modules_do_not(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "SOURCES", source())
    assert definitions.found() is None

    fetched = definitions.ensure()

    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["one.yaml"]
    assert fetched == definitions.found() == cache / "v1.0.0"
    monkeypatch.setenv("PATH", "/nowhere")  # what is there needs no Go and no network
    assert definitions.ensure() == fetched


def test_another_sum_is_refused_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "SOURCES", source("h1:another="))

    with pytest.raises(HackError, match=r"example\.com/m@v1\.0\.0 has the sum h1:as-pinned="):
        definitions.ensure()

    assert definitions.found() is None
    assert list(cache.iterdir()) == []


def test_without_go_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "SOURCES", source())
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(definitions, "on_path", lambda _: None)
    with pytest.raises(HackError, match=r"Go 1\.24"):
        definitions.ensure()
