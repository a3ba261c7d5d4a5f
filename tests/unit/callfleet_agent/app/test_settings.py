"""A manifest becomes settings, or an error that names the field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from callfleet_agent.app.errors import AppError, ManifestError
from callfleet_agent.app.laptop import LaptopOptions, parse_ports
from callfleet_agent.app.settings import (
    AgentSettings,
    PodIdentity,
    free_port,
    log_level,
    read_manifest,
)


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "callfleet.io/v1alpha1",
        "kind": "VoiceAgent",
        "metadata": {"name": "card-line"},
        "spec": {"banking": {"url": "http://bank.example"}, **spec},
    }


def written(folder: Path, data: object) -> Path:
    path = folder / "agent.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data), encoding="utf-8")
    return path


def test_capacity_and_workers_come_from_the_manifest(tmp_path: Path) -> None:
    data = manifest(capacity={"callsPerPod": 40, "workers": 2})
    agent = read_manifest(written(tmp_path, data)).agent()
    settings = AgentSettings(agent=agent, worker_file=tmp_path)
    assert (settings.capacity, settings.workers) == (40, 2)


def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    data = manifest(capacity={"callsPerPod": 0})
    with pytest.raises(ManifestError, match=r"spec\.capacity\.callsPerPod"):
        read_manifest(written(tmp_path, data)).agent()


def test_options_go_over_the_manifest(tmp_path: Path) -> None:
    agent = read_manifest(written(tmp_path, manifest())).agent(bank_url="http://b.test", workers=3)
    assert agent.spec.banking.url == "http://b.test"
    assert agent.spec.capacity.workers == 3


@pytest.mark.parametrize(
    ("spec", "demo"),
    [
        ({}, False),
        ({"banking": None}, True),
        ({"banking": {"url": "demo:"}}, True),
        ({"banking": {"timeoutSeconds": 2}}, True),
        ({"banking": {"url": 5}}, False),
        ({"banking": "no mapping"}, False),
    ],
)
def test_without_a_bank_the_demo_bank_is_meant(
    tmp_path: Path, spec: dict[str, Any], demo: bool
) -> None:
    assert read_manifest(written(tmp_path, manifest(**spec))).wants_demo_bank is demo


def test_a_demo_bank_fills_in_the_url(tmp_path: Path) -> None:
    data = manifest()
    del data["spec"]
    read = read_manifest(written(tmp_path, data))
    assert read.wants_demo_bank
    assert read.agent(bank_url="http://127.0.0.1:9").spec.banking.url == "http://127.0.0.1:9"


@pytest.mark.parametrize("text", ["", "- a\n- list\n", "a: [", "just text"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ManifestError):
        read_manifest(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"cannot read .*none\.yaml: No such file"):
        read_manifest(tmp_path / "none.yaml")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="it is no text"):
        read_manifest(tmp_path / "agent.yaml")


def test_the_pod_knows_who_it_is(tmp_path: Path) -> None:
    data = manifest()
    data["metadata"]["labels"] = {"callfleet.io/revision": "0123456789"}
    agent = read_manifest(written(tmp_path, data)).agent()
    environment = {"POD_NAME": "p", "POD_NAMESPACE": "n", "POD_UID": "u", "POD_IP": "10.0.0.7"}
    assert PodIdentity.from_environment(environment, agent) == PodIdentity(
        "p", "n", "u", "10.0.0.7", "0123456789"
    )
    assert PodIdentity.from_environment({"CALLFLEET_REVISION": "r"}, agent).revision == "r"


def test_an_unknown_log_level_is_info() -> None:
    assert log_level({"CALLFLEET_LOG_LEVEL": "debug"}) == "DEBUG"
    assert log_level({"CALLFLEET_LOG_LEVEL": "chatty"}) == "INFO"


def test_ports() -> None:
    assert parse_ports("20000-20999") == (20000, 20999)
    assert 0 < free_port("127.0.0.1") < 65536
    assert LaptopOptions.of({"manifest": Path("a"), "rtp_ports": "3-9"}).rtp_ports == (3, 9)


@pytest.mark.parametrize("text", ["20000", "9-3", "a-b", "0-5", "1-70000"])
def test_what_is_no_range_of_ports(text: str) -> None:
    with pytest.raises(AppError, match="--rtp-ports"):
        parse_ports(text)
