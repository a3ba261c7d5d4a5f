"""Where a pool's model is: the volume, the path in it, and the container that brings or checks it.

hf, s3, https   a loader writes it into the cache (a claim, or a folder of the pod)
oci             a volume of the image, where the cluster has them and the model names no Secret (the
                kubelet pulls with the pod's imagePullSecrets only), else as above
pvc, file       the volume itself, read only; a container checks that the model is there
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from callfleet_operator.model import ProviderPool
from callfleet_operator.model.poolmodel import InferenceModel
from callfleet_operator.resources import Manifest
from callfleet_operator.resources.quantities import canonical_quantity

from .facts import PoolFacts
from .names import LOADER_PORT, cache_name, metadata

MOUNT = "/models"
CREDENTIALS = "/etc/callfleet/model"


@dataclass(frozen=True)
class Store:
    """`path` is what the engine opens, `folder` what the loader fills, empty without one."""

    path: str
    volume: dict[str, Any]
    folder: str = ""

    @property
    def read_only(self) -> bool:
        return not self.folder


def store(pool: ProviderPool, facts: PoolFacts) -> Store:
    """Where the model of a pool is that the operator runs."""
    model = pool.spec.model or InferenceModel()
    scheme, _, address = (model.uri or "").partition("://")
    if scheme == "pvc":
        claim, _, inside = address.partition("/")
        volume: dict[str, Any] = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        return Store(_inside(model, inside), volume)
    if scheme == "file":
        parent, _, name = address.rstrip("/").rpartition("/")
        return Store(
            _inside(model, name), {"hostPath": {"path": parent or "/", "type": "Directory"}}
        )
    if scheme == "oci" and facts.pools.image_volumes and model.credentials_secret_name is None:
        image = {"reference": address, "pullPolicy": "IfNotPresent"}
        return Store(_inside(model, ""), {"image": image})
    folder = f"{MOUNT}/{cache_key(model)}"
    return Store(_opened(model, folder), _cache_volume(pool, model), folder)


def cache_key(model: InferenceModel) -> str:
    """The folder of one model in a cache: another address or checksum is another folder."""
    text = f"{model.uri} {model.checksum}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _inside(model: InferenceModel, inside: str) -> str:
    return "/".join(part for part in (MOUNT, inside.strip("/"), model.file) if part)


def _opened(model: InferenceModel, folder: str) -> str:
    """A file that the address names is put into the folder under its own name."""
    if model.file is not None:
        return f"{folder}/{model.file}"
    name = (model.uri or "").partition("://")[2].partition("@")[0].rpartition("/")[2]
    return f"{folder}/{name}" if model.names(".gguf", ".onnx") else folder


def _cache_volume(pool: ProviderPool, model: InferenceModel) -> dict[str, Any]:
    if model.cache is None:
        return {"emptyDir": {}}
    return {"persistentVolumeClaim": {"claimName": cache_name(pool.metadata.name)}}


def cache_claim(pool: ProviderPool, place: Store) -> Manifest | None:
    """The claim of a cache; None where nothing is loaded into one. Only its size may change
    afterwards.
    """
    model = pool.spec.model
    if model is None or model.cache is None or place.read_only:
        return None
    cache = model.cache
    spec: dict[str, Any] = {
        "accessModes": [cache.access_mode],
        "resources": {"requests": {"storage": canonical_quantity(cache.size)}},
        "volumeMode": "Filesystem",
    }
    if cache.storage_class_name is not None:
        spec["storageClassName"] = cache.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(pool, cache_name(pool.metadata.name)),
        "spec": spec,
    }


def loader(pool: ProviderPool, facts: PoolFacts, place: Store) -> dict[str, Any]:
    """The container that runs before the engine. Its progress is on a port, its error in its
    termination message.
    """
    model = pool.spec.model or InferenceModel()
    if place.folder:
        args = ["fetch", model.uri, "--to", place.folder, "--http", f"0.0.0.0:{LOADER_PORT}"]
        if place.path != place.folder:
            args += ["--file", place.path.removeprefix(f"{place.folder}/")]
    else:
        args = ["verify", place.path]
    args += ["--for", str(pool.spec.engine)]
    if model.checksum is not None:
        args += ["--checksum", model.checksum]
    credentials = credentials_volume(pool, place)
    if credentials is not None:
        args += ["--credentials", CREDENTIALS]
    mounts = [{"name": "model", "mountPath": MOUNT}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if place.read_only:
        mounts[0]["readOnly"] = True  # type: ignore[assignment]
    if credentials is not None:
        mounts.append({"name": "credentials", "mountPath": CREDENTIALS, "readOnly": True})  # type: ignore[dict-item]
    return {
        "name": "model",
        "image": facts.agent_image,
        "imagePullPolicy": facts.agent_image_pull_policy,
        "command": ["callfleet", "model"],
        "args": args,
        "ports": [{"name": "loader", "containerPort": LOADER_PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "volumeMounts": mounts,
    }


def credentials_volume(pool: ProviderPool, place: Store) -> dict[str, Any] | None:
    """The Secret of the model's source as files, so that no environment shows it; for a loader."""
    name = pool.spec.model.credentials_secret_name if pool.spec.model is not None else None
    if name is None or place.read_only:
        return None
    return {"name": "credentials", "secret": {"secretName": name, "defaultMode": 0o440}}
