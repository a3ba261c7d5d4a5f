"""What makes a new revision, and what a revision keeps."""

from typing import Any

import pytest
import yaml

from callfleet_operator.model import VoiceAgent, load_voice_agent
from callfleet_operator.resources.facts import OperatorFacts
from callfleet_operator.resources.revision import (
    RenderedRevision,
    asks_own_bank,
    controller_revision,
    rendered,
    revision_of,
    settings_text,
)
from vectors.manifests.table import SMALLEST, merged

OPERATOR = OperatorFacts(namespace="callfleet-system", agent_image="agent:1")
UPGRADED = OperatorFacts(namespace="callfleet-system", agent_image="agent:2")


def agent(**spec: Any) -> VoiceAgent:
    change = {"metadata": {"name": "card-line", "namespace": "bank", "uid": "u-1"}, "spec": spec}
    return load_voice_agent(merged(SMALLEST["VoiceAgent"], change))


SAME: list[dict[str, Any]] = [
    {"replicas": 9},
    {"sip": {"numbers": ["+15550100"]}},
    {"sip": {"proxy": "branch"}},
    {"providers": {"asr": [{"pool": "local"}]}},
    {"scaling": {"maxReplicas": 3}},
    {"rollout": {"strategy": "blue-green", "maxSurge": 5}},
    {"dialog": {"bargeIn": True}},  # the default, written out
    {"pod": {"labels": {}}},
]
NEW: list[dict[str, Any]] = [
    {"sip": {"media": "relay"}},
    {"sip": {"codecs": ["PCMA", "PCMU"]}},
    {"sip": {"transports": ["UDP"]}},
    {"capacity": {"callsPerPod": 10}},
    {"dialog": {"bankName": "Other Bank"}},
    {"dialog": {"endpointing": {"minMilliseconds": 300}}},
    {"providers": {"vad": {"confidence": 0.6}}},
    {"banking": {"timeoutSeconds": 6}},
    {"rollout": {"drainTimeoutSeconds": 60}},
    {"pod": {"image": "other:1"}},
    {"pod": {"logLevel": "DEBUG"}},
    {"pod": {"labels": {"team": "cards"}}},
]


@pytest.mark.parametrize("spec", SAME, ids=str)
def test_what_pods_are_not_made_of_keeps_the_revision(spec: dict[str, Any]) -> None:
    assert revision_of(agent(**spec)) == revision_of(agent())


@pytest.mark.parametrize("spec", NEW, ids=str)
def test_what_pods_are_made_of_makes_a_new_one(spec: dict[str, Any]) -> None:
    assert revision_of(agent(**spec)) != revision_of(agent())


def test_revisions_of_different_settings_differ() -> None:
    assert len({revision_of(agent(**spec)) for spec in NEW}) == len(NEW)


def test_the_revision_of_a_spec_is_for_ever() -> None:
    """Another value here would roll every fleet when the operator is upgraded."""
    assert revision_of(agent()) == "24f111859a"


def test_the_settings_are_a_manifest_with_every_default_and_without_numbers() -> None:
    text = settings_text(agent(sip={"numbers": ["+15550100"]}, replicas=4))
    read = load_voice_agent(text)
    assert (read.metadata.name, read.metadata.namespace) == ("card-line", "bank")
    assert (read.spec.sip.numbers, read.spec.replicas) == ((), 1)
    assert yaml.safe_load(text)["spec"]["capacity"] == {"callsPerPod": 20, "workers": 1}
    assert revision_of(read) == revision_of(agent())


@pytest.mark.parametrize(
    ("url", "expected"), [(None, False), ("http://bank.example", True), ("https://b.test/v1", True)]
)
def test_a_revision_tells_whether_its_pods_ask_a_bank_by_themselves(
    url: str | None, expected: bool
) -> None:
    asking = agent(banking={"url": url})
    content = RenderedRevision(1, {}, settings_text(asking))
    kept = controller_revision(asking, revision_of(asking), content)
    assert asks_own_bank(kept) is expected


@pytest.mark.parametrize("settings", ["", "[", "spec:", "spec: {}", "spec: {banking: x}"])
def test_a_revision_that_cannot_be_read_tells_nothing(settings: str) -> None:
    kept = controller_revision(agent(), "r", RenderedRevision(1, {}, settings))
    assert not asks_own_bank(kept)
    assert not asks_own_bank(None)


class TestRendered:
    REVISION = revision_of(agent())

    def first(self) -> RenderedRevision:
        made = rendered(agent(), self.REVISION, {}, OPERATOR)
        assert made is not None
        return made

    def kept(self) -> dict[str, Any]:
        return controller_revision(agent(), self.REVISION, self.first())

    def test_a_new_revision_is_rendered_with_the_operator_of_now(self) -> None:
        made = self.first()
        assert made.number == 1
        assert made.template["spec"]["containers"][0]["image"] == "agent:1"

    def test_an_upgrade_of_the_operator_changes_no_running_fleet(self) -> None:
        again = rendered(agent(), self.REVISION, {self.REVISION: self.kept()}, UPGRADED)
        assert again == self.first()

    def test_a_rollback_finds_what_it_needs(self) -> None:
        """The former revision comes from what is kept though the spec asks for another one."""
        other = agent(dialog={"bankName": "Other Bank"})
        again = rendered(other, self.REVISION, {self.REVISION: self.kept()}, UPGRADED)
        assert again == self.first()

    def test_a_later_revision_has_a_higher_number(self) -> None:
        other = agent(dialog={"bankName": "Other Bank"})
        kept = {self.REVISION: {**self.kept(), "revision": 7}}
        made = rendered(other, revision_of(other), kept, OPERATOR)
        assert made is not None
        assert made.number == 8

    def test_a_former_revision_of_which_nothing_is_kept_cannot_be_rendered(self) -> None:
        other = agent(dialog={"bankName": "Other Bank"})
        assert rendered(other, self.REVISION, {}, OPERATOR) is None

    @pytest.mark.parametrize("data", [None, "text", {}, {"template": {}}])
    def test_what_was_kept_badly_is_rendered_again(self, data: Any) -> None:
        broken = {**self.kept(), "data": data}
        assert rendered(agent(), self.REVISION, {self.REVISION: broken}, OPERATOR) is not None

    def test_what_is_kept(self) -> None:
        kept = self.kept()
        assert kept["metadata"]["name"] == f"card-line-{self.REVISION}"
        assert kept["metadata"]["labels"]["callfleet.io/revision"] == self.REVISION
        assert kept["data"] == {
            "template": self.first().template,
            "settings": settings_text(agent()),
        }
