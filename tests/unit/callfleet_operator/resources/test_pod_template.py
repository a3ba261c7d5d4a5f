"""The pod of an agent: what it is given, and what it may do."""

from dataclasses import replace
from typing import Any

import pytest

from callfleet_operator.model import VoiceAgent, load_voice_agent
from callfleet_operator.resources.facts import OperatorFacts, PlatformAddresses
from callfleet_operator.resources.pod_template import pod_template
from vectors.manifests.table import SMALLEST, merged

OPERATOR = OperatorFacts("callfleet-system", "agent:1", "Always")


def agent(**spec: Any) -> VoiceAgent:
    change = {"metadata": {"name": "card-line", "namespace": "bank", "uid": "u-1"}, "spec": spec}
    return load_voice_agent(merged(SMALLEST["VoiceAgent"], change))


def template(**spec: Any) -> dict[str, Any]:
    return pod_template(agent(**spec), "rev", OPERATOR)


def container(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = template(**spec)["spec"]["containers"][0]
    return found


def test_it_runs_the_agent_with_the_settings_of_its_revision() -> None:
    found = container()
    assert found["command"][:3] == ["callfleet", "serve", "agent"]
    mounts = {mount["name"]: mount for mount in found["volumeMounts"]}
    assert found["command"][4] == f"{mounts['settings']['mountPath']}/agent.yaml"
    volumes = {volume["name"]: volume for volume in template()["spec"]["volumes"]}
    assert volumes["settings"]["configMap"]["name"] == "card-line-rev-settings"
    assert volumes["live"]["configMap"]["name"] == "card-line-live"
    assert volumes["tls"]["secret"]["secretName"] == "card-line-tls"


def test_it_is_restricted() -> None:
    spec = template()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [m["name"] for m in spec["containers"][0]["volumeMounts"] if "readOnly" not in m]
    assert writable == ["run", "tmp"]


def test_the_proxy_has_a_say_in_its_readiness() -> None:
    assert template()["spec"]["readinessGates"] == [{"conditionType": "callfleet.io/in-dispatcher"}]


@pytest.mark.parametrize(("drain", "grace"), [(0, 45), (600, 645)])
def test_the_grace_period_covers_drain_and_last_transaction(drain: int, grace: int) -> None:
    spec = template(rollout={"drainTimeoutSeconds": drain})["spec"]
    assert spec["terminationGracePeriodSeconds"] == grace


def test_it_knows_who_it_is() -> None:
    environment = {item["name"]: item for item in container(pod={"logLevel": "DEBUG"})["env"]}
    assert environment["POD_UID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
    assert list(environment) == [
        "POD_NAME",
        "POD_NAMESPACE",
        "POD_UID",
        "POD_IP",
        "CALLFLEET_REVISION",
        "CALLFLEET_LOG_LEVEL",
    ]
    assert environment["CALLFLEET_LOG_LEVEL"]["value"] == "DEBUG"
    # As its label says it: what the operator reads of a pod and what the pod reports are the same.
    path = environment["CALLFLEET_REVISION"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['callfleet.io/revision']"
    assert template()["metadata"]["labels"]["callfleet.io/revision"] == "rev"


def test_it_believes_the_callers_number_of_proxies_that_vouch_for_it() -> None:
    vouching = replace(OPERATOR, trusted_cidrs=("10.1.0.0/16", "10.2.0.1/32"))
    made = pod_template(agent(), "rev", vouching)["spec"]["containers"][0]["env"]
    assert {"name": "CALLFLEET_TRUSTED", "value": "10.1.0.0/16,10.2.0.1/32"} in made


SERVICES = replace(OPERATOR, services=PlatformAddresses("sm:7443", "cs:7443", "bank:7443"))


def names_and_values(made: dict[str, Any]) -> dict[str, str]:
    environment = made["spec"]["containers"][0]["env"]
    return {one["name"]: one.get("value", "") for one in environment}


@pytest.mark.parametrize(
    ("banking", "expected"),
    [({"url": None}, {"CALLFLEET_BANKING": "bank:7443"}), ({"url": "https://bank.example"}, {})],
)
def test_a_pod_finds_the_platforms_services_and_asks_a_bank_of_its_own_by_itself(
    banking: dict[str, str | None], expected: dict[str, str]
) -> None:
    manifest = agent(banking=banking)
    added = names_and_values(pod_template(manifest, "rev", SERVICES)).items() - (
        names_and_values(pod_template(manifest, "rev", OPERATOR)).items()
    )
    assert dict(added) == expected | {
        "CALLFLEET_SESSION_MANAGER": "sm:7443",
        "CALLFLEET_CONTEXT_STORE": "cs:7443",
        "CALLFLEET_JOURNAL": "/var/lib/callfleet/journal",
    }


def test_tokens_lie_beside_the_certificate_and_what_is_owed_outlives_the_process() -> None:
    spec = pod_template(agent(), "rev", SERVICES)["spec"]
    found = {volume["name"]: volume for volume in spec["volumes"]}
    assert [source["secret"] for source in found["tls"]["projected"]["sources"]] == [
        {"name": "card-line-tls"},
        {"name": "card-line-tokens", "optional": True},
    ]
    assert found["journal"] == {"name": "journal", "emptyDir": {"sizeLimit": "64Mi"}}
    mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["journal"] == {"name": "journal", "mountPath": "/var/lib/callfleet/journal"}


def test_a_pod_traces_where_there_is_a_collector() -> None:
    tracing = replace(OPERATOR, traces_endpoint="http://collector:4317")
    made, usual = (
        pod_template(agent(), "rev", facts)["spec"]["containers"][0]["env"]
        for facts in (tracing, OPERATOR)
    )
    added = [one for one in made if one not in usual]
    assert added == [
        {"name": "CALLFLEET_TRACING", "value": "otlp"},
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4317"},
    ]


@pytest.mark.parametrize(
    ("transports", "names"),
    [
        (["UDP", "TCP"], ["sip-udp", "sip-tcp", "control", "http"]),
        (["TCP"], ["sip-tcp", "control", "http"]),
    ],
)
def test_ports(transports: list[str], names: list[str]) -> None:
    found = container(sip={"transports": transports})["ports"]
    assert [port["name"] for port in found] == names


@pytest.mark.parametrize(
    ("workers", "given", "expected"),
    [
        (1, {}, {"requests": {"cpu": "1250m", "memory": "640Mi"}}),
        (4, {}, {"requests": {"cpu": "4250m", "memory": "1792Mi"}}),
        (1, {"requests": {"cpu": "250m"}}, {"requests": {"cpu": "250m", "memory": "640Mi"}}),
        (
            1,
            {"limits": {"memory": "1024Mi"}},
            {"requests": {"cpu": "1250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        ),
        (
            1,
            {"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}},
            {"requests": {"cpu": "1250m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        ),
    ],
)
def test_requests_follow_the_workers_and_cpu_has_no_limit(
    workers: int, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = container(capacity={"workers": workers}, pod={"resources": given})
    assert found["resources"] == expected


def test_images_come_from_the_manifest_or_from_the_operator() -> None:
    assert (container()["image"], container()["imagePullPolicy"]) == ("agent:1", "Always")
    own = container(pod={"image": "mine:2", "imagePullPolicy": "Never"})
    assert (own["image"], own["imagePullPolicy"]) == ("mine:2", "Never")


OAUTH = {
    "url": "https://b.example",
    "credentialsSecretName": "bank",
    "oauth": {"tokenUrl": "https://login.b.example/token"},
}


@pytest.mark.parametrize(
    ("banking", "sources"),
    [
        ({}, []),
        ({"credentialsSecretName": "bank"}, [("bank", "token")]),
        (
            {"credentialsSecretName": "bank", "caSecretName": "ca", "url": "https://b.example"},
            [("bank", "token"), ("ca", "ca.crt")],
        ),
        (
            {**OAUTH, "certificateSecretName": "pair"},
            [("bank", "clientId"), ("bank", "clientSecret?"), ("pair", "tls.crt tls.key")],
        ),
        (OAUTH, [("bank", "clientId"), ("bank", "clientSecret")]),
    ],
)
def test_what_it_shows_the_bank(banking: dict[str, Any], sources: list[tuple[str, str]]) -> None:
    spec = template(banking=banking)["spec"]
    volumes = [volume for volume in spec["volumes"] if volume["name"] == "banking"]
    found = [
        (
            source["secret"]["name"],
            " ".join(item["path"] for item in source["secret"]["items"])
            + "?" * source["secret"].get("optional", False),
        )
        for volume in volumes
        for source in volume["projected"]["sources"]
    ]
    mounts = [
        m["mountPath"] for m in spec["containers"][0]["volumeMounts"] if m["name"] == "banking"
    ]
    assert found == sources
    assert mounts == (["/etc/callfleet/banking"] if sources else [])


def test_it_is_spread_over_nodes_unless_told_otherwise() -> None:
    (usual,) = template()["spec"]["topologySpreadConstraints"]
    assert (usual["topologyKey"], usual["whenUnsatisfiable"]) == (
        "kubernetes.io/hostname",
        "ScheduleAnyway",
    )
    given = [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2}]
    (told,) = template(pod={"topologySpreadConstraints": given})["spec"][
        "topologySpreadConstraints"
    ]
    assert {**told, "labelSelector": None} == {**given[0], "labelSelector": None}
    assert told["labelSelector"] == usual["labelSelector"]
    assert usual["labelSelector"]["matchLabels"]["callfleet.io/agent"] == "card-line"


def test_labels_of_ours_win_and_others_are_kept() -> None:
    found = template(
        pod={
            "labels": {"team": "cards", "app.kubernetes.io/name": "mine"},
            "annotations": {"note": "x"},
        }
    )["metadata"]
    assert found == {
        "labels": {
            "team": "cards",
            "app.kubernetes.io/name": "voiceagent",
            "app.kubernetes.io/managed-by": "callfleet-operator",
            "callfleet.io/agent": "card-line",
            "callfleet.io/revision": "rev",
        },
        "annotations": {"note": "x", "callfleet.io/speaks": "grpcs"},
    }
    assert template()["metadata"]["annotations"] == {"callfleet.io/speaks": "grpcs"}


def test_placement() -> None:
    spec = template(
        pod={
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "voice", "effect": "NoExecute", "tolerationSeconds": 0}],
            "priorityClassName": "calls",
            "imagePullSecrets": [{"name": "pull"}],
        }
    )["spec"]
    assert spec["nodeSelector"] == {"disk": "fast"}
    assert spec["tolerations"] == [
        {"key": "voice", "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 0}
    ]
    assert spec["priorityClassName"] == "calls"
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    bare = template()["spec"]
    assert not {"nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets"} & set(bare)
