"""Agents that name a bank of their own where the installation refuses that."""

from typing import Any

import pytest

from callfleet_operator.ports.events import EventType
from callfleet_operator.ports.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    POD_DISRUPTION_BUDGET,
)
from fakes.fleet import NAMESPACE, FakeFleet, settings
from fakes.virtual_time import in_virtual_time

SET = 1000
NUMBER = "+15550100"
ALLOWED: dict[str, Any] = {
    "sessionManager": "callfleet-session-manager.callfleet-system.svc:7443",
    "banking": "callfleet-banking.callfleet-system.svc:7443",
}
REFUSED = ALLOWED | {"ownBanks": "refuse"}
SOON_S = 2.0
OWN, SERVICE = {"url": "http://bank.example"}, None


async def again(fleet: FakeFleet, platform: dict[str, Any], holder: str) -> None:
    """The operator starts again with other settings, as an upgrade of the chart has it."""
    await fleet.stop()
    fleet.settings = settings(platform=platform)
    await fleet.start(holder)


def refused(fleet: FakeFleet) -> bool:
    wanted = ("False", "OwnBankRefused")
    return fleet.condition("Ready") == wanted and fleet.condition("Audited") == wanted


def told(fleet: FakeFleet, reason: str) -> list[tuple[EventType, str]]:
    return [(kind, note) for _, kind, found, note in fleet.events.seen if found == reason]


def only_pod(fleet: FakeFleet) -> str:
    (pod,) = fleet.all_pods()
    return str(pod["metadata"]["uid"])


def replicas(fleet: FakeFleet) -> set[int]:
    return {item["spec"]["replicas"] for item in fleet.kube.all(DEPLOYMENT)}


@in_virtual_time
async def test_it_gets_no_pods_and_is_told_why_and_the_cure() -> None:
    async with FakeFleet(platform=REFUSED).running() as fleet:
        fleet.apply_agent(replicas=3)
        await fleet.until(lambda: refused(fleet), SOON_S)
        await fleet.settle(30)
        assert refused(fleet)
        assert (fleet.all_pods(), replicas(fleet)) == ([], {0})
        assert not fleet.proxy.route(NUMBER)
        assert fleet.status()["replicas"] == 0
        (budget,) = fleet.kube.all(POD_DISRUPTION_BUDGET)
        assert budget["spec"]["minAvailable"] == 0
        ((kind, note),) = told(fleet, "OwnBankRefused")
        assert kind is EventType.WARNING
        for word in ("spec.banking.url", "remove spec.banking", "platform.ownBanks: allow"):
            assert word in note
        assert "http" not in note


@in_virtual_time
async def test_without_the_field_it_starts() -> None:
    async with FakeFleet(platform=REFUSED).running() as fleet:
        fleet.apply_agent()
        await fleet.until(lambda: refused(fleet), SOON_S)
        fleet.change(banking=SERVICE)
        await fleet.until(lambda: bool(fleet.all_pods()), SOON_S)
        await fleet.until(fleet.is_ready)
        assert fleet.condition("Audited") == ("True", "BankingService")


@in_virtual_time
async def test_allowed_again_it_starts_and_is_warned_as_ever() -> None:
    async with FakeFleet(platform=REFUSED).running() as fleet:
        fleet.apply_agent()
        await fleet.until(lambda: refused(fleet), SOON_S)
        await again(fleet, ALLOWED, "b")
        await fleet.until(lambda: bool(fleet.all_pods()), SOON_S)
        await fleet.until(fleet.is_ready)
        await fleet.until(lambda: fleet.condition("Audited") == ("False", "OwnBank"))
        assert len(told(fleet, "OwnBank")) == 1


@in_virtual_time
async def test_calls_that_go_on_when_it_is_refused_end_as_their_callers_wish() -> None:
    async with FakeFleet(platform=ALLOWED).running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        uid = only_pod(fleet)
        fleet.pods.report(uid, calls=1)
        await again(fleet, REFUSED, "b")
        await fleet.until(lambda: not fleet.proxy.route(NUMBER), SOON_S)
        await fleet.until(lambda: refused(fleet), 10)
        await fleet.settle(30)
        assert only_pod(fleet) == uid
        assert fleet.condition("Progressing") == ("True", "Draining")
        assert len(told(fleet, "OwnBankRefused")) == 1

        fleet.pods.report(uid, calls=0)
        await fleet.until(lambda: not fleet.all_pods(), 10)
        assert replicas(fleet) == {0}
        await fleet.until(lambda: fleet.condition("Progressing")[0] == "False", SOON_S)


