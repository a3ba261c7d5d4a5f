"""An agent that callers reach through a real proxy."""

from callfleet_operator.ports.proxy import AgentRows, SeenState
from fakes.sip_pods import FakePod
from proxy_rigs import RealRig, agent, number, until


async def serve(rig: RealRig, pods: int = 1) -> tuple[str, AgentRows, list[FakePod]]:
    """Its number, its rows, and its pods, which are all active."""
    found = [await rig.pod() for _ in range(pods)]
    line = number()
    wanted = agent("card", *found, numbers=[line])
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, *found)
    return line, wanted, found
