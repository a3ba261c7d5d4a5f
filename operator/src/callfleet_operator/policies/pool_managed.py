"""The verdict on a pool whose engine the operator runs: settings first, then pods."""

from dataclasses import replace

from callfleet_operator.model.engines import OURS

from .conditions import Truth
from .model_cures import cure
from .model_secret import missing_keys
from .pool_judgement import Check, Judgement, fault, first
from .pool_view import Loading, PoolPodView, PoolView

# What the kubelet calls it, also of an image that is mounted.
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")
_PULLING = (
    "its events have the image; correct its name, or name the Secret of a private registry in "
    "spec.imagePullSecrets"
)


def _no_image(view: PoolView) -> Judgement | None:
    if view.managed.image:
        return None
    return fault(
        "ImageNotSet",
        f"nobody says which image runs {view.spec.engine}; set spec.image, or pools.images in the "
        "operator's settings",
    )


def _no_profile(view: PoolView) -> Judgement | None:
    if view.managed.profile_found:
        return None
    return fault(
        "ProfileNotFound",
        f"spec.profile names {view.spec.profile}, which the operator's settings do not have; "
        "correct it, or add it to pools.profiles",
    )


def _gpus_do_not_fit(view: PoolView) -> Judgement | None:
    """With a profile only: what the spec says by itself is refused at admission."""
    size, gpus = view.spec.tensor_parallel_size, view.managed.gpus
    if size is None or (gpus > 0 and gpus % size == 0):
        return None
    return fault(
        "GPUCountMismatch",
        f"spec.tensorParallelSize is {size} and the profile has {gpus} GPUs; make one a multiple "
        "of the other",
    )


def _path_not_allowed(view: PoolView) -> Judgement | None:
    if view.managed.path_allowed:
        return None
    return fault(
        "HostPathNotAllowed",
        "spec.model.uri names a folder of the node; allow it in pools.modelHostPaths of the "
        "operator's settings, or use pvc://",
    )


def _no_credentials(view: PoolView) -> Judgement | None:
    secret, model = view.managed.credentials, view.spec.model
    if secret is None or model is None:
        return None
    name = model.credentials_secret_name
    if not secret.found:
        return fault(
            "ModelSecretNotFound",
            f"spec.model.credentialsSecretName names {name}, and there is no such Secret in this "
            "namespace; create it",
        )
    missing = missing_keys(model.scheme, secret.keys)
    if not missing:
        return None
    return fault(
        "ModelSecretKeyNotFound",
        f"Secret {name} of spec.model.credentialsSecretName has no key {missing}, which "
        f"{model.scheme}:// asks for; add it, or remove credentialsSecretName where anybody may "
        "read the model",
    )


def _refused(view: PoolView) -> Judgement | None:
    if not view.managed.apply_error:
        return None
    return fault("ApplyRefused", f"the API server refused a part: {view.managed.apply_error}")


def _asleep(view: PoolView) -> Judgement | None:
    if view.wanted > 0:
        return None
    scaling = view.spec.scaling
    if scaling is not None and scaling.min_replicas == 0:
        return Judgement("Asleep", "it starts when an agent that uses it has a call", "False")
    return Judgement("ScaledToZero", "spec.replicas is 0; raise it to run the engine", "False")


def _serving(view: PoolView) -> Judgement | None:
    """One replica that answers is enough for agents; several nodes are one replica."""
    ready, wanted = view.managed.ready, view.wanted
    if ready == 0 or (view.spec.nodes is not None and ready < wanted):
        return None
    whole = ready >= wanted
    told = f"{ready} of {wanted} replicas answer"
    return Judgement("Serving", told, "True", progressing="False" if whole else "True")


def _model_failed(view: PoolView) -> Judgement | None:
    pod = _first(view, Loading.FAILED)
    if pod is None:
        return None
    known = cure(pod.reason, view.spec)
    reason = pod.reason if known is not None else "Failed"
    todo = known or f"look at the log of container model of pod {pod.name}"
    return fault(f"Model{reason}", f"{pod.message or 'the model could not be loaded'}; {todo}")


