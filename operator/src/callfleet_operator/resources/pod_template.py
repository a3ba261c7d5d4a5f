"""The pod of an agent."""

from typing import Any

from callfleet_operator.model import VoiceAgent, live
from callfleet_operator.model.pod import AgentPod
from callfleet_operator.policies.address import SIP_PORT

from .facts import OperatorFacts
from .names import (
    CONTROL_PORT,
    GATE,
    GRPCS,
    HTTP_PORT,
    REVISION_LABEL,
    SPEAKS,
    keys_secret_name,
    live_name,
    revision_labels,
    selector_labels,
    service_name,
    settings_name,
    tls_secret_name,
    tokens_secret_name,
)
from .quantities import canonical_resources

SETTINGS_DIR, LIVE_DIR = "/etc/callfleet/settings", "/etc/callfleet/live"
TLS_DIR = "/etc/callfleet/tls"
BANKING_DIR = "/etc/callfleet/banking"
JOURNAL_DIR = "/var/lib/callfleet/journal"
SETTINGS_FILE, LIVE_FILE = "agent.yaml", live.FILE

# A journal takes twice its bound of 16 MiB and a segment; a pod over its limit is evicted.
JOURNAL_MEBIBYTES = 64
USER_ID = 10001
# After SIGTERM: 5 s until the row is out at the latest, then the calls, then 32 s (64 times T1,
# RFC 3261 section 17) for the last transaction, and time to stop.
BEFORE_DRAIN_S, LAST_TRANSACTION_S, SLACK_S = 5, 32, 8
# What the connector takes besides its workers, and a worker's share.
CONNECTOR_MILLICPU, WORKER_MILLICPU = 250, 1000
CONNECTOR_MEBIBYTES, WORKER_MEBIBYTES = 256, 384


def pod_template(agent: VoiceAgent, revision: str, operator: OperatorFacts) -> dict[str, Any]:
    """The template of a revision's pods: restricted pod security, and no CPU limit."""
    pod = agent.spec.pod
    drain = agent.spec.rollout.drain_timeout_seconds
    spec: dict[str, Any] = {
        "serviceAccountName": service_name(agent),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "readinessGates": [{"conditionType": GATE}],
        "terminationGracePeriodSeconds": BEFORE_DRAIN_S + drain + LAST_TRANSACTION_S + SLACK_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(agent, operator)],
        "volumes": volumes(agent, revision, operator),
        "topologySpreadConstraints": topology_spread(agent),
    }
    metadata: dict[str, Any] = {"labels": {**pod.labels, **revision_labels(agent, revision)}}
    metadata["annotations"] = {**pod.annotations, SPEAKS: GRPCS}
    return {"metadata": metadata, "spec": spec | placement(pod)}


def container(agent: VoiceAgent, operator: OperatorFacts) -> dict[str, Any]:
    """The one container: connector and workers."""
    pod = agent.spec.pod
    return {
        "name": "agent",
        "image": pod.image or operator.agent_image,
        "imagePullPolicy": pod.image_pull_policy or operator.agent_image_pull_policy,
        "command": ["callfleet", "serve", "agent", "--settings", f"{SETTINGS_DIR}/{SETTINGS_FILE}"],
        "env": environment(agent, operator),
        "ports": ports(agent),
        "resources": resources(agent),
        "startupProbe": probe("/healthz", every=1, failures=180),
        "livenessProbe": probe("/healthz", every=10, failures=6),
        "readinessProbe": probe("/readyz", every=1, failures=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": volume_mounts(agent, operator),
    }


def environment(agent: VoiceAgent, operator: OperatorFacts) -> list[dict[str, Any]]:
    """Who the pod is, by the downward API, whom it believes, and what services it has."""
    fields = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "POD_IP": "status.podIP",
        "CALLFLEET_REVISION": f"metadata.labels['{REVISION_LABEL}']",
    }
    trusted = ",".join(operator.trusted_cidrs)
    return [
        *(
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in fields.items()
        ),
        *([{"name": "CALLFLEET_TRUSTED", "value": trusted}] if trusted else []),
        {"name": "CALLFLEET_LOG_LEVEL", "value": agent.spec.pod.log_level},
        *_services(agent, operator),
        *_traces(operator.traces_endpoint),
    ]


def _services(agent: VoiceAgent, operator: OperatorFacts) -> list[dict[str, Any]]:
    """An agent that names a bank of its own asks that one by itself."""
    services = operator.services
    if not services.any:
        return []
    values = {
        "CALLFLEET_SESSION_MANAGER": services.session_manager,
        "CALLFLEET_CONTEXT_STORE": services.context_store,
        "CALLFLEET_BANKING": services.banking if agent.spec.banking.url is None else "",
        "CALLFLEET_JOURNAL": JOURNAL_DIR,
    }
    return [{"name": name, "value": value} for name, value in values.items() if value]


def _traces(endpoint: str | None) -> list[dict[str, Any]]:
    if endpoint is None:
        return []
    return [
        {"name": "CALLFLEET_TRACING", "value": "otlp"},
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint},
    ]


