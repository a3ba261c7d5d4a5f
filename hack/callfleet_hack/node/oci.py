"""An image as an archive for `ctr import`, without what the node has already.

Images share their lower layers, and a change of source changes only the upmost: what is left out
is most of it. The blobs lie in one folder as buildah's `dir:` transport writes them, uncompressed,
each named by the hexadecimal digits of its digest, beside the `manifest.json` of the last image.
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.cache import write_atomically

CONTAINERD_NAME = "io.containerd.image.name"
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
NOT_BLOBS = {"manifest.json", "version", "images.json"}


@dataclass(frozen=True)
class Manifest:
    """`text` octet for octet, because its digest is the image's name."""

    text: str

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"

    @property
    def digests(self) -> list[str]:
        """Of the config and of every layer."""
        content = json.loads(self.text)
        return [str(one["digest"]) for one in (content["config"], *content["layers"])]

    @property
    def media_type(self) -> str:
        return str(json.loads(self.text).get("mediaType", MEDIA_TYPE))


def adopt(folder: Path, reference: str) -> Manifest:
    """Take note of the image that was just written to `folder`; drop blobs of no known image."""
    manifest = Manifest((folder / "manifest.json").read_text())
    file = folder / "images.json"
    known = {**(json.loads(file.read_text()) if file.exists() else {}), reference: manifest.text}
    write_atomically(file, json.dumps(known))
    used = {digest for text in known.values() for digest in Manifest(text).digests}
    for path in folder.iterdir():
        if path.name not in NOT_BLOBS and f"sha256:{path.name}" not in used:
            path.unlink()
    return manifest


def write_archive(
    folder: Path, reference: str, manifest: Manifest, target: Path, present: set[str]
) -> None:
    """`present` are digests that the node's content store has; the manifest always goes along."""
    text = manifest.text.encode()
    entry = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(text),
        "annotations": {CONTAINERD_NAME: reference},
    }
    index = {"schemaVersion": 2, "manifests": [entry]}
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        _add(archive, _name(manifest.digest), text)
        for digest in dict.fromkeys(manifest.digests):
            if digest not in present:
                archive.add(folder / digest.removeprefix("sha256:"), _name(digest))


def _name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
