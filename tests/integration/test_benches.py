"""The benches of services, engines and the operator work (see `benches`)."""

from pathlib import Path
from shutil import which

import pytest

from benches import output_of, quick, results
from callfleet_hack.cache import tools_dir
from rpcs import METHODS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(960)]


@pytest.mark.drill
@pytest.mark.skipif(
    which("espeak-ng") is None or which("redis-server") is None,
    reason="espeak-ng or redis-server is not installed here",
)
async def test_services() -> None:
    asked, found = results(await output_of("services", "--quick"))
    unary = {
        rpc.removeprefix("/callfleet.v1.")
        for rpc, method in METHODS.items()
        if not (method.client_streaming or method.server_streaming)
    }
    assert [asked["bench"], {row["rpc"] for row in asked["rows"]}] == [
        "services", {"echo (baseline)", "LLMService/ProcessText"} | unary,
    ]  # fmt: skip
    assert found["bench"] == "services-streams"
    assert [row["streams"] for row in found["rows"]] == [
        "echo (baseline)", "VADService/ProcessAudio", "ASRService/RecognizeSpeech",
        "TTSService/SynthesizeText", "AIVoiceConnectorService/ProcessAudioStream",
    ]  # fmt: skip
    assert all(row["held"] == row["count"] and not row["failed"] for row in found["rows"])


@pytest.mark.drill
@pytest.mark.skipif(
    not list(tools_dir().glob("kubernetes-*/kubernetes")),
    reason="the Kubernetes servers are not built here; run hack/tools kubernetes",
)
async def test_reconcile() -> None:
    found = await quick("reconcile")
    assert found["agents"] == 3
    assert found["rows"][-1]["writes"] == 0


@pytest.mark.drill
@pytest.mark.skipif(
    not list(tools_dir().glob("kubernetes-*/kubernetes")),
    reason="the Kubernetes servers are not built here; run hack/tools kubernetes",
)
async def test_truth() -> None:
    found = await quick("truth")
    assert [row["changes"] for row in found["rows"]] == [4, 4, 4, 4, 2]


async def test_providers(tmp_path: Path) -> None:
    found = await quick("providers", "--json", str(tmp_path / "run.json"))
    engines = [row["engine"] for row in found["rows"]]
    assert {"sphinx", "espeak", "rules", "silero"} <= set(engines)
    assert all(row["MiB"] > 0 and not row["too slow"] for row in found["rows"])

    table = (await output_of("providers", "--markdown", str(tmp_path / "run.json"))).splitlines()
    assert [line.split("`")[1] for line in table[2:]] == engines
    assert {line.count("|") for line in table} == {6}


async def test_injection() -> None:
    found = await quick("injection")
    rows = {row["what"].partition(" (")[0]: row for row in found["rows"]}
    assert rows["leaked of attacks obeyed"]["hits"] == 0
    assert rows["leaked of attacks obeyed"]["of"] > 20


async def test_journal() -> None:
    found = await quick("journal")
    rows = {row["what"]: row for row in found["rows"]}
    assert set(rows) == {
        "nothing", "write", "write + fdatasync", "record", "record, disk busy", "context",
    }  # fmt: skip
    for row in rows.values():
        assert row["p50 ms"] <= row["p95 ms"] <= row["p99 ms"] <= row["max ms"]
        assert row["over 1 ms"] >= row["waited"] + row["own"]
    # It waits for a disk, or the machine's temporary folder is in memory: never for nothing.
    assert rows["write + fdatasync"]["p50 ms"] > rows["nothing"]["p50 ms"]


@pytest.mark.drill
@pytest.mark.skipif(which("espeak-ng") is None, reason="espeak-ng is not on the PATH")
async def test_streams() -> None:
    found = await quick("streams")
    assert found["rows"][1]["first_ms_p50"] > 0
    assert all(row["asked"] > 20 for row in found["rows"])
