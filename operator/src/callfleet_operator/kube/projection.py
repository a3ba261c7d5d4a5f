"""What is kept of an object: what the core reads, and no more. Memory follows the fleet's size."""

from collections.abc import Callable

from callfleet_operator.ports.kinds import CUSTOM_RESOURCE_DEFINITION, POD, Kind, Manifest

Projection = Callable[[Manifest], Manifest]

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "creationTimestamp",
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_POD_SPEC = ("nodeName", "hostNetwork", "readinessGates", "terminationGracePeriodSeconds")
_POD_STATUS = (
    "phase",
    "podIP",
    "conditions",
    "reason",
    "message",
    "containerStatuses",
    "initContainerStatuses",
)


def projection_of(kind: Kind) -> Projection:
    return _PROJECTIONS.get(kind, whole)


def whole(manifest: Manifest) -> Manifest:
    """Everything but the metadata that nobody reads."""
    return manifest | {"metadata": _metadata(manifest)}


def pod(manifest: Manifest) -> Manifest:
    """Address, conditions, and where it runs: a pod's template is its owner's business."""
    spec = manifest.get("spec") or {}
    status = manifest.get("status") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(manifest),
        "spec": {name: spec[name] for name in _POD_SPEC if name in spec},
        "status": {name: status[name] for name in _POD_STATUS if name in status},
    }


def definition(manifest: Manifest) -> Manifest:
    """That it is there, and its name: schemas are large."""
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": _metadata(manifest),
    }


def _metadata(manifest: Manifest) -> Manifest:
    found = manifest["metadata"]
    kept = {name: found[name] for name in _METADATA if name in found}
    annotations = kept.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        kept["annotations"] = {
            name: value for name, value in annotations.items() if name != _LAST_APPLIED
        }
    return kept


_PROJECTIONS: dict[Kind, Projection] = {POD: pod, CUSTOM_RESOURCE_DEFINITION: definition}
