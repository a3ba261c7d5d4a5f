"""kubelet and kube-proxy: their configuration files and command lines."""

import json
from pathlib import Path

from callfleet_hack.cache import cluster_dir, write_atomically
from callfleet_hack.node import settings
from callfleet_hack.pki import make_certificate
from callfleet_hack.servers import NODE_NAME, Layout
from callfleet_hack.tools import server

HOST_RESOLVER = Path("/etc/resolv.conf")


def write_files(layout: Layout) -> None:
    """Certificates of kubelet and of the API server as its client, and all configuration."""
    addresses = (f"IP:{settings.NODE_ADDRESS}", "IP:127.0.0.1", f"DNS:{NODE_NAME}")
    make_certificate(
        layout.pki,
        "kubelet",
        signer="ca",
        subject=f"/O=system:nodes/CN=system:node:{NODE_NAME}",
        alternatives=addresses,
    )
    make_certificate(
        layout.pki,
        "apiserver-kubelet-client",
        signer="ca",
        subject="/O=system:masters/CN=kube-apiserver-kubelet-client",
    )
    write_atomically(_resolver(), resolver(HOST_RESOLVER.read_text()), 0o644)
    write_atomically(_config("kubelet"), json.dumps(kubelet_config(layout), indent=1))
    write_atomically(_config("kube-proxy"), json.dumps(kube_proxy_config(layout), indent=1))


def nameservers(text: str) -> list[str]:
    """Addresses in a resolv.conf that can also be reached from a pod."""
    words = [line.split() for line in text.splitlines()]
    found = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return [address for address in found if not address.startswith("127.") and address != "::1"]


def resolver(text: str) -> str:
    """The resolv.conf that pods with the host's resolver get."""
    return "".join(f"nameserver {address}\n" for address in nameservers(text))


def kubelet_config(layout: Layout) -> dict[str, object]:
    pki = layout.pki
    folder = settings.kubelet_dir()
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{settings.containerd_socket()}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # Where the root file system is not one that cadvisor knows, kubelet would not start.
        "localStorageCapacityIsolation": False,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,  # never: images cannot be pulled again
        "maxPods": settings.MAX_PODS,
        "serializeImagePulls": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [settings.DNS_ADDRESS],
        "resolvConf": str(_resolver()),
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(cluster_dir() / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "containerLogMaxSize": "20Mi",
    }


def kube_proxy_config(layout: Layout) -> dict[str, object]:
    """Conntrack limits are the machine's own, and stay as they are."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig_of("kube-proxy"))},
        "hostnameOverride": NODE_NAME,
        "mode": "iptables",
        "clusterCIDR": str(settings.POD_RANGE),
        "nodePortAddresses": [str(settings.NODE_RANGE)],
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "iptables": {"localhostNodePorts": False},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def kubelet(layout: Layout) -> list[str]:
    return [
        str(server("kubelet")),
        f"--config={_config('kubelet')}",
        f"--kubeconfig={layout.kubeconfig_of('kubelet')}",
        f"--root-dir={settings.kubelet_dir()}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={settings.NODE_ADDRESS}",
    ]


def kube_proxy() -> list[str]:
    return [str(server("kube-proxy")), f"--config={_config('kube-proxy')}"]


def _config(name: str) -> Path:
    return cluster_dir() / f"{name}.json"


def _resolver() -> Path:
    return cluster_dir() / "resolv.conf"
