"""The definitions that are generated from the models."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from callfleet_hack.generate_crds import generated_files
from callfleet_operator.model import Condition, Engine, Hosting, Stage
from callfleet_operator.model.crd import custom_resource_definitions, root_schema
from callfleet_operator.model.engines import STAGES
from callfleet_operator.model.meta import ObjectMeta
from callfleet_operator.model.providerpool import ProviderPoolSpec
from callfleet_operator.model.reference import reference_page, section
from callfleet_operator.model.schema import Int, Model, Rule

DEFINITIONS = custom_resource_definitions()
SCHEMAS = {
    name: definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name, definition in DEFINITIONS.items()
}
# Words that a structural schema may not have (kubernetes.io, custom-resource-definitions).
FORBIDDEN = {"$ref", "$defs", "anyOf", "const", "title", "propertyNames", "patternProperties"}


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for below in ("items", "additionalProperties"):
        if below in node:
            yield from nodes(node[below], f"{path}[]")


NODES = [(f"{name}{path}", node) for name, root in SCHEMAS.items() for path, node in nodes(root)]
WRITTEN = [(path, node) for path, node in NODES if ".spec" in path or ".status" in path]


def test_schemas_are_structural() -> None:
    for path, node in NODES:
        assert not FORBIDDEN & set(node), path
        assert "type" in node or "x-kubernetes-int-or-string" in node, path
        assert node.get("additionalProperties") is not False, path


def test_every_field_is_described() -> None:
    assert [path for path, node in NODES if "[]" not in path and not node.get("description")] == [
        "voiceagents.metadata",
        "providerpools.metadata",
    ]


def test_every_list_map_and_text_is_bounded() -> None:
    for path, node in WRITTEN:
        if node.get("type") == "array":
            assert "maxItems" in node, path
        elif "additionalProperties" in node:
            assert "maxProperties" in node, path
        elif node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path


def test_every_list_says_how_it_is_merged() -> None:
    for path, node in WRITTEN:
        if node.get("type") == "array":
            assert node["x-kubernetes-list-type"] in ("set", "map", "atomic"), path
            assert ("x-kubernetes-list-map-keys" in node) is (
                node["x-kubernetes-list-type"] == "map"
            ), path


def test_every_rule_tells_what_to_do_about_an_existing_field() -> None:
    rules = [
        (path, node, rule)
        for path, node in NODES
        for rule in node.get("x-kubernetes-validations", [])
    ]
    assert len(rules) > 30
    for path, node, rule in rules:
        assert len(rule["message"]) > 15, path
        first = rule.get("fieldPath", "").lstrip(".")
        assert not first or first in node["properties"], path


def test_rules_are_said_in_both_languages_or_need_a_former_object() -> None:
    pending: list[type[Model]] = [Model]
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        for rule in model.rules:
            assert (rule.holds is None) is ("oldSelf" in rule.cel), rule.message


def test_defaults_are_written_out_for_spec_and_never_for_status() -> None:
    schema = SCHEMAS["voiceagents"]["properties"]
    assert schema["spec"]["properties"]["capacity"]["default"] == {
        "callsPerPod": 20,
        "workers": 1,
    }
    assert schema["spec"]["properties"]["sip"]["default"]["codecs"] == ["PCMU", "PCMA"]
    assert not [path for path, node in NODES if ".status" in path and "default" in node]


def test_an_absent_object_is_nullable() -> None:
    scaling = SCHEMAS["voiceagents"]["properties"]["spec"]["properties"]["scaling"]
    assert (scaling["nullable"], scaling["type"]) == (True, "object")
    assert "default" not in scaling


def test_amounts_are_numbers_or_text() -> None:
    pod = SCHEMAS["voiceagents"]["properties"]["spec"]["properties"]["pod"]["properties"]
    amounts = pod["resources"]["properties"]["requests"]
    assert amounts["additionalProperties"]["x-kubernetes-int-or-string"] is True
    assert "key.matches" in amounts["x-kubernetes-validations"][0]["rule"]


def test_only_the_name_of_metadata_is_bounded() -> None:
    assert SCHEMAS["voiceagents"]["properties"]["metadata"]["properties"]["name"]["maxLength"] == 40
    assert SCHEMAS["voiceagents"]["required"] == ["spec"]


class Inner(Model):
    above: Int = Field(gt=0, lt=10, description="A number.")


class Outer(Model):
    api_version: str = Field(max_length=9, description="Version.")
    kind: str = Field(max_length=9, description="Kind.")
    metadata: ObjectMeta = Field(description="Metadata.")
    spec: Annotated[Inner, Field(description="Wanted.")]
    status: Inner | None = Field(default=None, description="Observed.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.spec.above != 3",
            message="never three of them",
            field_path=".spec",
            holds=lambda outer: outer.spec.above != 3,
        ),
    )


def test_exclusive_bounds_are_said_as_openapi_3_0_says_them() -> None:
    above = root_schema(Outer)["properties"]["spec"]["properties"]["above"]
    assert (above["minimum"], above["exclusiveMinimum"]) == (0, True)
    assert (above["maximum"], above["exclusiveMaximum"]) == (10, True)


SERVER = {"baseUrl": "http://server.example"}


@pytest.mark.parametrize(
    ("spec", "hosting", "stage"),
    [
        ({"engine": "sphinx"}, Hosting.EMBEDDED, Stage.ASR),
        ({"engine": "rules"}, Hosting.EMBEDDED, Stage.LLM),
        ({"engine": "openai", "external": SERVER}, Hosting.EXTERNAL, Stage.LLM),
        ({"engine": "vllm", "stage": "asr", "external": SERVER}, Hosting.EXTERNAL, Stage.ASR),
        ({"engine": "piper", "model": {"uri": "hf://org/a.onnx"}}, Hosting.MANAGED, Stage.TTS),
    ],
)
def test_what_follows_from_an_engine(spec: dict[str, Any], hosting: Hosting, stage: Stage) -> None:
    pool = ProviderPoolSpec.model_validate(spec)
    assert (pool.hosting, pool.capability) == (hosting, stage)


def test_every_engine_has_a_stage() -> None:
    assert set(STAGES) == set(Engine)


def test_conditions_are_what_kubernetes_calls_them() -> None:
    status = SCHEMAS["providerpools"]["properties"]["status"]["properties"]["conditions"]
    assert status["x-kubernetes-list-map-keys"] == ["type"]
    assert set(status["items"]["properties"]) == {
        field.alias for field in Condition.model_fields.values()
    }


class TestGeneratedFiles:
    def test_what_is_committed_is_what_is_generated(self) -> None:
        from callfleet_hack.cache import REPOSITORY

        for name, text in generated_files().items():
            assert (REPOSITORY / name).read_text() == text, f"{name}: run hack/generate-crds"

    def test_the_chart_keeps_definitions_when_it_is_removed(self) -> None:
        files = generated_files()
        for name in DEFINITIONS:
            chart = files[f"charts/callfleet/templates/crds/{name}.yaml"]
            assert "helm.sh/resource-policy: keep" in chart
            assert "{{" not in chart

    def test_the_reference_has_every_field_and_rule(self) -> None:
        page = reference_page()
        for path, _node in WRITTEN:
            field = path.partition(".")[2]
            if "[]" not in field and field:
                assert f"`{field}`" in page or field in ("spec", "status")
        assert "- `spec.capacity.callsPerPod`: a worker takes at most 25 calls" in page


@pytest.mark.parametrize(
    "row",
    [
        "| `spec.replicas` | integer (0 to 1000) | `1` |",
        "| `spec.banking.timeoutSeconds` |",
        "| `spec.sip.media` | direct \\| relay | `direct` |",
        "| `spec.sip.codecs` | list of PCMU \\| PCMA (1 to 4) | `PCMU, PCMA` |",
        "| `spec.dialog.bargeIn` | boolean | `true` |",
        "| `spec.pod.resources.requests` | map to quantity |  |",
        "| `spec.pod.tolerations[].operator` | Exists \\| Equal | `Equal` |",
        "| `status.conditions[].reason` | string | required |",
    ],
)
def test_rows_of_the_reference(row: str) -> None:
    assert row in section(DEFINITIONS["voiceagents"])
