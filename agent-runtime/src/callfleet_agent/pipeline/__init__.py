"""The worker: Pipecat pipelines between the link and the engines. It knows nothing of SIP.

`worker_main` and `WorkerSettings` are imported when they are asked for: the decoder processes live
in this package too, and need nothing of Pipecat (0.1 GB and a second each).
"""

from typing import TYPE_CHECKING, Any

from loguru import logger as _pipecats_logger

import callfleet_agent.audio.level  # noqa: F401

# Before Pipecat is imported: its banner goes nowhere (its texts may hold what was said, so `worker`
# decides what becomes of them), and audioop has been imported where its deprecation is dealt with.
_pipecats_logger.remove()

if TYPE_CHECKING:
    from callfleet_agent.pipeline.ports import CallLink, LinkListener, ListenForCalls
    from callfleet_agent.pipeline.settings import WorkerSettings
    from callfleet_agent.pipeline.worker import worker_main

__all__ = ["CallLink", "LinkListener", "ListenForCalls", "WorkerSettings", "worker_main"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from callfleet_agent.pipeline import ports, settings, worker

    homes = {"WorkerSettings": settings, "worker_main": worker}
    return getattr(homes.get(name, ports), name)
