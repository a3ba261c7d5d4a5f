"""One digest for a model, be it a file or a folder."""

import hashlib
from pathlib import Path

MARKER = ".callfleet-model"
_BLOCK = 1024 * 1024


def digest(path: Path) -> str:
    """`sha256:` and 64 hex digits.

    Of a file, its own. Of a folder, that of the text that `sha256sum` prints for its files in the
    order of their names, one `DIGEST  NAME` a line. A folder with one file has that file's digest,
    so that it does not matter whether an address names the file or its folder.
    """
    if path.is_file():
        return f"sha256:{_of_file(path)}"
    files = sorted(item for item in path.rglob("*") if item.is_file() and item.name != MARKER)
    if len(files) == 1:
        return f"sha256:{_of_file(files[0])}"
    lines = (f"{_of_file(item)}  {item.relative_to(path).as_posix()}\n" for item in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _of_file(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
