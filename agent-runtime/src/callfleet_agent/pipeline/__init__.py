"""The worker: Pipecat pipelines between the link and the engines. It knows nothing of SIP."""

# ruff: noqa: E402, I001
from loguru import logger as _pipecats_logger

# Before Pipecat is imported: its banner goes nowhere (its texts may hold what was said, so `worker`
# decides what becomes of them), and audioop is imported where its deprecation is dealt with.
_pipecats_logger.remove()
import callfleet_agent.audio.level  # noqa: F401

from callfleet_agent.pipeline.ports import CallLink, LinkListener, ListenForCalls
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.worker import worker_main

__all__ = ["CallLink", "LinkListener", "ListenForCalls", "WorkerSettings", "worker_main"]
