"""Bring the node up, or heal it: every step looks first whether there is something to do."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from callfleet_hack import servers
from callfleet_hack.cache import cluster_dir, write_atomically
from callfleet_hack.command import output
from callfleet_hack.console import step
from callfleet_hack.control_plane import wait_until_ready
from callfleet_hack.errors import HackError
from callfleet_hack.node import addons, down, kubelet, network, process, runtime, settings, traces
from callfleet_hack.node.lookup import answers
from callfleet_hack.packages import ensure_packages
from callfleet_hack.tools import ensure

NODE_READY_WITHIN_S = 90.0
SERVERS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
)


def up() -> Path:
    """The path of the kubeconfig of a cluster that is ready."""
    if os.geteuid() != 0:
        raise HackError("a node without Docker needs root: run this as root, or start Docker")
    ensure_packages(["cluster"], install=True)
    for name in ("kubernetes", "coredns", "pause", "kubectl"):
        ensure(name)
    if _machine_was_restarted():
        with step("clear what an earlier boot left"):
            down.down()
    _remember_machine()
    with step("network"):
        network.set_up()
    with step("certificates"):
        layout = settings.layout()
        token = servers.write_files(layout)["admin"]
        kubelet.write_files(layout)
    _start_control_plane()
    with step("containerd and its images"):
        _start_runtime()
    with step("API server"):
        wait_until_ready(layout, token)
        process.require_running("kube-apiserver")
    with step("kubelet, kube-proxy"):
        process.ensure_started("kubelet", kubelet.kubelet(layout))
        process.ensure_started("kube-proxy", kubelet.kube_proxy())
        _apply_addons()
    with step("node ready"):
        _wait_until(_node_is_ready, "the node")
    with step("DNS ready"):
        _wait_until(_dns_is_ready, "CoreDNS")
    for name in SERVERS:
        process.require_running(name)
    return layout.kubeconfig


def kubectl(*arguments: str, stdin: str | None = None, timeout_s: float = 30) -> str:
    """kubectl as administrator of the node."""
    config = f"--kubeconfig={settings.layout().kubeconfig}"
    return output([ensure("kubectl"), config, *arguments], stdin=stdin, timeout_s=timeout_s)


def _remember_machine() -> None:
    if (cluster_dir() / "boot").exists():
        return
    network.check_collisions()
    foreign = [str(path) for path in traces.cgroups()]
    if foreign:
        raise HackError(f"another kubelet seems to run here: {', '.join(foreign)}")
    traces.save_before()
    write_atomically(cluster_dir() / "boot", _boot())


def _machine_was_restarted() -> bool:
    boot = cluster_dir() / "boot"
    return boot.exists() and boot.read_text() != _boot()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_control_plane() -> None:
    layout = settings.layout()
    pki = layout.pki
    process.ensure_started("etcd", servers.etcd(layout))
    process.ensure_started(
        "kube-apiserver",
        servers.apiserver(
            layout,
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        ),
    )


def _start_runtime() -> None:
    runtime.start()
    runtime.wait_until_ready()
    runtime.ensure_program_image(settings.PAUSE_IMAGE, ensure("pause"))
    runtime.ensure_program_image(settings.DNS_IMAGE, ensure("coredns"))


def _apply_addons() -> None:
    layout = settings.layout()
    flags = (f"--cluster-cidr={settings.POD_RANGE}", "--enable-hostpath-provisioner=true")
    process.ensure_started("kube-controller-manager", servers.controller_manager(layout, *flags))
    process.ensure_started("kube-scheduler", servers.scheduler(layout))
    names = kubelet.nameservers(kubelet.HOST_RESOLVER.read_text())
    items = {"apiVersion": "v1", "kind": "List", "items": addons.manifests(names)}
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(items))


def _node_is_ready() -> bool:
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    return kubectl("get", "nodes", "-o", f"jsonpath={path}").strip() == "True"


def _dns_is_ready() -> bool:
    return answers("kubernetes.default.svc.cluster.local", settings.DNS_ADDRESS)


def _wait_until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + NODE_READY_WITHIN_S
    while not ready():
        for name in SERVERS:
            process.require_running(name)
        if time.monotonic() > deadline:
            raise HackError(f"{what} is not ready after {NODE_READY_WITHIN_S:.0f} s; logs are in "
                            f"{cluster_dir() / 'logs'}")  # fmt: skip
        time.sleep(0.2)
