"""What optional tests need stands where people look for it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
READ = re.compile(r'(?:environ(?:\.get\(|\[)|\btold\(|\baccount\(\s*)"([A-Z][A-Z_]+)"')
OF_THE_SYSTEM = {"PATH", "XDG_CACHE_HOME"}


def test_every_variable_that_tests_read_is_written_down() -> None:
    files = (file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    read = {name for text in files for name in READ.findall(text)} - OF_THE_SYSTEM
    written = set(re.findall(r"[A-Z][A-Z_]+", (ROOT / "CONTRIBUTING.md").read_text()))
    assert {"CALLFLEET_MODELS", "OPENAI_API_KEY", "KUBECONFIG"} <= read
    assert read - written == set()
