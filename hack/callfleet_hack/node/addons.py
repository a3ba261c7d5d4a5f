"""What the cluster has from the start: DNS and a default storage class."""

from callfleet_hack.node import settings

LABELS = {"k8s-app": "kube-dns"}
Manifest = dict[str, object]


def manifests(nameservers: list[str]) -> list[Manifest]:
    """Everything, in an order in which it can be applied."""
    return [
        _service_account(),
        _role(),
        _binding(),
        _settings(nameservers),
        _service(),
        _deployment(),
        storage_class(),
    ]


def corefile(nameservers: list[str]) -> str:
    """Names of the cluster from its API, all others from the host's name servers, if any."""
    others = (
        f"forward . {' '.join(nameservers)} {{ policy sequential }}"
        if nameservers
        else "template ANY ANY { rcode NXDOMAIN }"
    )
    lines = [
        ".:1053 {",
        "    errors",
        "    health :8080 { lameduck 2s }",
        "    ready :8181",
        "    kubernetes cluster.local in-addr.arpa ip6.arpa {",
        "        pods insecure",
        "        fallthrough in-addr.arpa ip6.arpa",
        "        ttl 5",
        "    }",
        f"    {others}",
        "    cache 10",
        "    reload",
        "}",
    ]
    return "\n".join(lines).replace("{ ", "{\n        ").replace(" }", "\n    }") + "\n"


def storage_class() -> Manifest:
    """Folders of the host under /tmp, made and removed by the controller manager itself."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/host-path",
        "reclaimPolicy": "Delete",
    }


def _metadata(name: str, *, namespaced: bool = True) -> Manifest:
    metadata: Manifest = {"name": name, "labels": LABELS}
    return {**metadata, "namespace": "kube-system"} if namespaced else metadata


def _service_account() -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata("coredns")}


def _role() -> Manifest:
    reads = ["list", "watch"]
    core = ["endpoints", "services", "pods", "namespaces"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": _metadata("system:coredns", namespaced=False),
        "rules": [
            {"apiGroups": [""], "resources": core, "verbs": reads},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": reads},
        ],
    }


def _binding() -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata("system:coredns", namespaced=False),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:coredns",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}],
    }


def _settings(nameservers: list[str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata("coredns"),
        "data": {"Corefile": corefile(nameservers)},
    }


def _service() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata("kube-dns"),
        "spec": {
            "clusterIP": settings.DNS_ADDRESS,
            "selector": LABELS,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 1053},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 1053},
            ],
        },
    }


def _deployment() -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata("coredns"),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "serviceAccountName": "coredns",
                    "priorityClassName": "system-cluster-critical",
                    "dnsPolicy": "Default",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [_container()],
                    "volumes": [{"name": "settings", "configMap": {"name": "coredns"}}],
                },
            },
        },
    }


def _container() -> Manifest:
    return {
        "name": "coredns",
        "image": settings.DNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"name": "dns", "containerPort": 1053, "protocol": "UDP"}],
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/coredns", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "failureThreshold": 5},
        "resources": {"requests": {"cpu": "20m", "memory": "40Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
