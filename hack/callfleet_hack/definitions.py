"""Definitions (CRDs) of other projects, from their released Go modules, for tests alone.

Only the files that are needed stay in the cache; their modules (12 MB, 55 MB unpacked) do not.
Versions and sums are pinned, and Go checks the sums with its own database as well.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.cache import cache_dir, locked
from callfleet_hack.command import on_path, output
from callfleet_hack.console import say, step
from callfleet_hack.errors import HackError

LIMIT_S = 300


@dataclass(frozen=True)
class Source:
    """A released module, its sum, and the files that are taken from it."""

    module: str
    version: str
    total: str
    files: tuple[str, ...]

    @property
    def at(self) -> str:
        return f"{self.module}@{self.version}"


SOURCES = (
    Source(
        "github.com/kedacore/keda/v2",
        "v2.20.2",
        "h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
    Source(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        (
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ),
    ),
    Source(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        tuple(
            f"deploy/crds/cert-manager.io_{plural}.yaml"
            for plural in ("certificaterequests", "certificates", "clusterissuers", "issuers")
        ),
    ),
)


def folder() -> Path:
    """Where the files of these versions are, or will be."""
    versions = "-".join(source.version for source in SOURCES)
    return cache_dir() / "definitions" / versions


def found() -> Path | None:
    """The folder with all files; None where they were not fetched."""
    names = {Path(name).name for source in SOURCES for name in source.files}
    there = {path.name for path in folder().glob("*.yaml")}
    return folder() if names <= there else None


def ensure() -> Path:
    """The folder with all files, fetched now if need be."""
    if not on_path("go") and found() is None:
        raise HackError("definitions of other projects are fetched with Go 1.24 or newer")
    with locked("definitions", lambda: say("  … definitions: another process is fetching them")):
        return found() or _fetch()


def _fetch() -> Path:
    wanted = folder()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".definitions-", dir=wanted.parent) as scratch:
        draft = Path(scratch) / "draft"
        draft.mkdir()
        with step("fetch definitions of KEDA, prometheus-operator and cert-manager (12 MB, 12 s)"):
            for source in SOURCES:
                module = _download(source, Path(scratch) / "modules")
                for name in source.files:
                    shutil.copy(module / name, draft / Path(name).name)
        shutil.rmtree(wanted, ignore_errors=True)
        draft.rename(wanted)
    return wanted


def _download(source: Source, modules: Path) -> Path:
    """The unpacked module. Its folder is writable, so that it can be thrown away."""
    env = {"GOMODCACHE": str(modules), "GOFLAGS": "-modcacherw", "GOWORK": "off"}
    command = ["go", "mod", "download", "-json", source.at]
    answer = json.loads(output(command, env=env, cwd=modules.parent, timeout_s=LIMIT_S))
    if answer["Sum"] != source.total:
        raise HackError(f"{source.at} has the sum {answer['Sum']}, and {source.total} is expected")
    return Path(answer["Dir"])