@in_virtual_time
async def test_a_pod_that_asks_its_own_bank_does_not_come_back_for_want_of_others() -> None:
    async with FakeFleet(platform=ALLOWED).running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        uid = only_pod(fleet)
        fleet.pods.report(uid, calls=1)
        fleet.controllers.start_s = 20
        await again(fleet, REFUSED, "b")
        await fleet.until(lambda: refused(fleet), 10)

        fleet.change(banking=SERVICE)
        await fleet.settle(10)
        assert not fleet.proxy.route(NUMBER)
        await fleet.until(lambda: fleet.condition("Ready")[0] == "True", 30)
        assert len(fleet.proxy.route(NUMBER)) == 1
        assert fleet.condition("Audited") == ("False", "OwnBankLeaving")
        assert not told(fleet, "OwnBankLeaving")

        fleet.pods.report(uid, calls=0)
        await fleet.until(lambda: fleet.condition("Audited") == ("True", "BankingService"), 10)
        assert only_pod(fleet) != uid


@in_virtual_time
async def test_refused_and_cured_at_once_its_former_pods_take_no_calls_meanwhile() -> None:
    async with FakeFleet(platform=ALLOWED).running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        before = fleet.proxy.route(NUMBER)
        fleet.pods.report(only_pod(fleet), calls=1)
        fleet.controllers.start_s = 20
        await fleet.stop()
        fleet.change(banking=SERVICE)
        await again(fleet, REFUSED, "b")
        await fleet.until(lambda: not fleet.proxy.route(NUMBER), SOON_S)
        await fleet.until(fleet.is_ready)
        assert not before & fleet.proxy.route(NUMBER)


@in_virtual_time
async def test_cured_while_it_is_allowed_somebody_answers_all_the_time() -> None:
    async with FakeFleet(platform=ALLOWED).running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        fleet.pods.report(only_pod(fleet), calls=1)
        fleet.controllers.start_s = 5
        fleet.change(banking=SERVICE)
        for _ in range(200):
            await fleet.settle(0.1)
            assert fleet.proxy.route(NUMBER)
        assert fleet.condition("Audited") == ("False", "OwnBankLeaving")


@in_virtual_time
async def test_an_agent_that_asks_for_a_bank_of_its_own_later_leaves_the_proxy_too() -> None:
    async with FakeFleet(platform=REFUSED).running() as fleet:
        fleet.apply_agent(banking={})
        await fleet.until(fleet.is_ready)
        fleet.change(banking=OWN)
        await fleet.until(lambda: refused(fleet) and not fleet.proxy.route(NUMBER), SOON_S)
        await fleet.until(lambda: not fleet.all_pods())
        assert len(told(fleet, "OwnBankRefused")) == 1


@pytest.mark.parametrize("autoscaler", [False, True], ids=["the operator", "an HPA"])
@in_virtual_time
async def test_who_scales_it_keeps_the_number_and_wakes_nothing(autoscaler: bool) -> None:
    async with FakeFleet(platform=REFUSED).running() as fleet:
        if autoscaler:
            fleet.kube.put(
                {
                    "apiVersion": HORIZONTAL_POD_AUTOSCALER.api_version,
                    "kind": "HorizontalPodAutoscaler",
                    "metadata": {"namespace": NAMESPACE, "name": "x"},
                    "spec": {"scaleTargetRef": {"kind": "VoiceAgent", "name": "card-line"}},
                }
            )
        fleet.apply_agent(replicas=4, scaling={"maxReplicas": 8, "scaleDownDelaySeconds": 0})
        await fleet.until(lambda: refused(fleet), SOON_S)
        fleet.scale(6)
        await fleet.settle(30)
        agent = fleet.agent()
        assert agent is not None
        assert agent["spec"]["replicas"] == 6
        assert (fleet.all_pods(), replicas(fleet)) == ([], {0})
        assert refused(fleet)


@in_virtual_time
async def test_where_there_is_no_banking_service_it_is_as_ever() -> None:
    alone = {"sessionManager": REFUSED["sessionManager"], "ownBanks": "refuse"}
    async with FakeFleet(platform=alone).running() as fleet:
        fleet.apply_agent()
        await fleet.until(fleet.is_ready)
        assert fleet.condition("Audited") == ("False", "OwnBank")


@in_virtual_time
async def test_one_that_is_refused_can_be_deleted() -> None:
    async with FakeFleet(platform=REFUSED).running() as fleet:
        fleet.apply_agent()
        await fleet.until(lambda: refused(fleet), SOON_S)
        await fleet.delete_agent()
        await fleet.until(lambda: fleet.agent() is None, 30)
        assert not fleet.kube.all(DEPLOYMENT)
