"""kopf's handlers: from events to keys. No finalizers, no annotations, no status, no events."""

import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import kopf

from callfleet_operator.ports.kinds import PROVIDER_POOL, VOICE_AGENT, Kind
from callfleet_operator.ports.kube import Ref

Hint = Callable[[Ref], None]

_SERVER_TIMEOUT_S = 270
_REQUEST_TIMEOUT_S = 30


class Cluster(Protocol):
    """Where the API server is, and how we prove who we are."""

    @property
    def server(self) -> str: ...
    @property
    def ca_file(self) -> str | None: ...
    @property
    def certificate_file(self) -> str | None: ...
    @property
    def key_file(self) -> str | None: ...
    @property
    def verified(self) -> bool: ...
    @property
    def authorization(self) -> Callable[[], Awaitable[str]]: ...


class Handlers:
    """Tells a key when something but its status changed. Lives in kopf's thread."""

    def __init__(self, hint: Hint) -> None:
        self._hint = hint
        self._seen: dict[str, tuple[object, ...]] = {}

    def observe(self, kind: Kind, event_type: str | None, body: Any) -> None:
        metadata = body["metadata"]
        uid = str(metadata["uid"])
        meaning = (
            metadata.get("generation"),
            metadata.get("deletionTimestamp"),
            tuple(metadata.get("finalizers") or ()),
            dict(metadata.get("labels") or {}),
            dict(metadata.get("annotations") or {}),
        )
        if event_type == "DELETED":
            self._seen.pop(uid, None)
        elif self._seen.get(uid) == meaning:
            return
        else:
            self._seen[uid] = meaning
        self._hint(Ref(kind, str(metadata.get("namespace", "")), str(metadata["name"])))


def registry_for(handlers: Handlers, login: Callable[..., Any]) -> kopf.OperatorRegistry:
    """kopf's own registry of what it is to call."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    for kind in (VOICE_AGENT, PROVIDER_POOL):
        _watch(registry, handlers, kind)
    return registry


def _watch(registry: kopf.OperatorRegistry, handlers: Handlers, kind: Kind) -> None:
    async def changed(type: str | None, body: Any, **_: Any) -> None:  # noqa: A002 - kopf's name
        handlers.observe(kind, type, body)

    kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)(changed)


def operator_settings() -> kopf.OperatorSettings:
    """Nothing that kopf could write, and a time limit on everything that it reads."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.posting.level = logging.CRITICAL
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = _SERVER_TIMEOUT_S
    settings.watching.client_timeout = _SERVER_TIMEOUT_S + 30
    settings.watching.connect_timeout = _REQUEST_TIMEOUT_S
    settings.networking.request_timeout = _REQUEST_TIMEOUT_S
    settings.networking.connect_timeout = _REQUEST_TIMEOUT_S
    # Left alone, kopf kills the process that it cannot leave in time.
    settings.process.ultimate_exiting_timeout = None
    return settings


def login_for(cluster: Cluster) -> Callable[..., Any]:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        value = await cluster.authorization()
        value = value.removeprefix("bearer ").removeprefix("Bearer ")
        return kopf.ConnectionInfo(
            server=cluster.server,
            ca_path=cluster.ca_file,
            insecure=not cluster.verified,
            certificate_path=cluster.certificate_file,
            private_key_path=cluster.key_file,
            token=value or None,
        )

    return login


def run_kopf(
    cluster: Cluster, namespaces: Sequence[str], hint: Hint, stop: threading.Event
) -> None:
    """kopf in this thread, in a loop of its own, until it exits or is told to stop."""
    kopf.run(
        registry=registry_for(Handlers(hint), login_for(cluster)),
        settings=operator_settings(),
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        standalone=True,
        stop_flag=stop,
    )
