"""Where an agent's pods may go: DNS, the proxy, audio, the platform's services, bank, providers.

A NetworkPolicy knows no names. A name of a Service stands for the namespace that it is in, whose
pods' ports are not known here; any other name stands for the networks of the operator's settings,
or for anywhere, at the port of its URL.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from callfleet_operator.model import Hosting, LiveProviders, Media
from callfleet_operator.model.engines import Stage

from .facts import OperatorFacts
from .pools.names import POOL_LABEL
from .revision import RenderedRevision

Rule = dict[str, Any]

FIRST_MEDIA_PORT: Final = 1024  # callers choose their ports, and may not choose lower ones
LAST_PORT: Final = 65535
_SERVICE: Final = re.compile(r"[a-z0-9-]+\.(?P<namespace>[a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?")
_SHORT: Final = re.compile(r"[a-z0-9-]+(?:\.(?P<namespace>[a-z0-9-]+))?")
_URLS: Final = ("CALLFLEET_SESSION_MANAGER", "CALLFLEET_CONTEXT_STORE", "CALLFLEET_BANKING")
_TRACES: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PORTS: Final = {"http": 80, "grpc": 80, "https": 443, "grpcs": 443}
_DNS: Final[Rule] = {
    "ports": [
        {"protocol": protocol, "port": port}
        for port in (53, 5353)  # of the Service, and of the pods behind it on some clusters
        for protocol in ("UDP", "TCP")
    ],
}


@dataclass(frozen=True, order=True)
class Place:
    """A host and a port that is connected to over TCP."""

    host: str
    port: int


@dataclass(frozen=True)
class _Named:
    """What a revision's settings say of where its pods go."""

    media: str
    urls: tuple[str, ...]


def egress(
    revisions: Iterable[RenderedRevision], live: LiveProviders, operator: OperatorFacts
) -> list[Rule]:
    """The rules for pods of all these revisions, each once and in an order of its own."""
    kept = tuple(revisions)
    rules = [_DNS, *_sip(operator), _media(kept, operator)]
    for place in sorted({*_places(kept), *_external(live)}):
        rules += _towards(place, operator)
    rules += [_pool(name, port) for name, port in _managed(live)]
    found: list[Rule] = []
    for rule in rules:
        if rule not in found:
            found.append(rule)
    return found


def _sip(operator: OperatorFacts) -> Iterator[Rule]:
    """BYE and what else pods begin goes where the proxy says it is: any of its ports.

    Without its networks that is anywhere, and then the other rules say nothing more.
    """
    if not operator.sip_cidrs:
        yield {"ports": [_ports("UDP"), _ports("TCP")]}
        return
    at = urlsplit(f"//{operator.sip_address}")
    if _is_address(at.hostname or ""):
        yield {"to": _blocks(dict.fromkeys([*operator.sip_cidrs, _one(at.hostname or "")]))}
        return
    yield {"to": _blocks(operator.sip_cidrs)}
    if at.port is not None:
        yield {"ports": [{"protocol": protocol, "port": at.port} for protocol in ("UDP", "TCP")]}


def _media(revisions: Iterable[RenderedRevision], operator: OperatorFacts) -> Rule:
    direct = any(_named(each.settings).media == Media.DIRECT for each in revisions)
    ports = {"ports": [_ports("UDP", FIRST_MEDIA_PORT)]}
    if direct or not operator.relay_cidrs:
        return ports
    return {**ports, "to": _blocks(operator.relay_cidrs)}


def _places(revisions: Iterable[RenderedRevision]) -> Iterator[Place]:
    """What pods of these revisions were told: services, bank and collector."""
    for revision in revisions:
        containers = revision.template["spec"]["containers"]
        told = {item["name"]: item.get("value") for item in containers[0].get("env", ())}
        for name in _URLS:
            if told.get(name):
                yield _place(f"grpcs://{told[name]}")
        yield from map(_place, _named(revision.settings).urls)
        if told.get(_TRACES):
            yield _place(told[_TRACES])


@lru_cache(maxsize=1024)
def _named(settings: str) -> _Named:
    """Kept: settings do not change in a revision, and to read them takes longer than all else that
    is decided of an agent."""
    spec: dict[str, Any] = yaml.safe_load(settings)["spec"]
    return _Named(media=spec["sip"]["media"], urls=tuple(_urls(spec)))


def _urls(data: dict[str, Any]) -> Iterator[str]:
    """Every URL in a spec: the bank's, and whatever else a later version names."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _urls(value)
        elif name.lower().endswith("url"):
            yield value


def _external(live: LiveProviders) -> Iterator[Place]:
    for stage in Stage:
        for member in live.chain(stage):
            if member.hosting is Hosting.EXTERNAL:
                yield from map(_place, member.endpoints)


def _managed(live: LiveProviders) -> Iterator[tuple[str, int]]:
    for stage in Stage:
        for member in live.chain(stage):
            if member.hosting is Hosting.MANAGED:
                for endpoint in member.endpoints:
                    yield member.pool, _place(endpoint).port


def _place(url: str) -> Place:
    parts = urlsplit(url)
    return Place((parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme])


def _towards(place: Place, operator: OperatorFacts) -> Iterator[Rule]:
    at = {"ports": [{"protocol": "TCP", "port": place.port}]}
    if _is_address(place.host):
        yield {**at, "to": _blocks([_one(place.host)])}
        return
    service, short = _SERVICE.fullmatch(place.host), _SHORT.fullmatch(place.host)
    if service is not None:
        yield _namespace(service["namespace"])
        return
    if short is not None:  # NAME of the agent's own namespace, or NAME.NAMESPACE
        yield _namespace(short["namespace"])
        if short["namespace"] is None:
            return
    yield {**at, "to": _blocks(operator.egress_cidrs)} if operator.egress_cidrs else at


def _namespace(name: str | None) -> Rule:
    """A Service's port says nothing of its pods'."""
    if name is None:
        peer: dict[str, Any] = {"podSelector": {}}
    else:
        peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    return {"ports": [_ports("TCP")], "to": [peer]}


def _pool(name: str, port: int) -> Rule:
    labels = {"app.kubernetes.io/name": "providerpool", POOL_LABEL: name}
    return {
        "ports": [{"protocol": "TCP", "port": port}],
        "to": [{"podSelector": {"matchLabels": labels}}],
    }


def _ports(protocol: str, first: int = 1) -> dict[str, Any]:
    return {"protocol": protocol, "port": first, "endPort": LAST_PORT}


def _blocks(cidrs: Iterable[str]) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _one(host: str) -> str:
    address = ip_address(host)
    return f"{address}/{address.max_prefixlen}"
