"""`make demo`, as a newcomer sees it: everything that it promises to show is shown, and true."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callfleet_agent.app.recognise import recognise_status
from callfleet_hack import platform as cluster
from callfleet_hack.cache import REPOSITORY
from callfleet_hack.command import succeeds
from callfleet_hack.demo import AGENT_NAME, AGENT_NAMESPACE
from callfleet_hack.platform import Platform
from callfleet_hack.tools import ensure

WITHIN_S = 90.0  # on a cluster that is there, with its images


@pytest.fixture
def shown(platform: Platform, proxy: str) -> Iterator[str]:
    """What the demo printed; its agent goes with the test, unless it was there before."""
    assert proxy
    kubectl = (ensure("kubectl"), "--kubeconfig", platform.kubeconfig, "-n", AGENT_NAMESPACE)
    was_there = succeeds([*kubectl, "get", "voiceagent", AGENT_NAME])
    demo = [REPOSITORY / "hack" / "demo", "--kubeconfig", platform.kubeconfig]
    demo += ["--status", "lost"]
    started = time.monotonic()
    done = subprocess.run(
        [str(word) for word in demo], capture_output=True, text=True, timeout=300, check=False
    )
    lasted = time.monotonic() - started
    cluster.installed(platform)  # whose bank says what other tests expect of it
    assert done.returncode == 0, done.stdout + done.stderr
    assert lasted < WITHIN_S
    yield done.stdout + done.stderr
    if not was_there:
        platform.kubectl("-n", AGENT_NAMESPACE, "delete", "voiceagent", AGENT_NAME)


def test_what_the_demo_shows(shown: str) -> None:
    assert re.search(rf"^bank +voiceagent.callfleet.io/{AGENT_NAME} +True", shown, re.MULTILINE)
    assert re.search(r"deployment.apps/card-line", shown)
    assert re.search(r"^ *\d+ \| sip:[\d.]+:\d+", shown, re.MULTILINE)  # the dispatcher's rows
    assert "where is my credit card" in shown
    assert re.search(r"\b\d+ ms\b", shown)
    assert "kubectl -n bank scale voiceagent/card-line --replicas=3" in shown
    assert "make down" in shown
    recording = re.search(r"recording of the call is (\S+)", shown)
    assert recording
    assert recognise_status(Path(recording[1])) == "lost"
