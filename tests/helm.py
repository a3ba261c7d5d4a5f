"""The chart by Helm, on an API server of a test's own."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from callfleet_hack.cache import tools_dir

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "callfleet"
NAMESPACE = "callfleet-system"
WHERE = ("callfleet", str(CHART), "-n", NAMESPACE)
LIMIT_S = 300.0  # for a program that a busy machine runs
RECENT = ("--kube-version", "1.34.4")


def helm_program() -> Path:
    built = sorted(tools_dir().glob("helm-*/helm"))
    found = shutil.which("helm")
    if found is None and not built:
        pytest.skip("helm is not on PATH and not built here; run hack/tools ensure helm")
    return Path(found) if found is not None else built[-1]


def run(program: Path | str, kubeconfig: Path, *arguments: str, text: str = "") -> str:
    command = [str(program), "--kubeconfig", str(kubeconfig), *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def until_served(kubeconfig: Path, resource: str) -> None:
    """Until the server serves it and says so: it learns of definitions bit by bit."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        with tempfile.TemporaryDirectory() as fresh:  # for what kubectl remembers of a server
            done = subprocess.run(
                ["kubectl", "--kubeconfig", str(kubeconfig), "get", resource],
                env={**os.environ, "KUBECACHEDIR": fresh}, capture_output=True, text=True,
                timeout=LIMIT_S, check=False,
            )  # fmt: skip
        if done.returncode == 0:
            return
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)


def template(*values: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(helm_program()), "template", *WHERE, *RECENT, *values],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def rendered(*values: str) -> list[dict[str, Any]]:
    done = template(*values)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]
