"""The cluster itself."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from callfleet_hack.cache import REPOSITORY
from callfleet_hack.platform import Platform, own_cluster


def test_to_bring_it_up_again_changes_nothing(platform: Platform) -> None:
    if platform.kubeconfig != own_cluster():
        pytest.skip("KUBECONFIG names a cluster that is not ours to bring up")
    before = running(platform)
    done = subprocess.run(
        [str(REPOSITORY / "hack" / "cluster"), "up"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(platform.kubeconfig) in done.stdout
    assert before <= running(platform)


def running(platform: Platform) -> set[tuple[str, int]]:
    """The platform's own pods, with how often their containers were started again."""
    pods = platform.get("pods", "-n", "kube-system")["items"]
    return {
        (pod["metadata"]["uid"], status["restartCount"])
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
    }


def test_it_is_the_kubernetes_that_was_asked_for(platform: Platform) -> None:
    image = os.environ.get("KIND_NODE_IMAGE")
    if not image:
        pytest.skip("KIND_NODE_IMAGE names no version")
    version = json.loads(platform.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    assert image.partition("@")[0].endswith(f":{version}")
