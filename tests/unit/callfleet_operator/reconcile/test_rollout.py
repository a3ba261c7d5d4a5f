"""No caller notices a rollout or a scale-in: schedules made by hand, and drawn by chance."""

import asyncio
import os
from typing import Any

import pytest

from callfleet_operator.ports.kinds import DEPLOYMENT, POD
from callfleet_operator.ports.kube import Ref
from callfleet_operator.ports.pods import PodState
from fakes.fleet import NAMESPACE, FakeFleet
from fakes.living_fleet import Delays, LivingFleet
from fakes.virtual_time import in_virtual_time

SET = 1000
# `CALLFLEET_SCHEDULES=2000 pytest …` draws more of them than each run of the tests has time for.
SCHEDULES = int(os.environ.get("CALLFLEET_SCHEDULES", "6"))
DELAYS = (
    Delays(),
    Delays(watch_s=1.0, intent_s=3.0, report_s=2.0, proxy_s=1.5, invite_s=2.0),
    Delays(watch_s=0.05, intent_s=0.05, report_s=3.0, proxy_s=0.1, invite_s=0.05),
    Delays(watch_s=2.0, intent_s=0.1, report_s=0.1, proxy_s=0.1, invite_s=1.0),
    Delays(watch_s=0.1, intent_s=5.0, report_s=0.1, proxy_s=3.0, invite_s=0.1),
)


async def ready(fleet: FakeFleet, replicas: int = 1, **spec: Any) -> None:
    fleet.apply_agent(replicas=replicas, **spec)
    await fleet.until(lambda: fleet.is_ready() and len(fleet.proxy.active(SET)) == replicas)
    await fleet.settle()


def names(fleet: FakeFleet) -> list[str]:
    return [pod["metadata"]["name"] for pod in fleet.all_pods()]


def uri(fleet: FakeFleet, name: str) -> str:
    pod = fleet.kube.peek(POD, NAMESPACE, name)
    assert pod is not None
    return f"sip:{pod['status']['podIP']}:5060"


# --- schedules made by hand -----------------------------------------------------------------------


@in_virtual_time
async def test_figures_that_change_before_a_choice_is_written_take_no_second_pod_out() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        first, second = names(fleet)
        fleet.pods.report(fleet.pod_uid(first), calls=1)
        fleet.pods.report(fleet.pod_uid(second), calls=5)
        # The annotation that says who leaves is long under way; rounds of the proxy go on.
        fleet.kube.before = lambda verb, ref: (
            2.0 if (verb, ref) == ("PATCH", Ref(POD, NAMESPACE, first)) else None
        )
        fleet.scale(1)
        await fleet.settle(0.5)
        fleet.pods.report(fleet.pod_uid(second), calls=0)
        fewest = 2
        for _ in range(100):
            fleet.core.rounds.add("default")
            await fleet.settle(0.05)
            fewest = min(fewest, len(fleet.proxy.active(SET)))
        assert fewest == 1
        fleet.pods.report(fleet.pod_uid(first), calls=0)
        await fleet.until(lambda: names(fleet) == [second], 20)


@in_virtual_time
async def test_the_pod_that_should_stay_is_evicted_as_the_other_one_is_released() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        leaving, staying = names(fleet)
        fleet.pods.report(fleet.pod_uid(staying), calls=1)

        def evict(verb: str, ref: Ref) -> None:
            if (verb, ref.kind) == ("APPLY", DEPLOYMENT):
                fleet.controllers.delete(NAMESPACE, staying)

        fleet.kube.after = evict
        fleet.scale(1)
        # Its Deployment counts one pod, and one is wanted: the drained one must serve again.
        await fleet.until(lambda: fleet.controllers.deleted == [staying])
        fleet.kube.after = None
        await fleet.until(lambda: fleet.proxy.active(SET) == {uri(fleet, leaving)}, 10)
        await fleet.until(fleet.is_ready, 10)


@pytest.mark.parametrize("strategy", ["rolling", "blue-green"])
@in_virtual_time
async def test_new_pods_that_the_proxy_does_not_reach_replace_nobody(strategy: str) -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2, rollout={"strategy": strategy})
        old = set(names(fleet))
        fleet.change(dialog={"bankName": "Another Bank"})
        await fleet.until(lambda: len(names(fleet)) > 2, 10)
        for name in set(names(fleet)) - old:
            fleet.proxy.kill(uri(fleet, name))
        await fleet.settle(120)
        assert fleet.proxy.active(SET) == {uri(fleet, name) for name in old}
        assert fleet.condition("Ready")[0] == "False"


