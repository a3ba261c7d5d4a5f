"""What people read of a pool whose engine the operator runs."""

from dataclasses import replace
from typing import Any

import pytest

from callfleet_operator.model import load_provider_pool
from callfleet_operator.policies.pool_status import pool_status
from callfleet_operator.policies.pool_view import (
    FiguresView,
    Loading,
    ManagedView,
    PoolPodView,
    PoolView,
    ProgressView,
    SecretView,
)
from vectors.manifests.table import SMALLEST, merged

NOW = "2026-01-01T00:00:00Z"
SPEC: dict[str, Any] = {"engine": "vosk", "replicas": 2, "model": {"uri": "hf://org/model"}}
GPU: dict[str, Any] = {
    "engine": "vllm",
    "stage": "llm",
    "model": {"uri": "hf://org/model"},
    "resources": {"gpu": {}},
}
READY = PoolPodView("a", ip="10.0.0.1", ready=True, loading=Loading.DONE)
STARTING = PoolPodView("b", loading=Loading.DONE)
NO_GPU = PoolPodView("a", unschedulable="0/3 nodes are available: 2 Insufficient nvidia.com/gpu.")


def view(spec: dict[str, Any] | None = None, **managed: Any) -> PoolView:
    pool = load_provider_pool(merged(SMALLEST["ProviderPool"], {"spec": spec or SPEC}))
    seen = ManagedView(**{"image": "x:1", "endpoint": "grpc://x.svc:9090", **managed})
    return PoolView(generation=1, spec=pool.spec, managed=replace(seen))


def failed(reason: str, message: str = "") -> PoolPodView:
    return PoolPodView("a", loading=Loading.FAILED, reason=reason, message=message)


ASLEEP = merged(SPEC, {"replicas": 0, "scaling": {"minReplicas": 0, "maxReplicas": 2}})
NODES = merged(GPU, {"nodes": 2, "replicas": 1})
PROFILED = merged(GPU, {"profile": "big", "tensorParallelSize": 2, "resources": None})
CACHED = merged(SPEC, {"model": {"cache": {"size": "5Gi"}}})
WITH_TOKEN = SecretView(found=True, keys=frozenset({"token"}))
WITH_SECRET = merged(SPEC, {"model": {"credentialsSecretName": "hub"}})

