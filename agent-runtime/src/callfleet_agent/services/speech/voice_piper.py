"""Piper, as a program of its own: its HTTP server, on loopback.

Piper is licensed under the GPL, so it is never imported: it runs as a process, with its own Python,
and is talked to over HTTP. It ends with us, however we end.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from callfleet_agent.audio import Pcm
from callfleet_agent.audio.wav import WavError, read_wav
from callfleet_agent.services.speech.ports import EngineMissingError
from callfleet_agent.services.speech.tied import tied

START_LIMIT_S: Final = 120.0
SPEAK_LIMIT_S: Final = 30.0


class PiperVoice:
    """A voice. `python` has piper-tts[http] installed; `model` is an .onnx with its .json."""

    def __init__(self, model: Path, python: str) -> None:
        if not model.is_file() or not model.with_name(model.name + ".json").is_file():
            raise EngineMissingError(f"{model} and {model.name}.json are needed for a voice")
        port = _free_port()
        self._url = f"http://127.0.0.1:{port}/synthesize"
        try:
            self._process = subprocess.Popen(
                tied([python, "-m", "piper.http_server", "--host", "127.0.0.1",
                      "--port", str(port), "--model", str(model)]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # its texts hold what is said
                cwd=model.parent,
                env={**os.environ, "PYTHONPATH": ""},
            )  # fmt: skip
        except OSError as error:
            raise EngineMissingError(f"{python} cannot be run: {error.strerror}") from None
        self._wait(port)
        self.version = _version(python)

    def speak(self, text: str, speed: float) -> Iterator[Pcm]:
        body = json.dumps({"text": text, "length_scale": 1.0 / speed}).encode()
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            self._url, data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=SPEAK_LIMIT_S) as response:  # noqa: S310
                yield read_wav(response.read())
        except (OSError, urllib.error.HTTPError, WavError) as error:
            raise RuntimeError(f"piper did not speak: {type(error).__name__}") from None

    def close(self) -> None:
        """Ends the program."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(3)
        self._process.kill()
        self._process.wait()

    def _wait(self, port: int) -> None:
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise EngineMissingError(
                    "piper ended at once: is piper-tts[http] installed for --piper-python?"
                )
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        self.close()
        raise EngineMissingError("piper did not start to listen")


def _version(python: str) -> str:
    """Of the program, by its own Python."""
    asked = "from importlib.metadata import version; print('piper', version('piper-tts'))"
    command = [python, "-c", asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
