"""Where models are: what each source has of a model, and how a file of it is asked for."""

import html
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from callfleet_agent.services.models.address import Address
from callfleet_agent.services.models.errors import ModelError, of_status
from callfleet_agent.services.models.sigv4 import Signer

HUB = "https://huggingface.co"
_OBJECT = re.compile(r"<Contents>.*?<Key>(.*?)</Key>.*?<Size>(\d+)</Size>.*?</Contents>", re.S)
_MORE = re.compile(r"<NextContinuationToken>(.*?)</NextContinuationToken>", re.S)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file: its place in the model, its size in bytes (0: not known), and how to ask for it.

    `headers` are made for each request: signatures grow old. `archive` says that it is a layer of
    an image, to be unpacked.
    """

    name: str
    size: int
    url: str
    headers: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)
    archive: bool = False


class Source(Protocol):
    async def files(self, session: aiohttp.ClientSession) -> Sequence[RemoteFile]:
        """All files of the model. Raises ModelError."""
        ...


@dataclass(frozen=True)
class Credentials:
    """What a source asks for, from the files of a mounted Secret."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: Path | None) -> "Credentials":
        if folder is None:
            return cls()
        files = (item for item in folder.iterdir() if item.is_file())
        return cls({item.name: item.read_text(encoding="utf-8").strip() for item in files})

    def get(self, name: str) -> str:
        return self.values.get(name, "")

    @property
    def bearer(self) -> dict[str, str]:
        token = self.get("token")
        return {"Authorization": f"Bearer {token}"} if token else {}


@dataclass(frozen=True)
class Hub:
    """hf://owner/repository[/path][@revision], by the hub's HTTP interface.

    huggingface.co/docs/hub/api: GET /api/models/{repo}/tree/{revision}, GET /{repo}/resolve/….
    """

    address: Address
    credentials: Credentials
    endpoint: str = ""

    async def files(self, session: aiohttp.ClientSession) -> Sequence[RemoteFile]:
        root = (self.endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
        revision = quote(self.address.revision or "main", safe="")
        url: str | None = f"{root}/api/models/{self.address.host}/tree/{revision}?recursive=true"
        found: list[RemoteFile] = []
        while url is not None:
            answer, url = await self._page(session, url)
            for item in answer:
                name = self.address.below(str(item.get("path", "")))
                if item.get("type") == "file" and name:
                    place = quote(str(item["path"]))
                    where = f"{root}/{self.address.host}/resolve/{revision}/{place}"
                    size = int(item.get("size") or 0)
                    found.append(RemoteFile(name, size, where, lambda: self.credentials.bearer))
        return found

    async def _page(
        self, session: aiohttp.ClientSession, url: str
    ) -> tuple[list[dict[str, Any]], str | None]:
        async with session.get(url, headers=self.credentials.bearer) as response:
            if response.status != 200:
                raise of_status(response.status, f"repository {self.address.host}")
            following = response.links.get("next")
            return list(await response.json()), str(following["url"]) if following else None


@dataclass(frozen=True)
class Bucket:
    """s3://bucket/path, signed where there are keys; path-style where an endpoint is named.

    docs.aws.amazon.com, "ListObjectsV2" and "GetObject".
    """

    address: Address
    credentials: Credentials

    async def files(self, session: aiohttp.ClientSession) -> Sequence[RemoteFile]:
        found: list[RemoteFile] = []
        query = {"list-type": "2", "prefix": self.address.path}
        while True:
            url, sign = self._request("", query)
            async with session.get(url, headers=sign()) as response:
                if response.status != 200:
                    raise of_status(response.status, f"bucket {self.address.host}")
                text = await response.text()
            for key, size in _OBJECT.findall(text):
                name = self.address.below(html.unescape(key))
                if name:
                    where, sign = self._request(html.unescape(key), {})
                    found.append(RemoteFile(name, int(size), where, sign))
            token = _MORE.search(text)
            if token is None:
                return found
            query = {**query, "continuation-token": html.unescape(token[1])}

    def _request(
        self, key: str, query: Mapping[str, str]
    ) -> tuple[str, Callable[[], Mapping[str, str]]]:
        """The URL of a request, and what signs it when it is made."""
        told = self.credentials.get
        region, endpoint = told("region") or "us-east-1", told("endpoint").rstrip("/")
        if endpoint:
            root, path = endpoint, f"/{self.address.host}/{key}"
        else:
            root, path = f"https://{self.address.host}.s3.{region}.amazonaws.com", f"/{key}"
        asked = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in sorted(query.items())
        )
        url = URL(f"{root}{quote(path, safe='/-_.~')}?{asked}".rstrip("?"), encoded=True)
        if not told("accessKeyId"):
            return str(url), dict
        signer = Signer(told("accessKeyId"), told("secretAccessKey"), region)
        host = urlsplit(root).netloc
        return str(url), lambda: signer.headers(host, path, query, datetime.now(UTC))


@dataclass(frozen=True)
class Web:
    """https://host/path: one file."""

    address: Address
    credentials: Credentials
    scheme: str = "https"

    async def files(self, session: aiohttp.ClientSession) -> Sequence[RemoteFile]:
        url = f"{self.scheme}://{self.address.host}/{self.address.path}"
        headers = self.credentials.bearer
        async with session.head(url, headers=headers, allow_redirects=True) as response:
            if response.status not in (200, 405):
                raise of_status(response.status, f"the file at {self.address.host}")
            size = response.content_length or 0
        name = self.address.path.rpartition("/")[2].partition("?")[0]
        return [RemoteFile(name or "model", size, url, lambda: headers)]


def source(address: Address, credentials: Credentials) -> Source:
    """Raises ModelError(Unsupported)."""
    from callfleet_agent.services.models.registry import Registry

    makers = {"hf": Hub, "s3": Bucket, "https": Web, "oci": Registry}
    maker = makers.get(address.scheme)
    if maker is None:
        raise ModelError("Unsupported", f"{address.scheme}:// is nothing that can be fetched")
    made: Source = maker(address, credentials)
    return made