@in_virtual_time
async def test_old_pods_that_drain_come_back_when_the_new_ones_are_lost() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        old = names(fleet)
        for name in old:
            fleet.pods.report(fleet.pod_uid(name), calls=1)
        fleet.change(dialog={"bankName": "Another Bank"})
        await fleet.until(lambda: fleet.status().get("drainingReplicas") == 2, 60)
        new = set(names(fleet)) - set(old)
        for name in new:
            fleet.proxy.kill(uri(fleet, name))
        fleet.core.rounds.add("default")  # or the next sweep
        await fleet.until(lambda: fleet.proxy.active(SET) == {uri(fleet, name) for name in old}, 10)
        for name in new:
            fleet.proxy.revive(uri(fleet, name))
        await fleet.until(lambda: fleet.proxy.active(SET) == {uri(fleet, name) for name in new}, 60)


@in_virtual_time
async def test_a_machine_too_slow_for_its_readiness_probes_takes_no_agent_off_the_air() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        both = set(names(fleet))
        fleet.controllers.stuck |= both
        await fleet.until(lambda: not fleet.ready_pods())
        await fleet.settle(30)
        assert len(fleet.proxy.active(SET)) == 2
        fleet.controllers.stuck.clear()
        await fleet.until(fleet.is_ready)


@in_virtual_time
async def test_a_deployment_falls_only_when_its_released_pod_is_seen_not_to_be_ready() -> None:
    async with FakeFleet().running() as fleet:
        await ready(fleet, replicas=2)
        leaving, staying = names(fleet)
        fleet.pods.report(fleet.pod_uid(staying), calls=1)
        fleet.controllers.late.add(leaving)  # its kubelet has not looked at the gate yet
        fleet.scale(1)
        await fleet.settle(10)
        assert fleet.kube.all(DEPLOYMENT)[0]["spec"]["replicas"] == 2
        fleet.controllers.late.clear()
        await fleet.until(lambda: names(fleet) == [staying], 20)


# --- schedules drawn by chance --------------------------------------------------------------------


async def events(fleet: LivingFleet) -> None:
    """What people and Kubernetes do to the fleet, at moments drawn by chance."""
    rng = fleet.rng
    for _ in range(rng.randint(1, 4)):
        await asyncio.sleep(rng.uniform(0.5, 20))
        match rng.choice(["roll", "roll", "scale", "strike", "back", "restart"]):
            case "roll":
                fleet.change(dialog={"bankName": f"Bank {rng.randint(1, 5)}"})
            case "scale":
                fleet.scale(rng.randint(1, 4))
            case "back":
                fleet.change(dialog={"bankName": "Bank 0"})
            case "restart":
                fleet.crash()
                await fleet.start(f"operator-{rng.random()}")
            case _ if len(fleet.ready_pods()) > 1:
                fleet.strike(rng.choice(fleet.ready_pods()))


@pytest.mark.parametrize("seed", range(SCHEDULES))
@in_virtual_time
async def test_no_schedule_loses_a_call(seed: int) -> None:
    """Always a row, no call refused, none on a pod that goes; and the new revision in the end."""
    fleet = LivingFleet(seed, DELAYS[seed % len(DELAYS)])
    strategy = fleet.rng.choice(["rolling", "blue-green"])
    rollout = {"strategy": strategy, "drainTimeoutSeconds": 60}
    async with fleet.alive():
        fleet.apply_agent(replicas=fleet.rng.randint(1, 3), rollout=rollout)
        await fleet.until(fleet.is_ready)
        callers = asyncio.create_task(fleet.callers(rate=3, length_s=4))
        await events(fleet)
        await asyncio.sleep(40)
        callers.cancel()
        await asyncio.wait([callers])
        assert fleet.trouble == []
        assert fleet.answered > 100
        await fleet.until(fleet.is_ready, 120)
        revision = fleet.status()["revision"]
        await fleet.until(lambda: fleet.revisions() == {revision}, 120)
        await fleet.until(lambda: fleet.states() == {PodState.SERVING}, 120)
