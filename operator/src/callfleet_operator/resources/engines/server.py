"""What an engine is told, and what it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from callfleet_operator.model import ProviderPoolSpec


@dataclass(frozen=True)
class Wire:
    """How clients reach an engine: `scheme://host:port/base`."""

    scheme: Literal["http", "grpc", "grpcs"]
    port: int
    base: str = ""

    def url(self, host: str) -> str:
        return f"{self.scheme}://{host}:{self.port}{self.base}"


@dataclass(frozen=True)
class Launch:
    """One server to be started: `model` is the path that it opens, `name` the model's in requests.

    `leader` is where the first of several nodes is reached, empty with one node. With `plaintext` a
    server of ours answers in the clear too, for agents of former versions.
    """

    spec: ProviderPoolSpec
    model: str
    name: str
    gpus: int = 0
    leader: str = ""
    plaintext: bool = False

    @property
    def concurrency(self) -> int:
        """Requests at once that one replica is meant to answer."""
        scaling = self.spec.scaling
        return scaling.target_concurrency if scaling is not None else 8


@dataclass(frozen=True)
class Metrics:
    """Names of the gauges that scaling looks at, as they are in /metrics."""

    running: str
    waiting: str


@dataclass(frozen=True)
class Server:
    """What an engine asks for. Paths are of its HTTP port.

    `ready` answers 200 only after a real inference; empty when the engine has no such path, and a
    probe of ours stands beside it. `folders` can be written to, `shared_memory` is a quantity for
    /dev/shm, `load_s` how long it may take to load. `plain` is the wire without TLS, where there is
    one beside the other.
    """

    wire: Wire
    http_port: int
    health: str
    metrics: Metrics
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    shared_memory: str = ""
    ready: str = ""
    plain: Wire | None = None
    load_s: int = 600
    requests: Mapping[str, str] = field(default_factory=dict)

    @property
    def secure(self) -> bool:
        """Whether it proves who it is, and asks the same of others."""
        return self.wire.scheme == "grpcs"