def _no_gpu(view: PoolView) -> Judgement | None:
    resource = view.managed.gpu_resource
    starved = [pod for pod in view.managed.alive if f"Insufficient {resource}" in pod.unschedulable]
    if not resource or not starved or _being_replaced(view):
        return None
    nodes = view.managed.gpu_nodes
    if nodes == 0:
        message = (
            f"no node offers {resource}; install its device plugin, or correct "
            "spec.resources.gpu.resourceName"
        )
    else:
        message = f"0 of {nodes} nodes with {resource} free; free one, add one, or ask for fewer"
    return fault("InsufficientGPU", message)


def _unschedulable(view: PoolView) -> Judgement | None:
    if _being_replaced(view):
        return None
    for pod in view.managed.alive:
        if pod.unschedulable:
            return fault("Unschedulable", f"no node takes its pod: {pod.unschedulable[:300]}")
    return None


def _being_replaced(view: PoolView) -> bool:
    """A pod waits for the room of the one before it, which ends its requests first."""
    return any(pod.leaving for pod in view.managed.pods)


def _loading(view: PoolView) -> Judgement | None:
    if _first(view, Loading.RUNNING) is None:
        return None
    progress = view.managed.progress
    told = f"{progress.percent} % of the model are there" if progress else "the model is loaded"
    return Judgement("ModelLoading", told, "False", progressing="True")


def _broken(view: PoolView) -> Judgement | None:
    for pod in view.managed.alive:
        if pod.problem:
            why = f"{pod.problem}: {pod.said}" if pod.said and _ours(view) else pod.problem
            todo = _PULLING if pod.problem in _NOT_PULLED else "look at its events and log"
            return fault("PodNotStarting", f"pod {pod.name} does not start ({why}); {todo}")
    return None


def _ours(view: PoolView) -> bool:
    """What other projects' servers say at their end is nobody's business but their log's."""
    return view.spec.engine in OURS


def _starting(view: PoolView) -> Judgement | None:
    if not view.managed.alive:
        return Judgement("Pending", "its pods are not there yet", "False", progressing="True")
    told = "the engine loads the model and has not answered yet"
    return Judgement("EngineStarting", told, "False", progressing="True")


OF_THE_SPEC: tuple[Check, ...] = (_no_image, _no_profile, _gpus_do_not_fit, _path_not_allowed)
# Nothing is made that could not run: these say what has to be mended first.
BEFORE_APPLY: tuple[Check, ...] = (*OF_THE_SPEC, _no_credentials)
OF_REPLICAS: tuple[Check, ...] = (_model_failed, _no_gpu, _unschedulable, _broken)
CHECKS: tuple[Check, ...] = (
    *BEFORE_APPLY,
    _refused,
    _asleep,
    *OF_REPLICAS,
    _loading,
    _starting,
)


def judge(view: PoolView) -> Judgement | None:
    """The first thing to say. Replicas that answer stay in use while others have a fault, which
    is told beside; what this spec asks for in vain comes before both.
    """
    serving = _serving(view)
    if serving is None:
        return first(CHECKS, view)
    lacking = first((_no_credentials, *OF_REPLICAS), view)
    if lacking is not None:
        serving = replace(serving, progressing="False", degraded="True", beside=lacking)
    return first((*OF_THE_SPEC, _refused, _asleep), view) or serving


def _first(view: PoolView, loading: Loading) -> PoolPodView | None:
    return next((pod for pod in view.managed.alive if pod.loading is loading), None)


def model_cached(view: PoolView) -> tuple[Truth, str, str]:
    """Whether the model is where the engine opens it: status, reason, message."""
    if any(pod.loading is Loading.DONE for pod in view.managed.alive):
        return "True", "Cached", "the model is there and was checked"
    failed = _model_failed(view)
    if failed is not None:
        return "False", failed.reason.removeprefix("Model"), failed.message
    loading = _loading(view)
    if loading is not None:
        return "False", "Loading", loading.message
    return "Unknown", "NotLookedAt", "no pod has looked for the model yet"
