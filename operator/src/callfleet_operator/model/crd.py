"""CustomResourceDefinitions from the models: one source for schema, defaults, rules and texts.

The API server wants a structural schema (kubernetes.io, "Specifying a structural schema"):
no `$ref`, no `anyOf` for an absent value, no `propertyNames`, boolean exclusive bounds. What the
models say by JSON Schema 2020-12 is said again here in those words.
"""

from typing import Any

from .providerpool import ProviderPool
from .schema import Model
from .voiceagent import VoiceAgent

Schema = dict[str, Any]

GROUP, VERSION = "callfleet.io", "v1alpha1"
# Words of JSON Schema that a structural schema takes over as they are.
KEPT = (
    "type", "description", "default", "enum", "format", "pattern", "minLength", "maxLength",
    "minimum", "maximum", "minItems", "maxItems", "maxProperties", "minProperties", "required",
    "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)  # fmt: skip


def custom_resource_definitions() -> dict[str, Schema]:
    """The definitions, by plural name."""
    return {"voiceagents": voice_agents(), "providerpools": provider_pools()}


def voice_agents() -> Schema:
    """The definition of VoiceAgent."""
    return _definition(
        VoiceAgent,
        plural="voiceagents",
        short="va",
        columns=[
            _ready(),
            _column("Calls", "integer", ".status.calls", "Calls going on."),
            _column("Capacity", "integer", ".status.capacity", "Calls that are taken at once."),
            _column("Revision", "string", ".status.revision", "Revision that the pods run."),
            _column("Replicas", "integer", ".status.replicas", "Pods that exist.", wide=True),
            _reason(),
            _age(),
        ],
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    )


def provider_pools() -> Schema:
    """The definition of ProviderPool."""
    return _definition(
        ProviderPool,
        plural="providerpools",
        short="pp",
        columns=[
            _column("Engine", "string", ".spec.engine", "The engine."),
            _ready(),
            _column("Replicas", "integer", ".status.replicas", "Replicas that exist."),
            _column("Endpoint", "string", ".status.endpoint", "Where agents reach it."),
            _column("Users", "integer", ".status.usedBy", "VoiceAgents naming it."),
            _reason(),
            _age(),
        ],
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    )


def _definition(
    model: type[Model], *, plural: str, short: str, columns: list[Schema], scale: Schema
) -> Schema:
    kind = model.__name__
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": [short],
        "categories": ["callfleet"],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        "subresources": {"status": {}, "scale": scale},
        "schema": {"openAPIV3Schema": root_schema(model)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _column(
    name: str, kind: str, path: str, description: str, *, wide: bool = False
) -> dict[str, Any]:
    column: Schema = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": 1} if wide else column


def _ready() -> Schema:
    path = '.status.conditions[?(@.type=="Ready")].status'
    return _column("Ready", "string", path, "Whether it does what it is meant to do.")


def _reason() -> Schema:
    path = '.status.conditions[?(@.type=="Ready")].reason'
    return _column("Reason", "string", path, "Why it is ready or not.", wide=True)


def _age() -> Schema:
    return _column("Age", "date", ".metadata.creationTimestamp", "Time since its creation.")


def root_schema(model: type[Model]) -> Schema:
    """The structural schema of a resource."""
    json_schema = model.model_json_schema(by_alias=True, mode="validation")
    structural = _structural(json_schema, json_schema.get("$defs", {}))
    properties = structural["properties"]
    for name in ("apiVersion", "kind"):
        properties[name] = {"type": "string", "description": properties[name]["description"]}
    # The API server knows metadata by itself and lets a definition bound only its name.
    name_schema = properties["metadata"]["properties"]["name"]
    bounds = ("type", "description", "maxLength", "pattern")
    properties["metadata"] = {
        "type": "object",
        "properties": {"name": {word: name_schema[word] for word in bounds}},
    }
    properties["status"] = _without_defaults(properties["status"])
    properties["status"].pop("nullable")
    structural["required"] = ["spec"]
    return structural


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """One node and all below it, in the words of a structural schema."""
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        return _structural({**target, **_without(node, "$ref")}, definitions)
    if "anyOf" in node:
        value = next(option for option in node["anyOf"] if option.get("type") != "null")
        return {
            **_structural({**value, **_without(node, "anyOf", "default")}, definitions),
            "nullable": True,
        }
    result = {word: node[word] for word in KEPT if word in node}
    if "const" in node:
        result["enum"] = [node["const"]]
    if "properties" in node:
        children = node["properties"].items()
        result["properties"] = {name: _structural(child, definitions) for name, child in children}
    if "items" in node:
        result["items"] = _structural(node["items"], definitions)
    for pattern, value in node.get("patternProperties", {}).items():
        result["additionalProperties"] = _structural(value, definitions)
        rule = _rule_of_keys(pattern, node["propertyNames"]["maxLength"])
        result["x-kubernetes-validations"] = [rule]
    return result | _exclusive_bounds(node)


def _without(node: Schema, *words: str) -> Schema:
    return {word: value for word, value in node.items() if word not in words}


def _exclusive_bounds(node: Schema) -> Schema:
    """OpenAPI 3.0 says `exclusiveMinimum: true` beside `minimum`."""
    bounds: Schema = {}
    for word in ("minimum", "maximum"):
        exclusive = f"exclusive{word.capitalize()}"
        if exclusive in node:
            bounds |= {word: node[exclusive], exclusive: True}
    return bounds


def _rule_of_keys(pattern: str, longest: int) -> dict[str, str]:
    """A structural schema cannot bound the keys of a map; a rule can."""
    return {
        "rule": f"self.all(key, size(key) <= {longest} && key.matches(r'{pattern}'))",
        "message": f"each key must match {pattern} and have at most {longest} characters",
        "reason": "FieldValueInvalid",
    }


def _without_defaults(node: Schema) -> Schema:
    """Status says what was observed: nothing in it is made up by the API server."""
    result = _without(node, "default")
    if "properties" in node:
        children = node["properties"].items()
        result["properties"] = {name: _without_defaults(child) for name, child in children}
    if "items" in node:
        result["items"] = _without_defaults(node["items"])
    return result