CASES: list[tuple[PoolView, str, str, str, str, str]] = [
    # what is seen, then Ready, Progressing, Degraded, and why
    (view(image=""), "False", "False", "True", "ImageNotSet", "set spec.image"),
    (
        view(PROFILED, profile_found=False),
        "False",
        "False",
        "True",
        "ProfileNotFound",
        "spec.profile names big",
    ),
    (view(PROFILED, gpus=3), "False", "False", "True", "GPUCountMismatch", "the profile has 3"),
    (view(PROFILED), "False", "False", "True", "GPUCountMismatch", "the profile has 0 GPUs"),
    (view(PROFILED, gpus=4), "False", "True", "False", "Pending", "not there yet"),
    (view(path_allowed=False), "False", "False", "True", "HostPathNotAllowed", "modelHostPaths"),
    (
        view(WITH_SECRET, credentials=SecretView(found=False)),
        "False",
        "False",
        "True",
        "ModelSecretNotFound",
        "names hub, and there is no such Secret",
    ),
    (
        view(WITH_SECRET, credentials=SecretView(found=True, keys=frozenset({"HF_TOKEN"}))),
        "False",
        "False",
        "True",
        "ModelSecretKeyNotFound",
        "Secret hub of spec.model.credentialsSecretName has no key token, which hf:// asks for",
    ),
    (view(WITH_SECRET, credentials=WITH_TOKEN), "False", "True", "False", "Pending", "not there"),
    (view(apply_error="quota"), "False", "False", "True", "ApplyRefused", "a part: quota"),
    (view(ASLEEP), "False", "False", "False", "Asleep", "when an agent that uses it has a call"),
    (
        view(merged(SPEC, {"replicas": 0})),
        "False",
        "False",
        "False",
        "ScaledToZero",
        "spec.replicas is 0; raise it",
    ),
    (view(pods=(READY, READY)), "True", "False", "False", "Serving", "2 of 2 replicas answer"),
    (view(pods=(READY, STARTING)), "True", "True", "False", "Serving", "1 of 2 replicas answer"),
    (
        view(pods=(replace(READY, ending=True),)),
        "False",
        "True",
        "False",
        "Pending",
        "not there yet",
    ),
    (view(NODES, pods=(READY, STARTING)), "False", "True", "False", "EngineStarting", "loads"),
    (view(NODES, pods=(READY, READY)), "True", "False", "False", "Serving", "2 of 2"),
    (
        view(CACHED, pods=(failed("NoRoom", "7.1 GiB are needed, 5 GiB are there"),)),
        "False",
        "False",
        "True",
        "ModelNoRoom",
        "5 GiB are there; raise spec.model.cache.size",
    ),
    (
        view(pods=(failed("NoRoom", "7.1 GiB are needed, 5 GiB are there"),)),
        "False",
        "False",
        "True",
        "ModelNoRoom",
        "set spec.model.cache to a volume that is large enough; without one the model is on the "
        "node's disk, in ephemeral storage",
    ),
    (
        view(pods=(failed("Unfit", "vosk opens a folder in Kaldi's form"),)),
        "False",
        "False",
        "True",
        "ModelUnfit",
        "Kaldi's form; spec.engine is vosk: name a folder in Kaldi's form in spec.model.uri",
    ),
    (
        view(pods=(failed("Invalid", "the model's address is none"),)),
        "False",
        "False",
        "True",
        "ModelInvalid",
        "correct spec.model.uri",
    ),
    (
        view(merged(SPEC, {"model": {"file": "x/final"}}), pods=(failed("NotFound"),)),
        "False",
        "False",
        "True",
        "ModelNotFound",
        "correct spec.model.uri or spec.model.file",
    ),
    (
        view(pods=(failed("NoAccess"),)),
        "False",
        "False",
        "True",
        "ModelNoAccess",
        "set spec.model.credentialsSecretName",
    ),
    (
        view(
            WITH_SECRET,
            pods=(failed("NoAccess"),),
            credentials=WITH_TOKEN,
        ),
        "False",
        "False",
        "True",
        "ModelNoAccess",
        "put into Secret hub",
    ),
    (
        view(merged(SPEC, {"model": {"uri": "pvc://m/vosk"}}), pods=(failed("NoAccess"),)),
        "False",
        "False",
        "True",
        "ModelNoAccess",
        "let the pods' user read what spec.model.uri names",
    ),
    (view(pods=(failed("NotFound"),)), "False", "False", "True", "ModelNotFound", "spec.model.uri"),
    (
        view(pods=(failed(""),)),
        "False",
        "False",
        "True",
        "ModelFailed",
        "look at the log of container model of pod a",
    ),
    (
        view(GPU, pods=(NO_GPU,), gpu_resource="nvidia.com/gpu", gpu_nodes=2),
        "False",
        "False",
        "True",
        "InsufficientGPU",
        "0 of 2 nodes with nvidia.com/gpu free",
    ),
    (
        view(GPU, pods=(NO_GPU,), gpu_resource="nvidia.com/gpu"),
        "False",
        "False",
        "True",
        "InsufficientGPU",
        "no node offers nvidia.com/gpu; install its device plugin",
    ),
    (
        view(
            pods=(PoolPodView("a", unschedulable="0/3 nodes are available: 3 Insufficient cpu."),)
        ),
        "False",
        "False",
        "True",
        "Unschedulable",
        "3 Insufficient cpu",
    ),
    (
        view(pods=(PoolPodView("a", problem="ImagePullBackOff"),)),
        "False",
        "False",
        "True",
        "PodNotStarting",
        "a does not start (ImagePullBackOff); its events have the image; correct its name, or "
        "name the Secret of a private registry in spec.imagePullSecrets",
    ),
    (
        view(pods=(PoolPodView("a", problem="CrashLoopBackOff", said="the model does not load"),)),
        "False",
        "False",
        "True",
        "PodNotStarting",
        "(CrashLoopBackOff: the model does not load)",
    ),
    (
        view(GPU, pods=(PoolPodView("a", problem="CrashLoopBackOff", said="a prompt"),)),
        "False",
        "False",
        "True",
        "PodNotStarting",
        "pod a does not start (CrashLoopBackOff); look",
    ),
    (
        view(pods=(PoolPodView("a", loading=Loading.RUNNING),), progress=ProgressView(50, 200)),
        "False",
        "True",
        "False",
        "ModelLoading",
        "25 % of the model are there",
    ),
    (
        view(pods=(PoolPodView("a", loading=Loading.RUNNING),)),
        "False",
        "True",
        "False",
        "ModelLoading",
        "the model is loaded",
    ),
    (view(pods=(STARTING,)), "False", "True", "False", "EngineStarting", "not answered yet"),
]


