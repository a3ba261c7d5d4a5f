"""containerd and its network plugins, with every file of theirs under the cluster's folder."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from callfleet_hack.cache import cluster_dir, write_atomically
from callfleet_hack.command import output, required, succeeds
from callfleet_hack.errors import CommandFailedError, HackError
from callfleet_hack.node import process, settings
from callfleet_hack.node.archive import write_image

PLUGIN_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
READY_WITHIN_S = 20.0


def config() -> str:
    """`restrict_oom_score_adj` is for machines where even root may not lower OOM scores."""
    folder = settings.containerd_dir()
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{settings.image_dir()}"
state = "{folder / "state"}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{settings.containerd_socket()}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{folder / "opt"}"

[{cri}]
  sandbox_image = "{settings.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[{cri}.cni]
  bin_dir = "{_plugin_folder()}"
  conf_dir = "{settings.cni_dir() / "conf"}"

[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def network_config() -> str:
    """Pods on one bridge, addresses from one range, host ports by iptables."""
    bridge = {
        "type": "bridge",
        "bridge": settings.POD_BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(settings.cni_dir() / "addresses"),
            "ranges": [[{"subnet": str(settings.POD_RANGE), "gateway": settings.POD_GATEWAY}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return json.dumps({"cniVersion": "1.0.0", "name": "callfleet", "plugins": [bridge, ports]})


def start() -> None:
    folder = settings.containerd_dir()
    write_atomically(folder / "config.toml", config())
    write_atomically(settings.cni_dir() / "conf" / "10-callfleet.conflist", network_config())
    command = [str(required("containerd")), "--config", str(folder / "config.toml")]
    process.ensure_started("containerd", command)


def wait_until_ready() -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not succeeds([*_ctr(), "version"], timeout_s=5):
        process.require_running("containerd")
        if time.monotonic() > deadline:
            raise HackError(f"containerd does not answer on {settings.containerd_socket()}")
        time.sleep(0.05)


def images() -> dict[str, str]:
    """References of the node's images, each with the digest of what it names."""
    lines = output([*_ctr(), "images", "list"]).splitlines()[1:]
    return {words[0]: words[2] for words in map(str.split, lines) if len(words) > 2}


def import_stream(write: Callable[[IO[bytes]], None]) -> None:
    """Give `ctr` an archive without a file of it in between; `write` gets the pipe."""
    command = [str(word) for word in (*_ctr(), "images", "import", "-")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as importer:
        if importer.stdin is None or importer.stderr is None:
            raise AssertionError("both are pipes")
        broken = None
        try:
            write(importer.stdin)
            importer.stdin.close()
        except BrokenPipeError as error:
            broken = error
        message = importer.stderr.read().decode(errors="replace")
    if importer.returncode or broken:
        raise CommandFailedError("ctr images import", importer.returncode, message)


def import_archive(archive: Path) -> None:
    output([*_ctr(), "images", "import", archive], timeout_s=300)


def content() -> set[str]:
    """Digests of everything in the node's content store."""
    return set(output([*_ctr(), "content", "list", "--quiet"]).split())


def ensure_program_image(reference: str, program: Path) -> None:
    """An image with one static program in it, unless the node has it."""
    if reference in images():
        return
    archive = cluster_dir() / f"{program.name}.tar"
    write_image(archive, reference=reference, program=program)
    import_archive(archive)
    archive.unlink()


def imported_file() -> Path:
    """Which build of each image the node was given, for `load-image` to skip it next time."""
    return settings.image_dir() / "imported.json"


def _ctr() -> list[str | Path]:
    return [required("ctr"), "--address", settings.containerd_socket(), "--namespace", "k8s.io"]


def _plugin_folder() -> Path:
    for folder in PLUGIN_FOLDERS:
        if (folder / "host-local").exists():
            return folder
    raise HackError("the CNI plugins are missing (containernetworking-plugins)")


def forget_containers() -> bool:
    """Leave containerd with its images only; whether that worked. Their processes are dead."""
    try:
        for identity in output([*_ctr(), "tasks", "list", "--quiet"], timeout_s=20).split():
            succeeds([*_ctr(), "tasks", "delete", "--force", identity], timeout_s=20)
        known = output([*_ctr(), "containers", "list", "--quiet"], timeout_s=20).split()
        if known:
            output([*_ctr(), "containers", "delete", *known], timeout_s=60)
    except HackError:
        return False
    return True


def shim_sockets() -> list[Path]:
    """Sockets of the shims that containerd started; they are outside its own folders."""
    state = settings.containerd_dir() / "state" / "io.containerd.runtime.v2.task"
    addresses = [path.read_text().strip() for path in state.glob("*/*/address")]
    return [Path(address.removeprefix("unix://")) for address in addresses]


def shim_pids() -> list[int]:
    """Shims are ours when they were told our containerd's socket."""
    ours = str(settings.containerd_socket())
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "containerd-shim" in words[0] and ours in words:
            pids.append(int(folder.name))
    return pids
