"""The reference page of the resources, from the same schema as the CRDs."""

from collections.abc import Iterator
from typing import Any

from .crd import custom_resource_definitions

Schema = dict[str, Any]

HEAD = """# Resources

Generated from the operator's models by `hack/generate-crds`. The same texts are in
`kubectl explain voiceagent.spec` and `kubectl explain providerpool.spec`.
"""


def reference_page() -> str:
    """Every field of every resource, as Markdown."""
    sections = (section(definition) for definition in custom_resource_definitions().values())
    return "\n".join([HEAD, *sections])


def section(definition: Schema) -> str:
    """One resource: its names, its fields, its rules."""
    names = definition["spec"]["names"]
    version = definition["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [
        f"## {names['kind']}",
        "",
        schema["description"],
        "",
        f"`{definition['spec']['group']}/{version['name']}`, plural `{names['plural']}`, "
        f"short `{names['shortNames'][0]}`.",
        "",
    ]
    for part in ("spec", "status"):
        lines += [
            f"### {part}",
            "",
            "| field | type | default | what it says |",
            "|---|---|---|---|",
        ]
        lines += rows(schema["properties"][part], part)
        lines.append("")
    lines += ["### Rules over several fields", ""]
    lines += [f"- `{path}`: {message}" for path, message in rules(schema, "")]
    return "\n".join(lines) + "\n"


def rows(node: Schema, path: str) -> Iterator[str]:
    """A row for each field below a node."""
    required = node.get("required", ())
    for name, child in node.get("properties", {}).items():
        default = "required" if name in required else _default(child)
        text = child["description"].replace("|", "\\|")
        yield f"| `{path}.{name}` | {_type(child)} | {default} | {text} |"
        yield from rows(child, f"{path}.{name}")
        if "items" in child:
            yield from rows(child["items"], f"{path}.{name}[]")


def rules(node: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Field and message of each rule at and below a node."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield f"{path}{rule.get('fieldPath', '')}".lstrip("."), rule["message"]
    for name, child in node.get("properties", {}).items():
        yield from rules(child, f"{path}.{name}")
        yield from rules(child.get("items", {}), f"{path}.{name}[]")


def _default(node: Schema) -> str:
    value = node.get("default")
    if value in (None, [], "") or isinstance(value, dict):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(value)}`" if isinstance(value, list) else f"`{value}`"


def _type(node: Schema) -> str:
    if "x-kubernetes-int-or-string" in node:
        return "quantity"
    if "enum" in node:
        return " \\| ".join(str(value) or '""' for value in node["enum"])
    if node["type"] == "array":
        return f"list of {_type(node['items'])}" + _bounds(node, "minItems", "maxItems")
    if "additionalProperties" in node:
        return f"map to {_type(node['additionalProperties'])}"
    return str(node["type"]) + _bounds(node, "minimum", "maximum")


def _bounds(node: Schema, lowest: str, highest: str) -> str:
    if highest not in node:
        return ""
    return f" ({node.get(lowest, 0)} to {node[highest]})"
