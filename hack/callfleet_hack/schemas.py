"""JSON schemas of the built-in kinds for kubeconform, from a real kube-apiserver, not the network.

    python -m callfleet_hack.schemas FOLDER

The files are named as kubeconform's `{{.ResourceKind}}{{.KindSuffix}}.json`, objects are closed, so
that a field with a typo is an error. They are kept in the cache and linked into FOLDER.
"""

from __future__ import annotations

import json
import shutil
import ssl
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from callfleet_hack.cache import cache_dir
from callfleet_hack.control_plane import ControlPlane, control_plane
from callfleet_hack.tools import KUBERNETES_VERSION

Schema = dict[str, Any]
GROUP_VERSION_KIND = "x-kubernetes-group-version-kind"
INT_OR_STRING = "int-or-string"


def fetch(cluster: ControlPlane) -> dict[str, Schema]:
    """The definitions of the API server's OpenAPI v2 document."""
    context = ssl.create_default_context(cafile=str(cluster.ca_file))
    request = urllib.request.Request(
        f"{cluster.url}/openapi/v2", headers={"Authorization": f"Bearer {cluster.token}"}
    )
    with urllib.request.urlopen(request, context=context, timeout=60) as response:
        definitions: dict[str, Schema] = json.load(response)["definitions"]
    return definitions


def closed(schema: Any) -> Any:
    """The same schema, refusing unknown fields and taking null where Kubernetes does."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: closed(value)
        for key, value in schema.items()
        if key != "description" or isinstance(value, dict)  # a property may have that name
    }
    if schema.get("format") == INT_OR_STRING:
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    if "properties" in schema and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def references(schema: Any) -> Iterator[str]:
    """Names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from references(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rsplit("/", 1)[-1]
            else:
                yield from references(value)


def standalone(name: str, definitions: dict[str, Schema]) -> Schema:
    """One kind's schema with everything that it refers to."""
    needed: dict[str, Schema] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in needed:
            needed[current] = definitions[current]
            waiting.extend(references(definitions[current]))
    return {"$ref": f"#/definitions/{name}", "definitions": needed}


def file_name(kind: dict[str, str]) -> str:
    """kubeconform's name: deployment-apps-v1.json, service-v1.json."""
    group = kind["group"].split(".")[0]
    parts = [kind["kind"].lower(), *([group] if group else []), kind["version"].lower()]
    return "-".join(parts) + ".json"


def write(definitions: dict[str, Schema], folder: Path) -> None:
    """One file for each kind."""
    folder.mkdir(parents=True)
    definitions = {name: closed(schema) for name, schema in definitions.items()}
    for name, schema in definitions.items():
        for kind in schema.get(GROUP_VERSION_KIND, [])[:1]:
            text = json.dumps(standalone(name, definitions))
            (folder / file_name(kind)).write_text(text)


def main() -> None:
    """Makes the schemas unless the cache has them, and links FOLDER to them."""
    wanted = Path(sys.argv[1])
    kept = cache_dir() / "schemas" / f"{KUBERNETES_VERSION}-2"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            with control_plane(Path(scratch) / "control-plane") as cluster:
                write(fetch(cluster), Path(scratch) / "made")
            shutil.move(Path(scratch) / "made", kept)
    wanted.symlink_to(kept)


if __name__ == "__main__":
    main()
