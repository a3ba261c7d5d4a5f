"""llama.cpp: llama-server, its OpenAI-compatible server, on CPU or GPU.

github.com/ggml-org/llama.cpp, tools/server/README.md: arguments; GET /health (503 while the model
loads, 200 after); --metrics (Prometheus); /slots tells of requests that run, so it is off. The
image's entry point is llama-server itself.
"""

from .server import Launch, Metrics, Server, Wire

PORT = 8080
WIRE = Wire("http", PORT, "/v1")
ALL_LAYERS = 999
# As variables, which releases that do not know them ignore, and spec.extraArgs wins over. Slots
# share the model's context, since else each has a part of it. At its end the server notices its
# streams when it pings them, by itself after 30 s.
_ENVIRONMENT = {
    "HOME": "/cache",
    "LLAMA_ARG_KV_UNIFIED": "1",
    "LLAMA_ARG_SSE_PING_INTERVAL": "1",
}
# On CPUs prompts are kept in 1 GiB, not 8. Not beside a GPU: to move a conversation takes longer
# than to evaluate it again, nobody is answered meanwhile, and each request moves all that are idle.
_KEPT_MIB = "LLAMA_ARG_CACHE_RAM"


def server(launch: Launch) -> Server:
    """One slot for each request at once; on a GPU every layer is put there."""
    named = {
        "--model": launch.model,
        "--alias": launch.name,
        "--host": "0.0.0.0",  # noqa: S104 - the pod's own
        "--port": str(PORT),
        "--parallel": str(launch.concurrency),
    }
    if launch.gpus:
        named["--n-gpu-layers"] = str(ALL_LAYERS)
    arguments = [part for pair in named.items() for part in pair]
    return Server(
        wire=WIRE,
        http_port=PORT,
        health="/health",
        metrics=Metrics("llamacpp:requests_processing", "llamacpp:requests_deferred"),
        args=(*arguments, "--metrics", "--no-slots", "--no-webui", *launch.spec.extra_args),
        environment=_ENVIRONMENT | {_KEPT_MIB: "0" if launch.gpus else "1024"},
        folders=("/cache",),
        requests={"cpu": "2", "memory": "4Gi"},
    )
