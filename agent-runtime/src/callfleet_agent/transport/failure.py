"""What a log may say of an unexpected error: its type and place, never its text, which may hold
what a caller said."""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb


def described(error: BaseException) -> dict[str, str]:
    """Fields for a log line: the class, and the file and line where it was raised."""
    frames = extract_tb(error.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "place": place}
