"""Piper in our own server: an ONNX voice with its .onnx.json beside it, on CPU.

github.com/OHF-Voice/piper1-gpl, docs: a voice is MODEL.onnx and MODEL.onnx.json.
"""

from . import ours
from .server import Launch, Server

WIRE = ours.WIRE


def server(launch: Launch) -> Server:
    options = {"--voice": launch.spec.voice} if launch.spec.voice is not None else {}
    return ours.server(ours.Role("tts", options, {"cpu": "1", "memory": "512Mi"}), launch)
