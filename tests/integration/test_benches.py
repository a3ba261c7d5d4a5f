"""The benches work: `--quick` runs each for a few seconds. What they measure then says nothing."""

import asyncio
import json
import sys
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from callfleet_hack.cache import tools_dir

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.timeout(240)


async def quick(name: str) -> dict[str, Any]:
    """The bench's line of JSON; its exit status is 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "bench" / f"{name}.py"), "--quick",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(200):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, complaint.decode()[-2000:]
    *_, last = output.decode().splitlines()
    found: dict[str, Any] = json.loads(last)
    return found


def has_its_facts(found: dict[str, Any], name: str) -> None:
    machine = found.get("machine", found)
    assert found["bench"] == name
    assert {"cores", "memory_gib", "load_before", "python"} <= set(machine)
    assert machine["commit"]
    assert len(found["rows"]) >= 2  # the baseline and what is measured


@pytest.mark.skipif(which("sipp") is None, reason="sipp is not on the PATH")
async def test_call_setup() -> None:
    found = await quick("call_setup")
    has_its_facts(found, "call_setup")
    assert [row["failed"] for row in found["rows"]] == [0, 0]


async def test_answer() -> None:
    found = await quick("answer")
    has_its_facts(found, "answer")
    assert [row["unanswered"] for row in found["rows"]] == [0, 0, 0]


@pytest.mark.skipif(
    not list(tools_dir().glob("kubernetes-*/kubernetes")),
    reason="the Kubernetes servers are not built here; run hack/tools kubernetes",
)
async def test_reconcile() -> None:
    found = await quick("reconcile")
    has_its_facts(found, "reconcile")
    assert found["agents"] == 10
