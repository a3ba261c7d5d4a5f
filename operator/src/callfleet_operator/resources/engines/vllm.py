"""vLLM: its OpenAI-compatible server, for LLMs and for Whisper models.

docs.vllm.ai: "vllm serve" (arguments), "Using Kubernetes" (/health on 8000, /dev/shm of 2 Gi),
"Production Metrics", "Parallelism and Scaling" (--nnodes, --node-rank, --master-addr, --headless),
"Using Docker" (who is not of group 0 cannot write to the image's home: HOME is a folder of ours).

Read again in November 2026, the release being 0.33.0, with the extras of that package. Whisper
needs the extra `audio` (av, soundfile, scipy, soxr), which is not in vllm/vllm-openai for its
licences: docs/pools.md has the image to make.
"""

from .server import Launch, Metrics, Server, Wire

PORT = 8000
WIRE = Wire("http", PORT, "/v1")
MASTER_PORT = 29501
_CACHE = "/cache"

# The first pod answers requests, the others serve it. $POD_INDEX is the pod's number in its set.
_ONE_OF_SEVERAL = (
    'if [ "$POD_INDEX" = 0 ]; then exec vllm serve "$@" --node-rank 0; '
    'else exec vllm serve "$@" --node-rank "$POD_INDEX" --headless; fi'
)


def server(launch: Launch) -> Server:
    """The model is on a volume, so nothing is asked of a hub; requests are not logged."""
    args = (launch.model, *_arguments(launch), *launch.spec.extra_args)
    command: tuple[str, ...] = ("vllm", "serve")
    if launch.leader:
        command = ("/bin/sh", "-c", _ONE_OF_SEVERAL, "vllm")
    return Server(
        wire=WIRE,
        http_port=PORT,
        health="/health",
        metrics=Metrics("vllm:num_requests_running", "vllm:num_requests_waiting"),
        command=command,
        args=args,
        environment=_environment(),
        folders=(_CACHE,),
        shared_memory=f"{2 * max(1, launch.gpus)}Gi",
        load_s=1800,
        requests={"cpu": "4", "memory": "16Gi"},
    )


def _arguments(launch: Launch) -> list[str]:
    tensor = launch.spec.tensor_parallel_size or max(1, launch.gpus)
    copies = max(1, launch.gpus // tensor)
    named = {
        "--served-model-name": launch.name,
        "--host": "0.0.0.0",  # noqa: S104 - the pod's own
        "--port": str(PORT),
        "--tensor-parallel-size": str(tensor),
    }
    if copies > 1:
        named["--data-parallel-size"] = str(copies)
    if launch.leader:
        named |= {
            "--pipeline-parallel-size": str(launch.spec.nodes),
            "--nnodes": str(launch.spec.nodes),
            "--master-addr": launch.leader,
            "--master-port": str(MASTER_PORT),
            "--distributed-executor-backend": "mp",
        }
    return [part for pair in named.items() for part in pair] + ["--disable-uvicorn-access-log"]


def _environment() -> dict[str, str]:
    """Everything that it writes goes below one folder; an unknown user id needs a name."""
    return {
        "DO_NOT_TRACK": "1",
        "HF_HOME": f"{_CACHE}/huggingface",
        "HF_HUB_OFFLINE": "1",
        "HOME": _CACHE,
        "TORCHINDUCTOR_CACHE_DIR": f"{_CACHE}/inductor",
        "TRITON_CACHE_DIR": f"{_CACHE}/triton",
        "USER": "vllm",
        "VLLM_CACHE_ROOT": f"{_CACHE}/vllm",
        "VLLM_NO_USAGE_STATS": "1",
    }
