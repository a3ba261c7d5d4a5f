"""Running other programs."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from callfleet_hack.errors import CommandFailedError, HackError

Argument = str | Path


def output(
    arguments: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
) -> str:
    """Standard output of a program; CommandFailedError with its standard error otherwise."""
    words = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            timeout=timeout_s,
        )
    except FileNotFoundError as error:
        raise HackError(f"{words[0]} is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise HackError(f"{shlex.join(words)} took longer than {timeout_s} s") from error
    if done.returncode:
        raise CommandFailedError(shlex.join(words), done.returncode, done.stdout + done.stderr)
    return done.stdout


def succeeds(arguments: Sequence[Argument], *, timeout_s: float = 30) -> bool:
    """Whether a program is there and ends with status 0 in time."""
    try:
        output(arguments, timeout_s=timeout_s)
    except HackError:
        return False
    return True


def on_path(name: str) -> Path | None:
    """The program `name`, also where only root's PATH has it."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def required(name: str) -> Path:
    found = on_path(name)
    if not found:
        raise HackError(f"{name} is missing; `hack/tools packages --install` brings what is needed")
    return found
