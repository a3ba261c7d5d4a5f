"""The chart on a real API server: installed, upgraded and taken away with Helm."""

import shutil
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from callfleet_hack.cache import tools_dir
from callfleet_hack.control_plane import control_plane
from helm import NAMESPACE, ROOT, helm_program, run, until_served

AGENT = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: card-line, namespace: default}
spec: {banking: {url: "http://bank.example"}}
"""


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of an API server of these tests' own: the chart takes the CRDs."""
    if not list(tools_dir().glob("kubernetes-*/kubernetes")):
        pytest.skip("the Kubernetes servers are not built here; run hack/tools kubernetes")
    with control_plane(tmp_path_factory.mktemp("chart") / "control-plane") as running:
        yield running.kubeconfig


@pytest.fixture
def helm() -> Path:
    return helm_program()


def test_an_upgrade_brings_new_crds_and_an_uninstall_takes_no_agent_away(
    helm: Path, kubeconfig: Path, tmp_path: Path
) -> None:
    chart = tmp_path / "callfleet"
    shutil.copytree(ROOT / "charts" / "callfleet", chart)
    values = str(chart / "ci" / "own-services.yaml")
    where = ("callfleet", str(chart), "-n", NAMESPACE, "-f", values)
    # No node runs the hook that makes the proxy's tables.
    run(helm, kubeconfig, "install", *where, "--create-namespace", "--no-hooks")
    wait = ("wait", "--for=condition=Established", "crd/voiceagents.callfleet.io")
    run("kubectl", kubeconfig, *wait, "--timeout=180s")
    until_served(kubeconfig, "voiceagents")
    run("kubectl", kubeconfig, "apply", "-f", "-", text=AGENT)

    crd = chart / "templates" / "crds" / "voiceagents.yaml"
    text = crd.read_text()
    assert text.count("Pods above the wanted number") == 1
    crd.write_text(text.replace("Pods above the wanted number", "Pods beyond the wanted number"))
    run(helm, kubeconfig, "upgrade", *where, "--no-hooks")
    shown = run("kubectl", kubeconfig, "get", "crd", "voiceagents.callfleet.io", "-o", "yaml")
    assert "Pods beyond the wanted number" in shown

    run(helm, kubeconfig, "uninstall", "callfleet", "-n", NAMESPACE, "--no-hooks")
    assert "card-line" in run("kubectl", kubeconfig, "get", "voiceagents", "-o", "name")
    left = run("kubectl", kubeconfig, "get", "deploy,sa,cm,netpol", "-n", NAMESPACE, "-o", "name")
    assert "operator" not in left


def test_an_upgrade_keeps_what_the_routes_of_calls_are_sealed_with(
    helm: Path, kubeconfig: Path
) -> None:
    where = ("callfleet", str(ROOT / "charts" / "callfleet"), "-n", NAMESPACE)
    values = ("--set", "proxy.address=192.0.2.10", "--no-hooks")
    secret = ("get", "secret", "callfleet-proxy-routes", "-n", NAMESPACE)
    run(helm, kubeconfig, "install", *where, *values, "--create-namespace")
    first = run("kubectl", kubeconfig, *secret, "-o", "jsonpath={.data.secret}")
    assert len(b64decode(first)) == 32

    run(helm, kubeconfig, "upgrade", *where, *values, "--set", "proxy.sipPort=5070")
    assert run("kubectl", kubeconfig, *secret, "-o", "jsonpath={.data.secret}") == first

    run(helm, kubeconfig, "uninstall", "callfleet", "-n", NAMESPACE, "--no-hooks")


def test_pools_of_our_engines_have_an_image_unless_another_is_named(
    helm: Path, kubeconfig: Path
) -> None:
    where = ("template", "callfleet", str(ROOT / "charts" / "callfleet"))
    values = ("--set", "proxy.address=192.0.2.10", "--kube-version", "1.34.4")
    ours = "localhost/callfleet/engines:dev"
    images = _pool_images(run(helm, kubeconfig, *where, *values))
    assert images == dict.fromkeys(("whisper", "vosk", "piper"), ours)

    others = "pools.images.whisper=gpu/whisper:1,pools.images.vllm=vllm:1"
    named = ("--set-string", "pools.engines.image.tag=2", "--set", others)
    images = _pool_images(run(helm, kubeconfig, *where, *values, *named))
    ours = "localhost/callfleet/engines:2"
    assert images == {"whisper": "gpu/whisper:1", "vosk": ours, "piper": ours, "vllm": "vllm:1"}


def _pool_images(rendered: str) -> dict[str, str]:
    """What the operator would read."""
    for manifest in yaml.safe_load_all(rendered):
        if manifest and "operator.yaml" in (manifest.get("data") or {}):
            settings = yaml.safe_load(manifest["data"]["operator.yaml"])
            images: dict[str, str] = settings["pools"]["images"]
            return images
    raise AssertionError("no settings of the operator")
