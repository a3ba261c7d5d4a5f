"""Our own servers: ASRService and TTSService of proto/callfleet/v1, `callfleet serve asr|tts`.

docs/design/20261125.live-provider-settings.md has the command line, the paths and the metrics. The
image is one that has `callfleet` and the engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .server import Launch, Metrics, Server, Wire

GRPC_PORT, PLAIN_PORT, HTTP_PORT = 9443, 9090, 8080
MOST_AT_ONCE = 256
WIRE, PLAIN_WIRE = Wire("grpcs", GRPC_PORT), Wire("grpc", PLAIN_PORT)
TLS_DIR = "/etc/callfleet/tls"


@dataclass(frozen=True)
class Role:
    """`callfleet serve ROLE --engine ENGINE`, with the options that this engine has."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)


def server(role: Role, launch: Launch) -> Server:
    """Readiness is the server's own: it answers after a real inference."""
    options = {
        "--engine": str(launch.spec.engine),
        "--model": launch.model,
        **role.options,
        "--concurrency": str(min(MOST_AT_ONCE, launch.concurrency)),
        "--drain-seconds": str(launch.spec.drain_seconds),
        "--listen": f"0.0.0.0:{GRPC_PORT}",
        "--http": f"0.0.0.0:{HTTP_PORT}",
        "--tls": TLS_DIR,
    }
    if launch.plaintext:
        options["--plain-listen"] = f"0.0.0.0:{PLAIN_PORT}"
    return Server(
        wire=WIRE,
        plain=PLAIN_WIRE if launch.plaintext else None,
        http_port=HTTP_PORT,
        health="/healthz",
        ready="/readyz",
        metrics=Metrics("callfleet_engine_requests_running", "callfleet_engine_requests_waiting"),
        command=("callfleet", "serve", role.name),
        args=tuple(part for pair in options.items() for part in pair),
        environment={"HOME": "/cache"},
        folders=("/cache",),
        requests=role.requests,
    )
