"""What a person is told about a manifest or a settings file that is refused."""

from datetime import date
from typing import Any

import pytest

from callfleet_operator.model import (
    FieldProblem,
    ManifestError,
    load_provider_pool,
    load_voice_agent,
)
from callfleet_operator.model.load import field_path, kind_of
from vectors.manifests.table import SMALLEST, merged

TEXT = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: card-line}
spec:
  sip: {numbers: ["+15550100"]}
  banking: {url: "http://bank.example"}
"""


def problems(change: dict[str, Any]) -> list[FieldProblem]:
    with pytest.raises(ManifestError) as refusal:
        load_voice_agent(merged(SMALLEST["VoiceAgent"], change))
    return list(refusal.value.problems)


def test_a_manifest_is_read_from_text() -> None:
    agent = load_voice_agent(TEXT)
    assert agent.spec.sip.numbers == ("+15550100",)
    assert agent.spec.capacity.calls_per_pod == 20
    assert load_voice_agent(agent.to_manifest()) == agent


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1", "line 1, column 6: write valid YAML here (found: text that is no YAML)"),
        ("a: \x00", "the text: remove it (found: a character that YAML forbids)"),
        ("", "the document: write one VoiceAgent as a mapping (found: nothing)"),
        ("- a", "the document: write one VoiceAgent as a mapping (found: a list of 1)"),
        (
            "just text",
            "the document: write one VoiceAgent as a mapping (found: text of 9 characters)",
        ),
    ],
)
def test_text_that_is_no_manifest(text: str, told: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        load_voice_agent(text)
    assert str(refusal.value) == f"VoiceAgent was refused:\n  {told}"


def test_all_problems_are_told_at_once() -> None:
    found = problems({"spec": {"replicas": "many", "sip": {"media": "pigeon"}}})
    assert [problem.path for problem in found] == ["spec.replicas", "spec.sip.media"]


def test_no_value_is_told() -> None:
    with pytest.raises(ManifestError) as refusal:
        load_voice_agent(
            merged(SMALLEST["VoiceAgent"], {"spec": {"banking": {"url": "ftp://me:s3cret@bank"}}})
        )
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "Voice"}, "kind: must be 'VoiceAgent' (found: text of 5 characters)"),
        ({"spec": {"sip": []}}, "spec.sip: must be a mapping of fields (found: a list of 0)"),
        (
            {"spec": {"pod": {"labels": ["a"]}}},
            "spec.pod.labels: must be a mapping (found: a list of 1)",
        ),
        (
            {"spec": {"providers": {"vad": {"confidence": "0.5"}}}},
            "spec.providers.vad.confidence: must be a number without quotes "
            "(found: text of 3 characters)",
        ),
        (
            {"spec": {"pod": {"labels": {"a": "b" * 64}}}},
            "spec.pod.labels.a: must have at most 63 characters (found: text of 64 characters)",
        ),
        (
            {"spec": {"sip": {"numbers": [str(number) for number in range(100, 165)]}}},
            "spec.sip.numbers: must have at most 64 items (found: a list of 65)",
        ),
        (
            {"spec": {"pod": {"labels": {"a b": "c"}}}},
            "spec.pod.labels.a b: must match ^",
        ),
        (
            {"spec": {"qqq": 1}},
            "spec.qqq: is no field of VoiceAgent here; remove it (found: a whole number)",
        ),
        (
            {"spec": {"banking": {"timeoutSeconds": True}}},
            "spec.banking.timeoutSeconds: must be a whole number without quotes "
            "(found: true or false)",
        ),
        (
            {"spec": {"pod": {"resources": {"requests": {"cpu": True}}}}},
            "spec.pod.resources.requests.cpu: must be text; put it in quotes "
            "(found: true or false)",
        ),
    ],
)
def test_what_is_told(change: dict[str, Any], told: str) -> None:
    (problem,) = problems(change)
    assert str(problem).startswith(told)


def test_a_whole_object_of_the_wrong_kind() -> None:
    with pytest.raises(ManifestError) as refusal:
        load_provider_pool(["a"])  # type: ignore[arg-type]
    assert str(refusal.value.problems[0]) == (
        "the document: must be a mapping of fields (found: a list of 1)"
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "nothing"),
        ("abc", "text of 3 characters"),
        (True, "true or false"),
        (3, "a whole number"),
        (0.5, "a number"),
        ([1, 2], "a list of 2"),
        ((), "a list of 0"),
        ({"a": 1}, "a mapping"),
        (date(2026, 1, 1), "an unknown kind"),
    ],
)
def test_kinds_of_values(value: object, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), ""),
        (("spec", "sip", "numbers", 0), "spec.sip.numbers[0]"),
        (("spec", "labels", "a b", "[key]"), "spec.labels.a b"),
    ],
)
def test_paths(location: tuple[str | int, ...], path: str) -> None:
    assert field_path(location) == path


def test_a_null_is_the_same_as_nothing() -> None:
    base = SMALLEST["VoiceAgent"]
    spec = {**base["spec"], "replicas": None, "scaling": None, "sip": {"numbers": None}}
    assert load_voice_agent({**base, "spec": spec}) == load_voice_agent(base)


def test_amounts_are_text_whether_written_as_numbers_or_not() -> None:
    change = {"spec": {"pod": {"resources": {"requests": {"cpu": 2, "memory": "1Gi"}}}}}
    agent = load_voice_agent(merged(SMALLEST["VoiceAgent"], change))
    assert agent.spec.pod.resources.requests == {"cpu": "2", "memory": "1Gi"}


def test_objects_of_the_api_server_have_more_metadata_than_we_read() -> None:
    metadata = {
        "name": "a",
        "namespace": "bank",
        "uid": "u",
        "generation": 3,
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    }
    agent = load_voice_agent({**SMALLEST["VoiceAgent"], "metadata": metadata})
    assert (agent.metadata.generation, agent.metadata.resource_version) == (3, "7")
    assert agent.to_manifest()["metadata"] == {
        name: value for name, value in metadata.items() if name != "managedFields"
    }
