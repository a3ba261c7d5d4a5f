"""oci://registry/repository[:tag|@digest]: the layers of an image, by the distribution protocol.

github.com/opencontainers/distribution-spec, "Pulling manifests" and "Pulling blobs"; tokens as in
distribution.github.io, "Token Authentication Specification".
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from platform import machine
from typing import Any

import aiohttp

from callfleet_agent.services.models import pull_secret
from callfleet_agent.services.models.address import Address
from callfleet_agent.services.models.errors import ModelError, of_status
from callfleet_agent.services.models.sources import Credentials, RemoteFile

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_FIELD = re.compile(r'(\w+)="([^"]*)"')
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True)
class Registry:
    """An image whose files are the model; layers of an artifact with a title are files."""

    address: Address
    credentials: Credentials
    scheme: str = "https"

    async def files(self, session: aiohttp.ClientSession) -> Sequence[RemoteFile]:
        repository, _, tag = self.address.path.partition(":")
        root = f"{self.scheme}://{self.address.host}/v2/{repository}"
        headers = await self._authorized(session, root, repository)
        manifest = await self._manifest(
            session, root, self.address.revision or tag or "latest", headers
        )
        if "manifests" in manifest:
            digest = str(_of_this_machine(manifest["manifests"])["digest"])
            manifest = await self._manifest(session, root, digest, headers)
        return [self._layer(root, layer, headers) for layer in manifest.get("layers") or ()]

    def _layer(self, root: str, layer: dict[str, Any], headers: dict[str, str]) -> RemoteFile:
        media, digest = str(layer.get("mediaType", "")), str(layer["digest"])
        title = (layer.get("annotations") or {}).get(_TITLE)
        archive = "tar" in media
        if archive and "zstd" in media:
            raise ModelError("Unsupported", "the image has layers in zstd; use gzip")
        return RemoteFile(
            name=str(title or digest.partition(":")[2][:16]),
            size=int(layer.get("size") or 0),
            url=f"{root}/blobs/{digest}",
            headers=lambda: headers,
            archive=archive,
        )

    async def _manifest(
        self, session: aiohttp.ClientSession, root: str, reference: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        accept = {"Accept": ", ".join(_MANIFESTS), **headers}
        async with session.get(f"{root}/manifests/{reference}", headers=accept) as response:
            if response.status != 200:
                raise of_status(response.status, f"image {self.address.path}")
            return dict(await response.json(content_type=None))

    async def _authorized(
        self, session: aiohttp.ClientSession, root: str, repository: str
    ) -> dict[str, str]:
        """The header that the registry wants to see: none, a password, or a token from where it
        says.
        """
        if self.credentials.bearer:
            return self.credentials.bearer
        async with session.get(f"{root}/tags/list") as response:
            challenge = response.headers.get("WWW-Authenticate", "")
            if response.status != 401:
                return {}
        login = self._login(repository)
        kind = challenge.lower().partition(" ")[0]
        if kind != "bearer":
            return login if kind == "basic" else {}
        fields = dict(_FIELD.findall(challenge))
        if "realm" not in fields:
            return {}
        query = {
            "service": fields.get("service", ""),
            "scope": fields.get("scope") or f"repository:{repository}:pull",
        }
        async with session.get(fields["realm"], params=query, headers=login) as response:
            if response.status != 200:
                raise of_status(response.status, f"image {self.address.path}")
            told = await response.json(content_type=None)
        return {"Authorization": f"Bearer {told.get('token') or told.get('access_token') or ''}"}

    def _login(self, repository: str) -> dict[str, str]:
        """The header with user and password (RFC 7617), empty without them."""
        told = self.credentials.get
        found: tuple[str, str] | None = (told("username"), told("password"))
        if not told("username"):
            text = told(pull_secret.FILE)
            found = pull_secret.login(text, self.address.host, repository) if text else None
        if found is None:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(':'.join(found).encode()).decode()}"}


def _of_this_machine(manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of an index; what is for no machine at all, as attestations are, comes last."""
    here = _ARCHITECTURES.get(machine(), machine())

    def fit(manifest: dict[str, Any]) -> int:
        architecture = (manifest.get("platform") or {}).get("architecture", "")
        return 2 if architecture == here else 0 if architecture == "unknown" else 1

    if not manifests:
        raise ModelError("Unsupported", "the image's index is empty")
    return max(manifests, key=fit)
