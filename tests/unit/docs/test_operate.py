"""What people are told about conditions is what the operator says, and all of it."""

import re
from pathlib import Path

import pytest

from callfleet_operator.policies import agent_conditions
from callfleet_operator.ports.proxy import AgentProblem, RefusalReason
from callfleet_operator.reconcile import dispatcher, report

ROOT = Path(__file__).resolve().parents[3]
TOLD = re.compile(r"`([A-Z][A-Za-z]+)`")
SAID = re.compile(r'"(?:(?:False|Unknown)",\s*)?"?([A-Z][a-z]+(?:[A-Z][a-z]+)+|Deleting|Pending)"')
FINE = {"AsWanted", "PoolsReady", "NoNumbers", "BankingService"}


def said() -> set[str]:
    """Reasons in the source of what judges a VoiceAgent."""
    found = {str(reason) for reason in (*AgentProblem, *RefusalReason)}
    for module in (agent_conditions, report, dispatcher):
        assert module.__file__ is not None
        found |= set(SAID.findall(Path(module.__file__).read_text(encoding="utf-8")))
    return found - set(agent_conditions.CONDITIONS) - FINE


def table() -> list[str]:
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    section = text.partition("## See")[2].partition("## Scale")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def told() -> set[str]:
    return {name for line in table() for name in TOLD.findall(line.split("|")[1])}


@pytest.mark.parametrize("reason", sorted(said()))
def test_every_reason_is_explained(reason: str) -> None:
    assert reason in told()


def test_no_reason_is_explained_that_nobody_gives() -> None:
    assert len(said()) > 20
    known = said() | {"Draining", "Deleting", "Pending"}
    assert told() <= known
