"""What server-side apply needs to know before it is worth a request."""

import hashlib
import json
from typing import Any

from . import Manifest

HASH_ANNOTATION = "callfleet.io/applied-hash"


def manifest_hash(manifest: Manifest) -> str:
    """16 hex digits that change with anything in the manifest but the hash itself."""
    metadata = manifest["metadata"]
    annotations = {
        name: value
        for name, value in metadata.get("annotations", {}).items()
        if name != HASH_ANNOTATION
    }
    bare = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_hash(manifest: Manifest) -> Manifest:
    """The manifest with its hash as an annotation."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), HASH_ANNOTATION: manifest_hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_subset(wanted: Any, live: Any) -> bool:
    """Whether all that is wanted is there already; others may have added to it.

    Items of a list of objects may have others between them, in the same order, as when a webhook
    adds a container. Lists of plain values are one value.
    """
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            name in live and is_subset(value, live[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list) and any(isinstance(item, dict) for item in wanted):
        return isinstance(live, list) and _in_order(wanted, live)
    return type(wanted) is type(live) and bool(wanted == live)


def _in_order(wanted: list[Any], live: list[Any]) -> bool:
    rest = iter(live)
    return all(any(is_subset(item, candidate) for candidate in rest) for item in wanted)
