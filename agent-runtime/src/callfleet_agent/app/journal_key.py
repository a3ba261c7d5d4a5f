"""The key that seals a pod's journal: made by its first process, and kept for those after it.

It lies in memory where the pod's template gives a folder for that, so that the disk alone opens
nothing; elsewhere beside the journal.
"""

import os
from pathlib import Path
from typing import Final

from callfleet_agent.journal import JournalError

IN_MEMORY: Final = Path("/run/callfleet")
_BYTES: Final = 32


def journal_key(folder: Path, memory: Path = IN_MEMORY) -> bytes:
    """The key of the journal in `folder`.

    Raises:
        JournalError: the folder cannot be used, or what lies there is no key.
    """
    places = (memory / "journal.key", folder / "key")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for place in places:
            if place.exists():
                return _sized(place.read_bytes())
        return _made(places[0] if os.access(memory, os.W_OK) else places[1])
    except OSError as error:
        raise JournalError(f"the journal's key cannot be used: {error.strerror}") from error


def _made(place: Path) -> bytes:
    key = os.urandom(_BYTES)
    fresh = place.with_suffix(".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as opened:
        opened.write(key)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(place)
    return key


def _sized(key: bytes) -> bytes:
    if len(key) != _BYTES:
        raise JournalError(f"the journal's key has {len(key)} bytes and not {_BYTES}")
    return key
