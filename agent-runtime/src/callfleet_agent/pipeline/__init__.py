"""The worker: Pipecat pipelines between the link and the engines. It knows nothing of SIP."""

from callfleet_agent.pipeline.ports import CallLink, LinkListener, ListenForCalls
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.worker import worker_main

__all__ = ["CallLink", "LinkListener", "ListenForCalls", "WorkerSettings", "worker_main"]
