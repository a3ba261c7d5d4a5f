"""What the status of a ProviderPool is judged by."""

from dataclasses import dataclass, field
from enum import StrEnum

from callfleet_operator.model import ProviderPoolSpec


@dataclass(frozen=True)
class SecretView:
    """Whether the Secret that a pool names is there, and has the key. `keys` are the names of all
    that hold text, which itself is not here.
    """

    found: bool
    key_found: bool = False
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ProbeView:
    """Whether an external engine answered. `message` quotes no answer and no key."""

    ok: bool
    message: str = ""


class Loading(StrEnum):
    """How far the container that brings the model is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class PoolPodView:
    """A pod of a pool. `unschedulable` is the scheduler's sentence, `problem` the kubelet's word;
    `reason` and `message` are the loader's own when it failed. `leaving`: it ends within its grace
    period, and then gives back what it holds of its node. `said`: why a server of ours ended.
    """

    name: str
    ip: str = ""
    ready: bool = False
    ending: bool = False
    leaving: bool = False
    unschedulable: str = ""
    problem: str = ""
    said: str = ""
    restarts: int = 0
    loading: Loading = Loading.WAITING
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class ProgressView:
    """Bytes of the model that are there, and of the whole (0: not known yet)."""

    done: int = 0
    total: int = 0

    @property
    def percent(self) -> int:
        return min(100, self.done * 100 // self.total) if self.total else 0


@dataclass(frozen=True)
class FiguresView:
    """What the warm-up benchmark of a replica measured."""

    engine_version: str = ""
    first_result_ms: int | None = None
    real_time_factor: float | None = None


@dataclass(frozen=True)
class ManagedView:
    """What was observed of an engine that the operator runs. `replicas` are pods that exist.

    `gpu_nodes` counts nodes that have the resource at all. `image` is empty when nobody named one.
    """

    image: str
    replicas: int = 0
    pods: tuple[PoolPodView, ...] = ()
    profile_found: bool = True
    path_allowed: bool = True
    gpus: int = 0
    gpu_resource: str = ""
    gpu_nodes: int = 0
    credentials: SecretView | None = None
    apply_error: str = ""
    progress: ProgressView | None = None
    figures: FiguresView | None = None
    endpoint: str = ""

    @property
    def ready(self) -> int:
        return sum(1 for pod in self.pods if pod.ready and not pod.ending)

    @property
    def alive(self) -> tuple[PoolPodView, ...]:
        return tuple(pod for pod in self.pods if not pod.ending)


@dataclass(frozen=True)
class PoolView:
    """All that was observed of a pool. `probe` is None before the first one."""

    generation: int
    spec: ProviderPoolSpec
    secret: SecretView | None = None
    ca: SecretView | None = None
    probe: ProbeView | None = None
    users: tuple[str, ...] = ()
    deleting: bool = False
    selector: str = ""
    managed: ManagedView = field(default_factory=lambda: ManagedView(image=""))

    @property
    def wanted(self) -> int:
        """Pods that shall exist."""
        return self.spec.replicas * (self.spec.nodes or 1)