def ports(agent: VoiceAgent) -> list[dict[str, Any]]:
    """SIP on the transports that are served, control and HTTP. RTP's range has no names."""
    return [
        *(
            {
                "name": f"sip-{transport.lower()}",
                "containerPort": SIP_PORT,
                "protocol": str(transport),
            }
            for transport in agent.spec.sip.transports
        ),
        {"name": "control", "containerPort": CONTROL_PORT, "protocol": "TCP"},
        {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
    ]


def resources(agent: VoiceAgent) -> dict[str, Any]:
    """Requests follow the workers unless they are given; a CPU limit is refused by the model."""
    workers = agent.spec.capacity.workers
    given = agent.spec.pod.resources
    requests = {
        "cpu": f"{CONNECTOR_MILLICPU + workers * WORKER_MILLICPU}m",
        "memory": f"{CONNECTOR_MEBIBYTES + workers * WORKER_MEBIBYTES}Mi",
        **given.limits,  # as the API server does it: a limit alone is a request too
        **given.requests,
    }
    result: dict[str, Any] = {"requests": canonical_resources(requests)}
    if given.limits:
        result["limits"] = canonical_resources(given.limits)
    return result


def probe(path: str, *, every: int, failures: int) -> dict[str, Any]:
    """A GET on the agent's HTTP port, every so many seconds."""
    return {
        "httpGet": {"path": path, "port": HTTP_PORT, "scheme": "HTTP"},
        "periodSeconds": every,
        "timeoutSeconds": min(5, every + 1),
        "failureThreshold": failures,
    }


def volumes(agent: VoiceAgent, revision: str, operator: OperatorFacts) -> list[dict[str, Any]]:
    """Settings of the revision, live settings, identity, keys, and room for sockets and for what
    is owed to the platform's services.
    """
    tokens = tokens_secret_name(agent) if operator.services.any else None
    journal = {"sizeLimit": f"{JOURNAL_MEBIBYTES}Mi"}
    banking = banking_sources(agent)
    return [
        {"name": "settings", "configMap": {"name": settings_name(agent, revision)}},
        {"name": "live", "configMap": {"name": live_name(agent)}},
        identity_volume(tls_secret_name(agent), tokens),
        {
            "name": "providers",
            "secret": {
                "secretName": keys_secret_name(agent),
                "defaultMode": 0o440,
                "optional": True,
            },
        },
        *(
            [{"name": "banking", "projected": {"defaultMode": 0o440, "sources": banking}}]
            if banking
            else []
        ),
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        *([{"name": "journal", "emptyDir": journal}] if operator.services.any else []),
    ]


def identity_volume(certificate: str, tokens: str | None) -> dict[str, Any]:
    """The certificate, and tokens beside it where there are services that ask for them.

    Without tokens a pod takes calls all the same: what it owes to the services waits for them.
    """
    if tokens is None:
        return {"name": "tls", "secret": {"secretName": certificate, "defaultMode": 0o440}}
    sources = [
        {"secret": {"name": certificate}},
        {"secret": {"name": tokens, "optional": True}},
    ]
    return {"name": "tls", "projected": {"defaultMode": 0o440, "sources": sources}}


def banking_sources(agent: VoiceAgent) -> list[dict[str, Any]]:
    """What proves the agent to the bank and the bank to it, side by side."""
    banking = agent.spec.banking
    credentials, pair = banking.credentials_secret_name, banking.certificate_secret_name
    with_oauth = banking.oauth is not None
    named = (
        (credentials, ("clientId",) if with_oauth else ("token",), False),
        (credentials if with_oauth else None, ("clientSecret",), pair is not None),
        (banking.ca_secret_name, ("ca.crt",), False),
        (pair, ("tls.crt", "tls.key"), False),
    )
    return [_of_secret(name, keys, optional) for name, keys, optional in named if name is not None]


def _of_secret(name: str, keys: tuple[str, ...], optional: bool) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {"secret": {"name": name, "items": items, **({"optional": True} if optional else {})}}


def volume_mounts(agent: VoiceAgent, operator: OperatorFacts) -> list[dict[str, Any]]:
    """Where the volumes are seen; only sockets, scratch files and the journal can be written."""
    journal = [{"name": "journal", "mountPath": JOURNAL_DIR}] if operator.services.any else []
    read_only = {
        "settings": SETTINGS_DIR,
        "live": LIVE_DIR,
        "tls": TLS_DIR,
        "providers": live.KEYS_DIR,
    }
    if banking_sources(agent):
        read_only["banking"] = BANKING_DIR
    return [
        *({"name": name, "mountPath": path, "readOnly": True} for name, path in read_only.items()),
        {"name": "run", "mountPath": "/run/callfleet"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        *journal,
    ]


def topology_spread(agent: VoiceAgent) -> list[dict[str, Any]]:
    """Over nodes as well as it can be done, unless the manifest says otherwise."""
    selector = {"matchLabels": selector_labels(agent)}
    given = agent.spec.pod.topology_spread_constraints
    if not given:
        return [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": selector,
            }
        ]
    return [{**spread.model_dump(by_alias=True), "labelSelector": selector} for spread in given]


def placement(pod: AgentPod) -> dict[str, Any]:
    """Where pods may run and how they get their image; empty fields are left out."""
    fields = {
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [_toleration(item.model_dump(by_alias=True)) for item in pod.tolerations],
        "priorityClassName": pod.priority_class_name,
        "imagePullSecrets": [{"name": secret.name} for secret in pod.image_pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}


def _toleration(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None)}
