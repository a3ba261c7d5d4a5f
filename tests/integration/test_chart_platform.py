"""The platform's services in the chart: keys that stay, settings that are read, admitted pods."""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callfleet_agent.app.platform_settings import ROLES
from callfleet_hack.cache import tools_dir
from callfleet_hack.control_plane import control_plane
from callfleet_operator.model import load_settings
from command_lines import parameters, parsed
from helm import CHART, NAMESPACE, WHERE, helm_program, rendered, run, template


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


DEMO = ("--set", "proxy.address=192.0.2.10", "--set", "demoBank.enabled=true", "--no-hooks")


def secret(kubeconfig: Path, name: str) -> dict[str, str]:
    shown = run("kubectl", kubeconfig, "get", "secret", name, "-n", NAMESPACE, "-o", "json")
    data: dict[str, str] = json.loads(shown)["data"]
    return {key: b64decode(value).decode() for key, value in data.items()}


@pytest.mark.timeout(600)  # six runs of Helm on an API server
def test_keys_and_passwords_are_made_once_and_a_new_key_comes_beside_the_old_one(
    helm: Path, kubeconfig: Path
) -> None:
    run(helm, kubeconfig, "install", *WHERE, *DEMO, "--create-namespace")
    keys = secret(kubeconfig, "callfleet-sealing-keys")
    database = secret(kubeconfig, "callfleet-proxy-database")
    certificate = secret(kubeconfig, "callfleet-stores-tls")
    assert certificate["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    assert {name: len(b64decode(keys[name])) for name in ("k1", "index")} == {"k1": 32, "index": 32}
    assert keys["current"] == "k1"
    # As an installation of a version without the platform's services left it.
    forget = '[{"op": "remove", "path": "/data/services-password"}]'
    what = ("patch", "secret", "callfleet-proxy-database", "-n", NAMESPACE, "--type=json")
    run("kubectl", kubeconfig, *what, "-p", forget)

    new_key = ("--set-json", 'platform.sealingKeys={"current": "k2", "names": ["k1", "k2"]}')
    run(helm, kubeconfig, "upgrade", *WHERE, *DEMO, *new_key)
    after = secret(kubeconfig, "callfleet-sealing-keys")
    assert {name: after[name] for name in ("k1", "index")} == {
        name: keys[name] for name in ("k1", "index")
    }
    assert (after["current"], len(b64decode(after["k2"]))) == ("k2", 32)
    again = secret(kubeconfig, "callfleet-proxy-database")
    for name in ("owner-password", "operator-url", "proxy-url"):
        assert again[name] == database[name]
    assert secret(kubeconfig, "callfleet-stores-tls") == certificate
    assert len(again["services-password"]) == 32
    assert again["services-password"] in again["services-url"]

    run(helm, kubeconfig, "uninstall", "callfleet", "-n", NAMESPACE, "--no-hooks")
    assert secret(kubeconfig, "callfleet-sealing-keys") == after
    run(helm, kubeconfig, "install", *WHERE, *DEMO, *new_key)
    assert secret(kubeconfig, "callfleet-sealing-keys") == after
    run(helm, kubeconfig, "uninstall", "callfleet", "-n", NAMESPACE, "--no-hooks")


def test_the_operator_can_read_its_settings_and_knows_the_services() -> None:
    values = ("-f", str(CHART / "ci" / "everything.yaml"))
    for given in (values, DEMO[:4]):
        found = [item for item in rendered(*given) if item["kind"] == "ConfigMap"]
        (text,) = [
            item["data"]["operator.yaml"] for item in found if "operator.yaml" in item["data"]
        ]
        platform = load_settings(text).platform
        assert platform is not None
        assert platform.banking == "callfleet-banking.callfleet-system.svc:7443"
        services = {item["metadata"]["name"] for item in rendered(*given)
                    if item["kind"] == "Service"}  # fmt: skip
        assert {service.service for service in platform.services} <= services


def test_without_a_bank_there_is_no_banking_service_and_what_needs_one_says_so() -> None:
    alone = ("--set", "proxy.address=192.0.2.10")
    names = {item["metadata"]["name"] for item in rendered(*alone)}
    assert "callfleet-session-manager" in names
    assert "callfleet-banking" not in names
    for values, said in (
        (("--set", "platform.roles.llm.enabled=true"), "platform.bank.url"),
        (("--set", "platform.sealingKeys.current=k9"), "platform.sealingKeys.names"),
        (("--set", "platform.sealingKeys.names[0]=index"), "names/0"),
        (("--set", "platform.bank.url=https://me:secret@bank.example"), "url"),
    ):
        done = template(*alone, *values)
        assert done.returncode != 0
        assert said in done.stderr


KEYS = (
    "sessionManager", "contextStore", "banking", "llm", "vad", "asr", "tts", "aiVoiceConnector",
)  # fmt: skip
EVERY_ROLE = (
    *DEMO[:4],
    *(word for key in KEYS for word in ("--set", f"platform.roles.{key}.enabled=true")),
)
SPREAD_OVER = {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def by_name(items: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in items if item["kind"] == kind}


def selected(labels: dict[str, str], deployments: dict[str, dict[str, Any]]) -> list[str]:
    """Whose pods have these labels."""
    assert labels
    pods = {
        name: item["spec"]["template"]["metadata"]["labels"] for name, item in deployments.items()
    }
    return [name for name, pod in pods.items() if labels.items() <= pod.items()]


@pytest.fixture(scope="module")
def every_role() -> list[dict[str, Any]]:
    """The chart with each role, and its defaults for the rest."""
    return rendered(*EVERY_ROLE)


def test_a_service_has_two_pods_apart_from_each_other_of_which_one_may_leave(
    every_role: list[dict[str, Any]],
) -> None:
    deployments = by_name(every_role, "Deployment")
    budgets = by_name(every_role, "PodDisruptionBudget")
    for role in ROLES:
        name = f"callfleet-{role}"
        spec, budget = deployments[name]["spec"], budgets[name]["spec"]
        assert spec["replicas"] >= 2, role
        constraints = spec["template"]["spec"]["topologySpreadConstraints"]
        assert {constraint["topologyKey"] for constraint in constraints} == SPREAD_OVER, role
        for chosen in (spec["selector"], budget["selector"], *(
            constraint["labelSelector"] for constraint in constraints
        )):  # fmt: skip
            assert chosen.keys() == {"matchLabels"}, role
            assert selected(chosen["matchLabels"], deployments) == [name]
        assert [constraint["maxSkew"] for constraint in constraints] == [1, 1], role
        assert budget["maxUnavailable"] == 1, role
        assert "minAvailable" not in budget, role


def test_a_service_is_reached_and_probed_on_ports_that_it_has(
    every_role: list[dict[str, Any]],
) -> None:
    deployments, services = by_name(every_role, "Deployment"), by_name(every_role, "Service")
    for role in ROLES:
        name = f"callfleet-{role}"
        (container,) = deployments[name]["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        probes = {
            kind: container[f"{kind}Probe"]["httpGet"]
            for kind in ("startup", "liveness", "readiness")
        }
        assert {kind: probe["path"] for kind, probe in probes.items()} == {
            "startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz",
        }, role  # fmt: skip
        assert all(ports[probe["port"]] == 8080 for probe in probes.values()), role
        service = services[name]["spec"]
        assert selected(service["selector"], deployments) == [name]
        assert {port["targetPort"] for port in service["ports"]} <= ports.keys(), role


def test_a_service_is_scaled_from_its_replicas_up_where_that_is_wanted(
    every_role: list[dict[str, Any]],
) -> None:
    assert not by_name(every_role, "HorizontalPodAutoscaler")
    more = ("--set", "platform.autoscaling.enabled=true", "--set", "platform.roles.llm.replicas=9")
    items = rendered(*EVERY_ROLE, *more)
    deployments, scalers = by_name(items, "Deployment"), by_name(items, "HorizontalPodAutoscaler")
    assert scalers.keys() == {f"callfleet-{role}" for role in ROLES}
    for name, scaler in scalers.items():
        # With both, each upgrade would take back what the scaler has done.
        assert "replicas" not in deployments[name]["spec"], name
        spec = scaler["spec"]
        assert spec["scaleTargetRef"] == {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": name,
        }  # fmt: skip
        bounds = (9, 9) if name == "callfleet-llm" else (2, 6)
        assert (spec["minReplicas"], spec["maxReplicas"]) == bounds, name
        (metric,) = spec["metrics"]
        assert metric["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
        # Utilization is of the request: without one there is nothing to go by.
        (container,) = deployments[name]["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["requests"]["cpu"], name


def test_a_client_has_a_hundred_requests_a_minute_unless_told_otherwise(
    every_role: list[dict[str, Any]],
) -> None:
    deployments = by_name(every_role, "Deployment")
    for role in ROLES:
        spec = deployments[f"callfleet-{role}"]["spec"]["template"]["spec"]
        words = spec["containers"][0]["args"]
        assert {"--per-minute=100", "--burst=20", "--agents-per-minute=6000"} <= set(words), role


def test_pods_of_the_connector_find_and_reach_each_other_and_nobody_else_has_to() -> None:
    found = rendered("-f", str(CHART / "ci" / "everything.yaml"))
    named = {(item["kind"], item["metadata"]["name"]): item["spec"] for item in found
             if "spec" in item}  # fmt: skip
    service = named["Service", "callfleet-avc-peers"]
    pods = named["Deployment", "callfleet-ai-voice-connector"]
    policy = named["NetworkPolicy", "callfleet-avc-peers"]

    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"]
    assert service["selector"] == pods["selector"]["matchLabels"]
    (args,) = [container["args"] for container in pods["template"]["spec"]["containers"]]
    assert parameters(args)["peers"] == ("callfleet-avc-peers.callfleet-system.svc:7443",)
    to_pods = [{"podSelector": {"matchLabels": service["selector"]}}]
    ports = [{"port": "grpc", "protocol": "TCP"}]
    assert policy["podSelector"]["matchLabels"] == service["selector"]
    assert policy["ingress"] == [{"from": to_pods, "ports": ports}]
    assert policy["egress"] == [{"to": to_pods, "ports": ports}]
    without = rendered("--set", "proxy.address=192.0.2.10")
    assert not any(item["metadata"]["name"] == "callfleet-avc-peers" for item in without)


def test_the_services_pods_are_admitted_where_restricted_pod_security_is_enforced(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLFLEET_DATABASE_URL", "postgresql://x")
    monkeypatch.setenv("CALLFLEET_SEALING_KEYS", "/keys")
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "restricted",
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    run("kubectl", kubeconfig, "apply", "-f", "-", text=json.dumps(namespace))
    values = ("-f", str(CHART / "ci" / "everything.yaml"))
    admitted = []
    for item in rendered(*values):
        template = item.get("spec", {}).get("jobTemplate", item).get("spec", {}).get("template")
        component = item["metadata"].get("labels", {}).get("app.kubernetes.io/name", "")
        if template is None or component in ("proxy", "rtpengine"):
            continue
        spec = template["spec"] | {"serviceAccountName": "default"}
        name = item["metadata"]["name"]
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            if "/callfleet/agent:" in container["image"]:
                words = [word.replace("/archive", str(tmp_path)) for word in container["args"]]
                assert parsed(words).name
        pod = {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": name, "namespace": "restricted"}, "spec": spec}  # fmt: skip
        run("kubectl", kubeconfig, "create", "--dry-run=server", "-f", "-", text=json.dumps(pod))
        admitted.append(name)
    assert {
        "callfleet-ai-voice-connector",
        "callfleet-banking",
        "callfleet-storage-upkeep",
        "callfleet-audit-archive",
    } <= set(admitted)
