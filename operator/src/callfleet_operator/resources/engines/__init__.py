"""What each engine asks for, as its own documentation says it: one file for each.

An engine's file owns its image's command line, ports, probes, environment, shared memory, cache
folders and the names of its metrics. It knows nothing of Kubernetes objects: `resources.pools`
makes them from the `Server` that it answers.
"""

from collections.abc import Callable

from callfleet_operator.model import Engine

from . import llamacpp, piper, vllm, vosk, whisper
from .ours import PLAIN_WIRE
from .server import Launch, Server, Wire

SERVERS: dict[Engine, Callable[[Launch], Server]] = {
    Engine.VLLM: vllm.server,
    Engine.LLAMACPP: llamacpp.server,
    Engine.WHISPER: whisper.server,
    Engine.VOSK: vosk.server,
    Engine.PIPER: piper.server,
}
WIRES: dict[Engine, Wire] = {
    Engine.VLLM: vllm.WIRE,
    Engine.LLAMACPP: llamacpp.WIRE,
    Engine.WHISPER: whisper.WIRE,
    Engine.VOSK: vosk.WIRE,
    Engine.PIPER: piper.WIRE,
}

__all__ = ["PLAIN_WIRE", "SERVERS", "WIRES", "Launch", "Server", "Wire"]