@pytest.mark.parametrize(
    ("seen", "ready", "progressing", "degraded", "reason", "message"),
    CASES,
    ids=[f"{case[4]} {number}" for number, case in enumerate(CASES)],
)
def test_the_conditions_of_a_managed_pool(
    seen: PoolView, ready: str, progressing: str, degraded: str, reason: str, message: str
) -> None:
    found = {item.type: item for item in pool_status(seen, None, NOW).conditions}
    told = [found[name].status for name in ("Ready", "Progressing", "Degraded")]
    assert told == [ready, progressing, degraded]
    assert found["Ready"].reason == reason
    assert message in found["Ready"].message


STARVED = replace(NO_GPU, name="b")
LEAVING = replace(READY, name="c", ready=False, ending=True, leaving=True)
TWO_GPUS = merged(GPU, {"replicas": 2})
OF_GPUS: dict[str, Any] = {"gpu_resource": "nvidia.com/gpu", "gpu_nodes": 2}

BESIDE: list[tuple[PoolView, str, str, str, str]] = [
    # one answers; what is wrong with another, then Progressing, Degraded, and why
    (
        view(TWO_GPUS, pods=(READY, STARVED), **OF_GPUS),
        "False",
        "True",
        "InsufficientGPU",
        "0 of 2 nodes with nvidia.com/gpu free",
    ),
    (
        view(pods=(READY, PoolPodView("b", unschedulable="0/3 nodes: 3 Insufficient cpu."))),
        "False",
        "True",
        "Unschedulable",
        "3 Insufficient cpu",
    ),
    (
        view(pods=(READY, replace(failed("NotFound"), name="b"))),
        "False",
        "True",
        "ModelNotFound",
        "correct spec.model.uri",
    ),
    (
        view(pods=(READY, PoolPodView("b", problem="CrashLoopBackOff"))),
        "False",
        "True",
        "PodNotStarting",
        "pod b does not start (CrashLoopBackOff)",
    ),
    # a rollout whose new pod does not come up, while all the old ones answer
    (
        view(pods=(READY, READY, PoolPodView("b", problem="ImagePullBackOff"))),
        "False",
        "True",
        "PodNotStarting",
        "ImagePullBackOff",
    ),
    (
        view(WITH_SECRET, pods=(READY,), credentials=SecretView(found=False)),
        "False",
        "True",
        "ModelSecretNotFound",
        "names hub",
    ),
    # nothing is wrong: the other one starts, loads, or waits for the GPU of the one before it
    (view(pods=(READY, STARTING)), "True", "False", "Serving", "1 of 2"),
    (view(pods=(READY, PoolPodView("b"))), "True", "False", "Serving", "1 of 2"),
    (
        view(pods=(READY, PoolPodView("b", loading=Loading.RUNNING))),
        "True",
        "False",
        "Serving",
        "1 of 2",
    ),
    (view(TWO_GPUS, pods=(READY, STARVED, LEAVING), **OF_GPUS), "True", "False", "Serving", "1 of"),
    (
        view(pods=(READY, PoolPodView("b", unschedulable="3 Insufficient cpu."), LEAVING)),
        "True",
        "False",
        "Serving",
        "1 of 2",
    ),
]


