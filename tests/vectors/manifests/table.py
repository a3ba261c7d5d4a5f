"""The tables of good and bad manifests, as data for whoever refuses or accepts them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[2] / "examples"

SMALLEST: dict[str, dict[str, Any]] = {
    "VoiceAgent": {
        "apiVersion": "callfleet.io/v1alpha1",
        "kind": "VoiceAgent",
        "metadata": {"name": "bad"},
        "spec": {"banking": {"url": "http://bank.example"}},
    },
    "ProviderPool": {
        "apiVersion": "callfleet.io/v1alpha1",
        "kind": "ProviderPool",
        "metadata": {"name": "bad"},
        "spec": {"engine": "sphinx"},
    },
}


@dataclass(frozen=True)
class Bad:
    """A manifest to refuse: the field that both must name, and what each says of it."""

    case: str
    manifest: dict[str, Any]
    field: str
    server: str
    model: str


def bad_manifests() -> list[Bad]:
    entries = yaml.safe_load((HERE / "bad.yaml").read_text())
    return [
        Bad(
            case=entry["case"],
            manifest=merged(SMALLEST[entry["kind"]], entry["change"]),
            field=entry["field"],
            server=entry.get("says") or entry["server"],
            model=entry.get("says") or entry["model"],
        )
        for entry in entries
    ]


def good_manifests() -> list[dict[str, Any]]:
    """The good ones, and every example."""
    files = [HERE / "good.yaml", *sorted(EXAMPLES.glob("*.yaml"))]
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7396)."""
    result = dict(base)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[name] = value
    return result
