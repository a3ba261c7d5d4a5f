"""What the tests of the benches share. `--quick` runs each for some seconds: whether it works is
tested; what it measures then says nothing."""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LIMIT_S, STOP_S = 800, 60  # on a machine that has little time for them


async def output_of(name: str, *arguments: str) -> str:
    """What the program prints; its exit status is 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "bench" / f"{name}.py"), *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # it ends what it has started, which a kill does not
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()[-2000:]
    return output.decode()


async def quick(name: str, *arguments: str) -> dict[str, Any]:
    """The bench's last result."""
    *_, found = results(await output_of(name, "--quick", *arguments))
    return found


def results(output: str) -> list[dict[str, Any]]:
    """A bench's lines of JSON; each says what it was measured on."""
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for one in found:
        assert_says_where(one)
    return found


def assert_says_where(found: dict[str, Any]) -> None:
    machine = found.get("machine", found)
    assert {"cores", "memory_gib", "load_before", "python"} <= set(machine)
    assert machine["commit"]
    assert len(found["rows"]) >= 2  # the baseline and what is measured
