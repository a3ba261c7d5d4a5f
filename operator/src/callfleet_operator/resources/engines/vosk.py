"""VOSK in our own server: a folder with a Kaldi model, on CPU.

alphacephei.com/vosk/models: small models take about 300 MB of memory, big ones up to 16 GB.
"""

from . import ours
from .server import Launch, Server

WIRE = ours.WIRE


def server(launch: Launch) -> Server:
    return ours.server(ours.Role("asr", requests={"cpu": "1", "memory": "1Gi"}), launch)
