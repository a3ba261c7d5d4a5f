"""What the machine must have before an agent or a phone can speak and listen."""

import importlib.util
import shutil
from pathlib import Path

from callfleet_agent.app.errors import MissingToolError


def need_espeak() -> str:
    """The path of espeak-ng.

    Raises:
        MissingToolError: it is not installed.
    """
    path = shutil.which("espeak-ng")
    if path is None:
        raise MissingToolError(
            "espeak-ng is not on the PATH; install it, for example: apt-get install espeak-ng"
        )
    return path


def need_models() -> None:
    """See that the models of the embedded recogniser and voice activity detection are there.

    Raises:
        MissingToolError: one is not.
    """
    for what, package, inside in (
        ("the speech recogniser's model", "pocketsphinx", "model/en-us/en-us/mdef"),
        ("the voice activity model", "pipecat", "audio/vad/data/silero_vad.onnx"),
    ):
        found = importlib.util.find_spec(package)  # does not import it, which would take seconds
        if found is None or found.origin is None:
            raise MissingToolError(
                f"{what} is missing: the Python package {package} is not installed;"
                " install callfleet-agent with its dependencies"
            )
        if not (Path(found.origin).parent / inside).is_file():
            raise MissingToolError(
                f"{what} is missing from the Python package {package}; install the package again"
            )
