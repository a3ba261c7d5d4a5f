"""compose.yaml: what its containers run exists, and what is written twice is the same."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from callfleet_operator.model import load_voice_agent
from command_lines import parameters, parsed

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {
    name: service
    for name, service in SERVICES.items()
    if service["image"] == COMPOSE["x-agent-image"] and "entrypoint" not in service
}


@pytest.mark.parametrize("name", OURS)
def test_a_container_runs_a_command_that_there_is(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (OURS[name].get("environment") or {}).items():
        monkeypatch.setenv(variable, interpolated(value, {}))
    assert parsed(OURS[name]["command"]).name


def interpolated(text: str, given: dict[str, str]) -> str:
    """As compose does, of what the file uses: ${NAME:-default} and ${NAME:+instead}."""

    def value(found: re.Match[str]) -> str:
        told = given.get(found["name"], "")
        return (found["word"] if told else "") if found["how"] == ":+" else told or found["word"]

    return re.sub(r"\$\{(?P<name>\w+)(?P<how>:[-+])(?P<word>[^}]*)\}", value, text)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {"CALLFLEET_LLM_ENGINE": "vllm"}),
        (
            {
                "CALLFLEET_LLM_URL": "https://llm.example/v1",
                "CALLFLEET_LLM_ENGINE": "openai",
                "CALLFLEET_LLM_MODEL": "small",
                "CALLFLEET_LLM_KEY_FILE": "./key",
            },
            {
                "CALLFLEET_LLM_URL": "https://llm.example/v1",
                "CALLFLEET_LLM_ENGINE": "openai",
                "CALLFLEET_LLM_MODEL": "small",
                "CALLFLEET_LLM_KEY": "/run/secrets/llm-key",
            },
        ),
    ],
)
@pytest.mark.parametrize("name", ["speech", "ai-voice-connector"])
def test_who_answers_programs_asks_the_model_that_is_named(
    name: str, given: dict[str, str], told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = SERVICES[name]
    assert service["secrets"] == ["llm-key"]
    found = {
        variable: interpolated(value, given) for variable, value in service["environment"].items()
    }
    assert {k: v for k, v in found.items() if k.startswith("CALLFLEET_LLM") and v} == told
    for variable, value in found.items():
        monkeypatch.setenv(variable, value)

    read = parameters(service["command"])

    assert read["llm_url"] == told.get("CALLFLEET_LLM_URL", "")
    assert read["llm_engine"] == told["CALLFLEET_LLM_ENGINE"]
    assert read["llm_model"] == told.get("CALLFLEET_LLM_MODEL")
    key = told.get("CALLFLEET_LLM_KEY")
    assert read["llm_key"] == (Path(key) if key else None)


def test_without_a_key_the_secret_is_an_empty_file() -> None:
    file = COMPOSE["secrets"]["llm-key"]["file"]
    assert interpolated(file, {}) == "/dev/null"
    assert interpolated(file, {"CALLFLEET_LLM_KEY_FILE": "./key"}) == "./key"


def test_a_word_that_is_no_option_would_be_seen() -> None:
    with pytest.raises(click.UsageError):
        parsed(["serve", "banking", "--no-such-option"])


def test_the_agent_is_where_the_proxys_row_says_and_has_the_number() -> None:
    rows = COMPOSE["configs"]["proxy-rows"]["content"]
    address = SERVICES["agent"]["networks"]["platform"]["ipv4_address"]
    agent = load_voice_agent((ROOT / "examples" / "card-line.yaml").read_text())
    assert SERVICES["agent"]["environment"]["POD_IP"] == address
    assert f"'sip:{address}:5060'" in rows
    assert f"'{agent.spec.sip.numbers[0]}', {len(agent.spec.sip.numbers[0])}," in rows
    assert agent.metadata.name == "card-line"  # as the identity's


def test_every_service_that_an_agent_is_told_of_is_there() -> None:
    environment = SERVICES["agent"]["environment"]
    told = {value for name, value in environment.items() if str(value).endswith(":7443")}
    assert told == {"session-manager:7443", "context-store:7443", "banking:7443"}
    assert {address.partition(":")[0] for address in told} <= set(SERVICES)
