"""An image of buildah's store as an archive for `ctr import`, without what the node has already.

Images share their lower layers, and a change of source changes only the upmost. `buildah push`
writes all of them every time, 10 s for an agent; this reads just what is missing, 0.1 s.

The store keeps a layer as a folder of files and, beside it, the tar stream that it came from
without the files' contents (tar-split): together they give the stream again octet for octet.
"""

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

CONTAINERD_NAME = "io.containerd.image.name"
SEGMENT = 2  # of a tar-split entry's types: octets of the stream itself; the other is a file
CHUNK = 1 << 20


@dataclass(frozen=True)
class Layer:
    digest: str
    size: int
    split: Path
    files: Path

    def chunks(self) -> Iterator[bytes]:
        """The layer's tar stream."""
        with gzip.open(self.split, "rb") as entries:
            for line in entries:
                entry = json.loads(line)
                if entry["type"] == SEGMENT:
                    yield base64.b64decode(entry["payload"])
                elif entry.get("size"):
                    yield from _file_chunks(self.files / _name(entry))


@dataclass(frozen=True)
class StoredImage:
    """`manifest` and `config` octet for octet, because their digests name them."""

    digest: str
    manifest: bytes
    config_digest: str
    config: bytes
    layers: tuple[Layer, ...]


class StoredImageError(Exception):
    """The store is not as this module knows it; `buildah push` has to do."""


def find(root: Path, reference: str) -> StoredImage:
    """The image called `reference` in the store at `root` (`buildah info`, GraphRoot)."""
    try:
        images = json.loads((root / "overlay-images" / "images.json").read_text())
        image = next(one for one in images if reference in (one.get("names") or ()))
        folder = root / "overlay-images" / image["id"]
        manifest = (folder / "manifest").read_bytes()
        config_digest = json.loads(manifest)["config"]["digest"]
        key = base64.b64encode(config_digest.encode()).decode()
        layers = _layers(root, image["layer"])
        wanted = [one["digest"] for one in json.loads(manifest)["layers"]]
        if [layer.digest for layer in layers] != wanted:
            raise StoredImageError(f"{reference} is not kept as its manifest says")
        config = (folder / f"={key}").read_bytes()
        return StoredImage(image["digest"], manifest, config_digest, config, layers)
    except (OSError, KeyError, ValueError, StopIteration) as error:
        raise StoredImageError(str(error)) from error


def write_archive(image: StoredImage, reference: str, target: IO[bytes], present: set[str]) -> None:
    """Write to a pipe or a file; `present` are digests of layers that the node has."""
    entry = {
        "mediaType": json.loads(image.manifest)["mediaType"],
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {CONTAINERD_NAME: reference},
    }
    index = {"schemaVersion": 2, "manifests": [entry]}
    with tarfile.open(fileobj=target, mode="w|") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        _add(archive, _blob(image.digest), image.manifest)
        _add(archive, _blob(image.config_digest), image.config)
        for layer in {one.digest: one for one in image.layers}.values():
            if layer.digest not in present:
                information = tarfile.TarInfo(_blob(layer.digest))
                information.size = layer.size
                archive.addfile(information, _Stream(layer.chunks()))


class _Stream(io.RawIOBase):
    """Chunks as a file, because that is what tarfile reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` octets except at the end, as tarfile relies on."""
        parts: list[bytes] = []
        wanted = size
        while wanted > 0:
            if not self._rest:
                following = next(self._chunks, None)
                if following is None:
                    break
                self._rest = following
                continue
            parts.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)


def _layers(root: Path, top: str) -> tuple[Layer, ...]:
    """From the lowest to `top`."""
    records = json.loads((root / "overlay-layers" / "layers.json").read_text())
    known = {record["id"]: record for record in records}
    found: list[Layer] = []
    identity: str | None = top
    while identity:
        record = known[identity]
        split = root / "overlay-layers" / f"{identity}.tar-split.gz"
        files = root / "overlay" / identity / "diff"
        found.append(Layer(record["diff-digest"], record["diff-size"], split, files))
        identity = record.get("parent")
    return tuple(reversed(found))


def _file_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _name(entry: dict[str, str]) -> str:
    raw = entry.get("name_raw")
    return base64.b64decode(raw).decode(errors="surrogateescape") if raw else entry["name"]


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    information = tarfile.TarInfo(name)
    information.size = len(content)
    archive.addfile(information, io.BytesIO(content))
