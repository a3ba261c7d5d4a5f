"""Take the node down and leave the machine as it was."""

import os
import shutil
import signal
import time
from pathlib import Path

from callfleet_hack.cache import cluster_dir
from callfleet_hack.command import on_path, succeeds
from callfleet_hack.errors import HackError
from callfleet_hack.node import network, process, runtime, settings, traces

ATTEMPTS = 50


def down(*, images: bool = False) -> None:
    """Take away all of it, and its `images` if asked for.

    Nothing is asked of the cluster itself, so that a broken one goes as well as a good one.
    """
    if not cluster_dir().exists():
        return
    if os.geteuid() != 0:
        raise HackError("the node was made by root, and only root can take it down")
    before = traces.load_before() or {}
    for name in ("kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager"):
        process.stop(name)
    _end_pods()
    process.stop("kube-apiserver")
    process.stop("etcd")
    unmount_below(cluster_dir())
    network.take_down(before)
    _restore_sysctls(before)
    _remove_cgroups()
    _keep_logs()
    if images:
        _remove(settings.image_dir())
    _remove(cluster_dir())
    for folder in settings.FOREIGN_FOLDERS:
        if folder.exists() and str(folder) not in before.get("folder", []):
            unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Mount points at or below `folder`, the newest first."""
    points = [line.split()[4] for line in mountinfo.splitlines()]
    return [one for one in reversed(points) if Path(one).is_relative_to(folder)]


def unmount_below(folder: Path) -> None:
    for point in mounts_below(folder, Path("/proc/self/mountinfo").read_text()):
        if not succeeds(["umount", point]):
            succeeds(["umount", "--lazy", point])


def _end_pods() -> None:
    """Every process in kubelet's cgroups, then the shims that stood over them."""
    sockets = runtime.shim_sockets()
    for _ in range(ATTEMPTS):
        pids = _pod_pids()
        if not pids:
            break
        for pid in pids:
            _kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    if not runtime.forget_containers():
        _remove(settings.image_dir())
    process.stop("containerd")
    for pid in runtime.shim_pids():
        _kill(pid, signal.SIGKILL)
    for socket in sockets:
        socket.unlink(missing_ok=True)


def _cgroup_folders() -> list[Path]:
    """Every folder of kubelet's trees, children first. Some may go while they are listed."""
    found: list[Path] = []
    for root in traces.cgroups():
        found += [Path(folder) for folder, _, _ in os.walk(root, topdown=False)]
    return found


def _pod_pids() -> set[int]:
    """A process may be in a pod's cgroup in one hierarchy only, hence all of them."""
    found: set[int] = set()
    for folder in _cgroup_folders():
        try:
            found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        except OSError:
            continue
    return found - {0}


def _remove_cgroups() -> None:
    for _ in range(ATTEMPTS):
        for folder in _cgroup_folders():
            _try_rmdir(folder)
        if not traces.cgroups():
            return
        time.sleep(0.05)


def _try_rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _restore_sysctls(before: traces.Snapshot) -> None:
    for line in before.get("sysctl", []):
        name, _, value = line.partition("=")
        network.write_sysctl(name, value)


def _keep_logs() -> None:
    kept = cluster_dir().with_name("cluster-last-logs")
    shutil.rmtree(kept, ignore_errors=True)
    if (cluster_dir() / "logs").exists():
        (cluster_dir() / "logs").rename(kept)


def _remove(folder: Path) -> None:
    """rm, because shutil gives up on what containers left without permissions for their owner."""
    rm = on_path("rm") or Path("/bin/rm")
    if not succeeds([rm, "-rf", "--one-file-system", folder], timeout_s=120):
        raise HackError(f"{folder} could not be removed; is something still mounted there?")
