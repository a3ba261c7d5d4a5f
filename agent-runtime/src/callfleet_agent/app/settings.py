"""Everything a connector is told, read once into one frozen object."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from callfleet_agent.app.errors import ManifestError
from callfleet_agent.app.service_addresses import ServiceAddresses
from callfleet_operator.model import ManifestError as ModelManifestError
from callfleet_operator.model import VoiceAgent, load_voice_agent

DEMO_SCHEME: Final = "demo:"
REVISION_LABEL: Final = "callfleet.io/revision"


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """Which pod this is, from the downward API; empty on a laptop."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    ip: str | None = None
    revision: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], agent: VoiceAgent) -> "PodIdentity":
        """The identity that Kubernetes put into the environment."""
        return cls(
            name=environment.get("POD_NAME", ""),
            namespace=environment.get("POD_NAMESPACE", ""),
            uid=environment.get("POD_UID", ""),
            ip=environment.get("POD_IP") or None,
            revision=environment.get("CALLFLEET_REVISION", "")
            or dict(agent.metadata.labels or {}).get(REVISION_LABEL, ""),
        )


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the connector listens. A port of None is not opened, 0 takes any free one."""

    bind: str = "0.0.0.0"  # noqa: S104, in a pod every interface is the pod's own
    advertise: str | None = None
    sip_port: int = 5060
    rtp_first: int = 20000
    rtp_last: int = 20999
    http_bind: str = "0.0.0.0"  # noqa: S104
    http_port: int | None = 8080
    control_port: int | None = 7443
    tls_folder: Path | None = Path("/etc/callfleet/tls")
    trusted: tuple[str, ...] = ()  # networks whose word on the caller is believed


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One connector's settings. `worker_file` is the manifest that the workers read."""

    agent: VoiceAgent
    worker_file: Path
    listen: Listen = field(default_factory=Listen)
    pod: PodIdentity = field(default_factory=PodIdentity)
    log_level: str = "INFO"
    plain_logs: bool = False
    media_timeout_s: float = 30.0
    ack_timeout_s: float = 32.0
    services: ServiceAddresses = field(default_factory=ServiceAddresses)

    @property
    def capacity(self) -> int:
        """Calls at most."""
        return int(self.agent.spec.capacity.calls_per_pod)

    @property
    def workers(self) -> int:
        """Workers, not counting the warm spare."""
        return int(self.agent.spec.capacity.workers)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it was read: for a demo bank, the bank's URL is still to be set."""

    data: Mapping[str, Any]
    wants_demo_bank: bool

    def agent(self, *, bank_url: str | None = None, workers: int | None = None) -> VoiceAgent:
        """The agent with, where given, another bank or number of workers.

        Raises:
            ManifestError: a field is wrong; the text names it.
        """
        data = dict(self.data)
        raw_spec = data.get("spec")
        spec: dict[str, Any] = dict(raw_spec) if isinstance(raw_spec, dict) else {}
        if bank_url is not None:
            old = spec.get("banking")
            spec["banking"] = {**(old if isinstance(old, dict) else {}), "url": bank_url}
            data["spec"] = spec
        if workers is not None:
            old = spec.get("capacity")
            spec["capacity"] = {**(old if isinstance(old, dict) else {}), "workers": workers}
            data["spec"] = spec
        try:
            return load_voice_agent(data)
        except ModelManifestError as error:
            raise ManifestError(str(error)) from error


def read_manifest(path: Path) -> Manifest:
    """Read a VoiceAgent manifest.

    Raises:
        ManifestError: the file cannot be read, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ManifestError(f"cannot read {path}: {reason}") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        data = None
    if not isinstance(data, dict):
        try:
            load_voice_agent(text)  # says what is wrong better than we could
        except ModelManifestError as error:
            raise ManifestError(str(error)) from error
        raise ManifestError(f"{path} holds no VoiceAgent")
    return Manifest(data, _wants_demo_bank(data))


def _wants_demo_bank(data: Mapping[str, Any]) -> bool:
    spec = data.get("spec")
    if spec is None:
        return True
    banking = spec.get("banking") if isinstance(spec, dict) else None
    if not isinstance(banking, dict):
        return isinstance(spec, dict) and banking is None
    url = banking.get("url")
    return url is None or (isinstance(url, str) and url.startswith(DEMO_SCHEME))


def free_port(host: str) -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def log_level(environment: Mapping[str, str] = os.environ) -> str:
    """The wanted log level; an unknown one is taken as INFO."""
    level = environment.get("CALLFLEET_LOG_LEVEL", "INFO").upper()
    return level if level in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"} else "INFO"
