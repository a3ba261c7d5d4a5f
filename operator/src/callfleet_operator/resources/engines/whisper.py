"""Whisper by faster-whisper in our own server: a CTranslate2 model, GPU or int8 on CPU.

github.com/SYSTRAN/faster-whisper, README: device and compute_type (float16 on cuda, int8 on cpu).
"""

from . import ours
from .server import Launch, Server

WIRE = ours.WIRE


def server(launch: Launch) -> Server:
    device, kind = ("cuda", "float16") if launch.gpus else ("cpu", "int8")
    options = {"--device": device, "--compute-type": kind}
    if launch.spec.language is not None:
        options["--language"] = launch.spec.language
    role = ours.Role("asr", options, {"cpu": "2", "memory": "2Gi"})
    return ours.server(role, launch)
