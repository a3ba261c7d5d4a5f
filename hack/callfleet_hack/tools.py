"""The programs that Callfleet's own commands call, each from PATH or built from its Go module.

A built tool is installed in one step into `tools/<name>-<version>/`, where it stays.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.cache import REPOSITORY, cache_dir, locked, tools_dir
from callfleet_hack.command import on_path, output
from callfleet_hack.console import say, step
from callfleet_hack.errors import CommandFailedError, HackError

KUBERNETES_VERSION = "v1.34.4"
SERVERS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
)
NODE_MODULE = REPOSITORY / "hack" / "node"
BUILD_CACHE_NEEDS_BYTES = 20 << 30


@dataclass(frozen=True)
class Tool:
    """`package` is a folder under hack/node, or an import path that `go install` takes."""

    name: str
    version: str
    package: str
    aliases: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()  # set by the linker: `import/path.name=value`
    suitable: Callable[[Path], bool] | None = None  # None: PATH is never asked
    installed_as: str = ""  # how `go install` calls it, where that is not its name
    minutes: float = 0.2

    @property
    def ours(self) -> bool:
        return self.package.startswith("./")


def _answers(*arguments: str) -> Callable[[Path], bool]:
    def check(path: Path) -> bool:
        try:
            output([path, *arguments], timeout_s=20)
        except HackError:
            return False
        return True

    return check


def _is_helm_3_or_4(path: Path) -> bool:
    try:
        return output([path, "version", "--short"], timeout_s=20).startswith(("v3.", "v4."))
    except HackError:
        return False


_COMPONENT = "k8s.io/component-base/version."
_KUBERNETES_SYMBOLS = (
    f"{_COMPONENT}gitVersion={KUBERNETES_VERSION}",
    f"{_COMPONENT}gitMajor=1",
    f"{_COMPONENT}gitMinor=34",
)
TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "kubernetes",
            KUBERNETES_VERSION,
            "./kubernetes",
            aliases=SERVERS,
            symbols=_KUBERNETES_SYMBOLS,
            minutes=8,
        ),
        Tool(
            "kubectl",
            KUBERNETES_VERSION,
            "./kubectl",
            symbols=_KUBERNETES_SYMBOLS,
            suitable=_answers("version", "--client"),
            minutes=2,
        ),
        Tool("pause", "1", "./pause"),
        Tool("coredns", "v1.12.4", "./dns", minutes=1),
        Tool(
            "helm",
            "v3.22.0",
            "helm.sh/helm/v3/cmd/helm",
            symbols=("helm.sh/helm/v3/internal/version.version=v3.22.0",),
            suitable=_is_helm_3_or_4,
            minutes=2,
        ),
        Tool(
            "kubeconform",
            "v0.8.0",
            "github.com/yannh/kubeconform/cmd/kubeconform",
            suitable=_answers("-v"),
        ),
        Tool(
            "actionlint",
            "v1.7.12",
            "github.com/rhysd/actionlint/cmd/actionlint",
            suitable=_answers("-version"),
        ),
        Tool(
            "compose-spec",
            "v2.16.2",
            "github.com/compose-spec/compose-go/v2/cmd",
            installed_as="cmd",
        ),
        Tool("certmanager", "v1.21.2", "./certmanager", minutes=6),
        Tool("kind", "v0.33.0", "sigs.k8s.io/kind", suitable=_answers("version")),
        Tool(
            "grpcurl",
            "v1.9.4",
            "github.com/fullstorydev/grpcurl/cmd/grpcurl",
            suitable=_answers("-version"),
            minutes=1,
        ),
    )
}


def ensure(name: str) -> Path:
    """The path of a tool that works: from PATH, from the cache, or built now."""
    tool = TOOLS.get(name)
    if not tool:
        raise HackError(f"no tool is called {name}; there are: {', '.join(sorted(TOOLS))}")
    installed = _installed(tool)
    if installed:
        return installed
    found = on_path(name) if tool.suitable else None
    if found and tool.suitable and tool.suitable(found):
        return found
    with locked(f"tool-{name}", lambda: say(f"  … {name}: another process is building it")):
        return _installed(tool) or _build(tool)


def server(name: str) -> Path:
    """One of the servers in the `kubernetes` tool, under its own name."""
    return ensure("kubernetes").parent / name


def source_hash(tool: Tool) -> str:
    """Changes when the tool must be built again."""
    digest = hashlib.sha256(repr((tool.version, tool.package, tool.symbols)).encode())
    if tool.ours:
        folder = NODE_MODULE / tool.package
        for path in sorted([*folder.glob("*.go"), *_module_files(folder)]):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _module_files(folder: Path) -> list[Path]:
    root = folder if (folder / "go.mod").exists() else NODE_MODULE
    return [root / "go.mod", root / "go.sum"] if folder.name != "pause" else []


def _installed(tool: Tool) -> Path | None:
    folder = tools_dir() / f"{tool.name}-{tool.version}"
    stamp = folder / ".source"
    if (folder / tool.name).exists() and stamp.exists() and stamp.read_text() == source_hash(tool):
        return folder / tool.name
    return None


def _build(tool: Tool) -> Path:
    if not on_path("go"):
        raise HackError(f"{tool.name} is not on PATH, and to build it Go 1.24 or newer is needed")
    folder = tools_dir() / f"{tool.name}-{tool.version}"
    tools_dir().mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{tool.name}-", dir=tools_dir()))
    try:
        with step(f"build {tool.name} {tool.version} (about {tool.minutes:g} min the first time)"):
            _go_build(tool, draft)
        for alias in tool.aliases:
            (draft / alias).symlink_to(tool.name)
        (draft / ".source").write_text(source_hash(tool))
        draft.chmod(0o755)
        if folder.exists():
            folder.rename(draft / ".old")
        draft.rename(folder)
        shutil.rmtree(folder / ".old", ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        _trim_build_cache()
    return folder / tool.name


def go_command(tool: Tool, target: Path) -> list[str]:
    """The command that builds `tool` into the folder `target`."""
    linker = " ".join(["-s -w", *(f"-X {symbol}" for symbol in tool.symbols)])
    flags = ["-trimpath", f"-ldflags={linker}"]
    if tool.ours:
        return ["go", "build", *flags, "-o", str(target / tool.name), "."]
    return ["go", "install", *flags, f"{tool.package}@{tool.version}"]


def _go_build(tool: Tool, target: Path) -> None:
    env = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(_build_cache()),
        "GOBIN": str(target),
        "GOWORK": "off",
    }
    command = go_command(tool, target)
    folder = NODE_MODULE / tool.package if tool.ours else target
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise CommandFailedError(" ".join(command), done.returncode, done.stderr)
    if tool.installed_as:
        (target / tool.installed_as).rename(target / tool.name)


def _build_cache() -> Path:
    """Of our own, so that it can be thrown away without harm to anything else."""
    return cache_dir() / "go-build"


def _trim_build_cache() -> None:
    """Keep what was compiled (3 GB, a rebuild then takes 25 s) only where the disk has room."""
    if shutil.disk_usage(cache_dir()).free < BUILD_CACHE_NEEDS_BYTES:
        shutil.rmtree(_build_cache(), ignore_errors=True)