@pytest.mark.parametrize(
    ("seen", "progressing", "degraded", "reason", "message"),
    BESIDE,
    ids=[f"{case[3]} {number}" for number, case in enumerate(BESIDE)],
)
def test_a_fault_beside_a_replica_that_answers(
    seen: PoolView, progressing: str, degraded: str, reason: str, message: str
) -> None:
    found = {item.type: item for item in pool_status(seen, None, NOW).conditions}
    assert (found["Ready"].status, found["Ready"].reason) == ("True", "Serving")
    assert found["Ready"].message == f"{seen.managed.ready} of 2 replicas answer"
    assert (found["Progressing"].status, found["Degraded"].status) == (progressing, degraded)
    assert found["Degraded"].reason == found["Progressing"].reason == reason
    assert message in found["Degraded"].message


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (view(image="", pods=(READY,)), "ImageNotSet"),
        (view(apply_error="quota", pods=(READY, STARVED)), "ApplyRefused"),
        (view(ASLEEP, pods=(READY,)), "Asleep"),
    ],
)
def test_what_the_spec_asks_for_now_counts_more_than_what_still_runs(
    seen: PoolView, reason: str
) -> None:
    ready = pool_status(seen, None, NOW).conditions[0]
    assert (ready.status, ready.reason) == ("False", reason)


def test_the_last_replica_waits_for_the_room_of_the_one_before_it() -> None:
    seen = view(GPU, pods=(NO_GPU, LEAVING), **OF_GPUS)
    ready = pool_status(seen, None, NOW).conditions[0]
    assert (ready.status, ready.reason) == ("False", "EngineStarting")


def test_of_several_nodes_that_are_one_server_none_may_be_missing() -> None:
    seen = view(NODES, pods=(READY, STARVED), **OF_GPUS)
    found = pool_status(seen, None, NOW).conditions
    assert [(item.status, item.reason) for item in found[:3]] == [
        ("False", "InsufficientGPU"),
        ("False", "InsufficientGPU"),
        ("True", "InsufficientGPU"),
    ]


@pytest.mark.parametrize(
    ("pod", "status", "reason"),
    [
        (READY, "True", "Cached"),
        (failed("Checksum"), "False", "Checksum"),
        (PoolPodView("a", loading=Loading.RUNNING), "False", "Loading"),
        (PoolPodView("a"), "Unknown", "NotLookedAt"),
    ],
)
def test_whether_the_model_is_there(pod: PoolPodView, status: str, reason: str) -> None:
    cached = pool_status(view(pods=(pod,)), None, NOW).conditions[-1]
    assert (cached.type, cached.status, cached.reason) == ("ModelCached", status, reason)


def test_the_figures_of_a_replica() -> None:
    figures = FiguresView("0.11.0", 120, 0.25)
    found = pool_status(view(pods=(READY,), replicas=1, figures=figures), None, NOW)
    assert (found.engine_version, found.first_token_milliseconds) == ("0.11.0", 120)
    assert found.real_time_factor == 0.25
    assert (found.replicas, found.ready_replicas) == (1, 1)
    assert found.endpoint == "grpc://x.svc:9090"


def test_progress_is_told_while_the_model_is_loaded() -> None:
    running = PoolPodView("a", loading=Loading.RUNNING)
    progress = pool_status(view(pods=(running,), progress=ProgressView(3, 4)), None, NOW)
    assert progress.model_progress is not None
    assert progress.model_progress.percent == 75
    assert (
        pool_status(view(pods=(READY,), progress=ProgressView(3, 4)), None, NOW).model_progress
        is None
    )
    unknown = pool_status(view(pods=(running,), progress=ProgressView(3, 0)), None, NOW)
    assert unknown.model_progress is not None
    assert unknown.model_progress.percent == 0
