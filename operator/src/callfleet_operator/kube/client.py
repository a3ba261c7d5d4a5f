"""A client of the Kubernetes API for dicts: aiohttp and orjson, a time limit on everything."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import orjson

from callfleet_operator.kube.connection import Connection
from callfleet_operator.kube.errors import error_of
from callfleet_operator.kube.sockets import Sockets
from callfleet_operator.ports.errors import KubeError, NotFoundError, UnavailableError
from callfleet_operator.ports.kinds import Kind, Manifest, kind_of, name_of, namespace_of
from callfleet_operator.ports.kube import Ref

FIELD_MANAGER = "callfleet-operator"
_MANAGED = {"fieldManager": FIELD_MANAGER}

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_PARTIAL = "application/json;as={};v=v1;g=meta.k8s.io"
# The server sends a bookmark every minute: a watch that is silent for longer is dead.
_WATCH_SILENCE_S = 90.0
_GOOD_BYE_S = 2.0
_LINE_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `continue_token` is empty on the last one."""

    items: list[Manifest]
    resource_version: str
    continue_token: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED, BOOKMARK; an ERROR is raised as the error that it is."""

    type: str
    object: Manifest


@dataclass(frozen=True, slots=True)
class Selection:
    """What is listed or watched of a kind."""

    kind: Kind
    namespace: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False

    def query(self) -> dict[str, str]:
        wanted = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: value for name, value in wanted.items() if value}


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: Manifest | None = None
    content_type: str = _JSON
    accept: str = _JSON
    query: Mapping[str, str] = field(default_factory=dict)
    verb: str = ""


class KubeClient:
    """One pool of connections. `requests` counts what was sent, by verb, for metrics and
    benches.
    """

    def __init__(self, connection: Connection, *, timeout_s: float = 10.0) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self.requests: dict[str, int] = {}
        self.sockets = Sockets()
        connector = aiohttp.TCPConnector(
            limit=64,
            ssl=connection.tls if connection.tls is not None else True,
            socket_factory=self.sockets,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            read_bufsize=256 * 1024,
            headers={"User-Agent": FIELD_MANAGER},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection, and wait until TLS has said good-bye on it, 2 s at most."""
        await self._session.close()
        await self.sockets.closed(within_s=_GOOD_BYE_S)

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        try:
            return await self._send(_Request("GET", kind.path(namespace, name)))
        except NotFoundError:
            return None

    async def create(self, manifest: Manifest) -> Manifest:
        path = kind_of(manifest).path(namespace_of(manifest))
        return await self._send(_Request("POST", path, manifest, query=_MANAGED))

    async def replace(self, manifest: Manifest) -> Manifest:
        """PUT: needs `metadata.resourceVersion` to be safe."""
        path = kind_of(manifest).path(namespace_of(manifest), name_of(manifest))
        return await self._send(_Request("PUT", path, manifest, query=_MANAGED))

    async def apply(self, manifest: Manifest) -> Manifest:
        path = kind_of(manifest).path(namespace_of(manifest), name_of(manifest))
        query = _MANAGED | {"force": "true"}
        return await self._send(
            _Request("PATCH", path, manifest, content_type=_APPLY, query=query, verb="APPLY")
        )

    async def patch(
        self, ref: Ref, patch: Manifest, *, subresource: str = "", strategic: bool = False
    ) -> Manifest:
        path = ref.kind.path(ref.namespace, ref.name, subresource)
        content_type = _STRATEGIC if strategic else _MERGE
        return await self._send(
            _Request("PATCH", path, patch, content_type=content_type, query=_MANAGED)
        )

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {name: value for name, value in wanted.items() if value},
        }
        try:
            path = ref.kind.path(ref.namespace, ref.name)
            await self._send(_Request("DELETE", path, options))
        except NotFoundError:
            return

    async def list_page(
        self, selection: Selection, *, limit: int = 500, continue_token: str = ""
    ) -> Page:
        """A page of a list as of now (a quorum read, not the server's watch cache)."""
        query = selection.query() | {"limit": str(limit)}
        if continue_token:
            query["continue"] = continue_token
        accept = _PARTIAL.format("PartialObjectMetadataList") if selection.metadata_only else _JSON
        path = selection.kind.path(selection.namespace)
        request = _Request("GET", path, query=query, accept=accept, verb="LIST")
        body = await self._send(request)
        meta = body.get("metadata") or {}
        items: list[Manifest] = body.get("items") or []
        for item in items:
            item.setdefault("apiVersion", selection.kind.api_version)
            item.setdefault("kind", selection.kind.kind)
        return Page(items, str(meta.get("resourceVersion", "")), str(meta.get("continue", "")))

    async def watch(
        self, selection: Selection, resource_version: str, *, timeout_s: float
    ) -> AsyncIterator[WatchEvent]:
        """What changes after `resource_version`, until the server ends it after `timeout_s`.

        Raises GoneError when the version is too old, UnavailableError when the connection breaks.
        """
        query = selection.query() | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(int(timeout_s)),
        }
        limits = aiohttp.ClientTimeout(
            total=timeout_s + _WATCH_SILENCE_S,
            sock_connect=self._timeout_s,
            sock_read=_WATCH_SILENCE_S,
        )
        accept = _PARTIAL.format("PartialObjectMetadata") if selection.metadata_only else _JSON
        self._count("WATCH")
        try:
            async with self._session.get(
                self._connection.server + selection.kind.path(selection.namespace),
                params=query,
                headers=await self._headers(accept),
                timeout=limits,
            ) as response:
                if response.status != 200:
                    raise error_of(response.status, await response.read())
                async for line in _lines(response.content):
                    yield _event(line)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _unreachable(error) from error

    async def _send(self, request: "_Request") -> dict[str, Any]:
        self._count(request.verb or request.method)
        headers = await self._headers(request.accept)
        headers["Content-Type"] = request.content_type
        try:
            async with self._session.request(
                request.method,
                self._connection.server + request.path,
                data=None if request.body is None else orjson.dumps(request.body),
                params=request.query,
                headers=headers,
            ) as response:
                content = await response.read()
                if response.status >= 300:
                    retry_after = response.headers.get("Retry-After", "")
                    raise error_of(response.status, content, retry_after)
                return dict(orjson.loads(content))
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise _unreachable(error) from error

    async def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept}
        if authorization := await self._connection.authorization():
            headers["Authorization"] = authorization
        return headers

    def _count(self, verb: str) -> None:
        self.requests[verb] = self.requests.get(verb, 0) + 1


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, of any length: aiohttp's own reader fails beyond twice its buffer."""
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        *lines, tail = rest.split(b"\n")
        rest = tail
        for line in lines:
            if line:
                yield bytes(line)
        if len(rest) > _LINE_LIMIT:
            raise ValueError("a watch event is longer than 8 MiB")


def _event(line: bytes) -> WatchEvent:
    found = orjson.loads(line)
    event = WatchEvent(found["type"], found["object"])
    if event.type == "ERROR":
        raise error_of(int(event.object.get("code") or 0), event.object)
    return event


def _unreachable(error: Exception) -> KubeError:
    return UnavailableError(0, "Unreachable", type(error).__name__)


async def list_all(client: "KubeClient", selection: Selection, *, limit: int = 500) -> Page:
    """Every page of a list, as one. Raises GoneError when the list took so long that it expired."""
    items: list[Manifest] = []
    token = ""
    while True:
        page = await client.list_page(selection, limit=limit, continue_token=token)
        items += page.items
        token = page.continue_token
        if not token:
            return Page(items, page.resource_version, "")
        await asyncio.sleep(0)
