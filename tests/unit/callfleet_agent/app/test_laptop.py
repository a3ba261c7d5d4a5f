"""What a newcomer runs on a laptop has a bank, or says that it has none."""

import re
import socket
from pathlib import Path

import pytest

from callfleet_agent.app.laptop import silent_bank
from callfleet_agent.app.settings import read_manifest

ROOT = Path(__file__).resolve().parents[4]
LOOPBACK = "127.0.0.1"


@pytest.mark.parametrize("page", ["README.md", "examples/agent.yaml"])
def test_a_newcomers_first_command_brings_a_bank(page: str) -> None:
    """The example itself names a bank, as a cluster wants it."""
    (command,) = re.findall(
        r"callfleet run examples/agent\.yaml.*", (ROOT / page).read_text(encoding="utf-8")
    )
    brings = read_manifest(ROOT / "examples" / "agent.yaml").wants_demo_bank
    assert brings or "--bank-demo" in command


@pytest.mark.parametrize("listens", [True, False])
async def test_a_bank_that_is_not_there_is_noticed(listens: bool) -> None:
    with socket.socket() as bank:
        bank.bind((LOOPBACK, 0))
        if listens:
            bank.listen()
        url = f"http://{LOOPBACK}:{bank.getsockname()[1]}"
        agent = read_manifest(ROOT / "examples" / "agent.yaml").agent(bank_url=url)
        assert await silent_bank(agent) is not listens
