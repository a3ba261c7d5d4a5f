"""Addresses, names and folders of the node."""

from ipaddress import IPv4Network
from pathlib import Path

from callfleet_hack.cache import cache_dir, cluster_dir
from callfleet_hack.servers import Layout

NODE_ADDRESS = "10.89.0.1"
NODE_RANGE = IPv4Network("10.89.0.0/24")
POD_RANGE = IPv4Network("10.244.0.0/16")
POD_GATEWAY = "10.244.0.1"
SERVICE_RANGE = IPv4Network("10.96.0.0/16")
DNS_ADDRESS = "10.96.0.10"
NODE_BRIDGE = "cf-node"
POD_BRIDGE = "cf-pods"
API_PORT = 6443
ETCD_PORT = 12379
MAX_PODS = 200
PAUSE_IMAGE = "localhost/callfleet/pause:1"
DNS_IMAGE = "localhost/callfleet/coredns:v1.12.4"

MODELS = Path("/var/lib/callfleet-models")  # of the demo's pools
# Paths that kubelet, containerd, CNI and pods use whatever they are told; removed if they are new.
FOREIGN_FOLDERS = (
    Path("/var/lib/kubelet"),
    Path("/var/lib/cni"),
    Path("/var/log/containers"),
    Path("/var/log/pods"),
    Path("/run/containerd"),
    Path("/opt/containerd"),
    Path("/tmp/hostpath_pv"),
    MODELS,
)
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "fs/inotify/max_user_instances": "1024",
    # Set by kubelet; named here so that they are put back.
    "vm/overcommit_memory": None,
    "kernel/panic": None,
    "kernel/panic_on_oops": None,
    "kernel/keys/root_maxkeys": None,
    "kernel/keys/root_maxbytes": None,
}


def layout() -> Layout:
    return Layout(
        folder=cluster_dir(),
        address=NODE_ADDRESS,
        port=API_PORT,
        etcd_port=ETCD_PORT,
        service_range=str(SERVICE_RANGE),
        service_address="10.96.0.1",
    )


def containerd_dir() -> Path:
    return cluster_dir() / "containerd"


def containerd_socket() -> Path:
    return containerd_dir() / "containerd.sock"


def image_dir() -> Path:
    """containerd's images and their snapshots: a cache, kept when the node goes."""
    return cache_dir() / "node-images"


def kubelet_dir() -> Path:
    return cluster_dir() / "kubelet"


def cni_dir() -> Path:
    return cluster_dir() / "cni"


def before_file() -> Path:
    """What the machine looked like before `up`; beside the cluster's folder, for it outlives it."""
    return cluster_dir().with_name("cluster-before.json")
