"""The command `hack/generate-crds`."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from callfleet_hack.cache import REPOSITORY
from callfleet_hack.console import say
from callfleet_hack.errors import HackError
from callfleet_operator.model.crd import custom_resource_definitions
from callfleet_operator.model.reference import reference_page

NOTICE = "# Generated from callfleet_operator.model by hack/generate-crds: change the models.\n"
FOLDERS = ("crds", "charts/callfleet/templates/crds")
# Helm never upgrades what is in a chart's `crds/`, and an uninstall must not delete every agent.
KEEP = {"helm.sh/resource-policy": "keep"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/generate-crds")
    parser.add_argument("--check", action="store_true", help="only compare with what is there")
    files = {REPOSITORY / name: text for name, text in generated_files().items()}
    gone = [path for path in _generated_before() if path not in files]
    if not parser.parse_args().check:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            say(f"wrote {path.relative_to(REPOSITORY)}")
        for path in gone:
            path.unlink()
            say(f"removed {path.relative_to(REPOSITORY)}")
        return 0
    stale = [*(path for path, text in files.items() if not _is(path, text)), *gone]
    if stale:
        names = ", ".join(str(path.relative_to(REPOSITORY)) for path in stale)
        raise HackError(f"not as the models say: {names}; run hack/generate-crds")
    return 0


def generated_files() -> dict[str, str]:
    """Every generated file's text by its path in the repository."""
    files = {"docs/reference/crds.md": reference_page()}
    crds, templates = FOLDERS
    for plural, definition in custom_resource_definitions().items():
        files[f"{crds}/{plural}.yaml"] = NOTICE + _yaml(definition)
        kept = {**definition, "metadata": {**definition["metadata"], "annotations": KEEP}}
        files[f"{templates}/{plural}.yaml"] = NOTICE + _helm(_yaml(kept))
    return files


def _generated_before() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).glob("*.yaml"))]


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=True, width=100, allow_unicode=True)


def _helm(text: str) -> str:
    """Braces that Helm would take for a template of its own."""
    return text.replace("{{", '{{ "{{" }}')


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text
