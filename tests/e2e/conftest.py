"""The cluster and the platform, once for all tests; a namespace and a number for each."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from callfleet_hack import platform as cluster
from callfleet_hack.cluster import package_groups
from callfleet_hack.packages import ensure_packages
from callfleet_hack.platform import Platform
from e2e.fleet import Fleet, numbered

NUMBERS = numbered()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def platform(pytestconfig: pytest.Config) -> Platform:
    """The cluster of KUBECONFIG, or one of our own, with the images on it."""
    named = os.environ.get("KUBECONFIG", "")
    kubeconfig = Path(named) if named else None
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # it takes minutes: show the progress
        ensure_packages(package_groups(kubeconfig), install=True)
        return cluster.bring_up(kubeconfig)


@pytest.fixture(scope="session")
def proxy(platform: Platform, pytestconfig: pytest.Config) -> str:
    """The platform installed by its chart; the address of its SIP proxy."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        return cluster.installed(platform)


@pytest.fixture
def fleet(platform: Platform, proxy: str, tmp_path: Path) -> Iterator[Fleet]:
    """A namespace with restricted pod security, without an agent yet."""
    namespace = f"e2e-{secrets.token_hex(3)}"
    platform.apply(
        f"""
apiVersion: v1
kind: Namespace
metadata:
  name: {namespace}
  labels: {{pod-security.kubernetes.io/enforce: restricted}}
"""
    )
    fleet = Fleet(platform, proxy, namespace, tmp_path, number=next(NUMBERS))
    yield fleet
    fleet.stop()
    platform.kubectl("delete", "namespace", namespace, "--wait=false")
