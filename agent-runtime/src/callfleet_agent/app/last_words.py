"""Why a container ended, where the kubelet reads it and the operator finds it.

kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure: the file is there in
every container, and its text becomes the container's termination message.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

TERMINATION: Final = Path("/dev/termination-log")
ENGINE_FAILED: Final = "EngineFailed"
_MOST: Final = 300


def write(reason: str, message: str, termination: Path = TERMINATION) -> None:
    """`reason` is a word for programs. Outside of a container there is no such file."""
    if termination.exists():
        with suppress(OSError):
            told = {"reason": reason, "message": message[:_MOST]}
            termination.write_text(json.dumps(told), encoding="utf-8")
