"""Definitions (CRDs) of other projects on an API server of the tests': as they are released, where
hack/tools fetched them, or written down in tests/vectors/definitions.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from callfleet_hack import definitions

WRITTEN_DOWN = Path(__file__).parent / "vectors" / "definitions"
_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_LIMIT_S = 120


class Kube(Protocol):
    def request(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, Any]]: ...

    def must(self, method: str, path: str, body: object = None) -> dict[str, Any]: ...

    def apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]: ...


def released() -> Path:
    """The folder with the files as their projects release them."""
    found = definitions.found()
    if found is None:
        pytest.skip("definitions of other projects were not fetched; run hack/tools definitions")
    return found


@contextmanager
def installed(kube: Kube, folder: Path, plurals: Sequence[str]) -> Iterator[None]:
    """The definitions of these plurals, served, and gone again afterwards."""
    read = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    mine = [item for item in read if item["spec"]["names"]["plural"] in plurals]
    assert {item["spec"]["names"]["plural"] for item in mine} == set(plurals)
    for item in mine:
        kube.apply(f"{_PATH}/{item['metadata']['name']}", item)
    for item in mine:
        _until(kube, _served_at(item), 200)
    try:
        yield
    finally:
        for item in mine:
            kube.must("DELETE", f"{_PATH}/{item['metadata']['name']}")
        for item in mine:
            _until(kube, f"{_PATH}/{item['metadata']['name']}", 404)


def _served_at(definition: dict[str, Any]) -> str:
    spec = definition["spec"]
    version = next(item["name"] for item in spec["versions"] if item["storage"])
    return f"/apis/{spec['group']}/{version}/{spec['names']['plural']}"


def _until(kube: Kube, path: str, status: int) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while kube.request("GET", path)[0] != status:
        assert time.monotonic() < deadline, f"{path} does not answer {status}"
        time.sleep(0.1)
