"""Pods come and go, and callers do not notice."""

from __future__ import annotations

from callfleet_agent.app.recognise import recognise_status
from callfleet_hack.platform import NAMESPACE, RELEASE
from e2e.fleet import CUSTOMER, Fleet, Object, eventually

GATE = "callfleet.io/in-dispatcher"


def gate_of(pod: Object) -> str:
    conditions = pod["status"].get("conditions", [])
    return next((str(c["status"]) for c in conditions if c["type"] == GATE), "absent")


def ip_of(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def test_scaling_out_adds_pods_that_take_calls(fleet: Fleet) -> None:
    fleet.apply(replicas=1)
    fleet.have_ready(1)

    fleet.scale(3)
    pods = fleet.have_ready(3)

    assert {gate_of(pod) for pod in pods} == {"True"}
    assert len(fleet.rows()) == 3
    calls = fleet.callers(30, rate=10, seconds=2).finished(within_s=60)
    assert len(calls.completed) == 30
    assert all(calls.on(ip_of(pod)) for pod in pods)


def test_scaling_in_drops_no_call(fleet: Fleet) -> None:
    fleet.apply(replicas=2)
    fleet.have_ready(2)
    callers = fleet.callers(20, rate=10, seconds=12)
    eventually(lambda: len(callers.read().answered) == 20, within_s=15, what="20 calls")

    fleet.scale(1)

    calls = callers.finished(within_s=60)
    assert len(calls.completed) == 20
    fleet.have_ready(1)
    # The pod stays for its last transaction, 32 s at most, and its inactive row with it.
    eventually(lambda: len(fleet.rows()) == 1, within_s=60, what="one row")


def test_deleting_a_pod_gracefully_drops_no_call(fleet: Fleet) -> None:
    fleet.apply(replicas=2)
    pods = fleet.have_ready(2)
    # At most 20 of them come to the pod that stays, which is what it may take.
    callers = fleet.callers(24, rate=10, seconds=10)
    eventually(lambda: len(callers.read().answered) >= 10, within_s=15, what="10 calls")

    fleet.platform.kubectl(
        "-n", fleet.namespace, "delete", "pod", pods[0]["metadata"]["name"], "--wait=false"
    )

    calls = callers.finished(within_s=60)
    assert len(calls.completed) == 24
    fleet.have_ready(2)


def test_a_pod_that_dies_during_twenty_calls_hurts_no_other(fleet: Fleet) -> None:
    fleet.apply(replicas=2)
    pods = fleet.have_ready(2)
    # Beside sipp, whose calls are without sound, somebody talks with the pod that stays.
    talk = fleet.talk("--say", "where is my credit card", *CUSTOMER)
    place = talk.answered_by(within_s=30)
    survivor, victim = sorted(pods, key=lambda pod: ip_of(pod) != place)
    assert ip_of(survivor) == place
    callers = fleet.callers(20, rate=10, seconds=12)
    eventually(lambda: len(callers.read().answered) == 20, within_s=15, what="20 calls")
    assert talk.process.poll() is None

    fleet.platform.kubectl(
        "-n", fleet.namespace, "delete", "pod", victim["metadata"]["name"],
        "--grace-period=0", "--force",
    )  # fmt: skip

    calls = callers.finished(within_s=120)
    elsewhere = calls.on(ip_of(survivor))
    assert len(elsewhere) + len(calls.on(ip_of(victim))) == 20
    assert elsewhere
    assert elsewhere <= set(calls.completed)
    assert talk.finished(within_s=120) == 0, talk.text
    assert ", 0 packets lost (0.0 %)" in talk.text
    assert recognise_status(talk.wav) == "shipped"
    fleet.have_ready(2)


def test_an_operator_that_restarts_leaves_calls_and_rows_alone(fleet: Fleet) -> None:
    fleet.apply(replicas=2)
    fleet.have_ready(2)
    rows = fleet.rows()
    callers = fleet.callers(20, rate=5, seconds=8)

    fleet.platform.kubectl(
        "-n", NAMESPACE, "delete", "pod", "-l", "app.kubernetes.io/name=operator",
        "--grace-period=0", "--force",
    )  # fmt: skip

    assert len(callers.finished(within_s=60).completed) == 20
    fleet.platform.kubectl(
        "-n", NAMESPACE, "rollout", "status", f"deploy/{RELEASE}-operator", "--timeout=60s"
    )
    fleet.scale(3)
    fleet.have_ready(3)
    assert rows < fleet.rows()


def test_a_new_revision_rolls_out_without_a_lost_call(fleet: Fleet) -> None:
    fleet.apply(replicas=2)
    fleet.have_ready(2)
    before = fleet.status()["revision"]
    callers = fleet.callers(60, rate=3, seconds=4)

    fleet.apply(replicas=2, dialog={"bankName": "Another Bank"})

    calls = callers.finished(within_s=90)
    assert len(calls.completed) == 60
    eventually(lambda: fleet.status()["revision"] != before, within_s=90, what="a new revision")
    fleet.have_ready(2)


def test_a_deleted_agent_leaves_nothing_behind(fleet: Fleet) -> None:
    fleet.apply(replicas=2)
    fleet.have_ready(2)
    set_id = fleet.status()["sip"]["setId"]
    number = fleet.number.replace("+", "\\+")
    assert fleet.sql(f"SELECT 1 FROM dispatcher WHERE setid={set_id}")

    fleet.delete()

    assert fleet.sql(f"SELECT destination FROM dispatcher WHERE setid={set_id}") == []
    assert fleet.sql(f"SELECT id FROM dialplan WHERE match_exp ~ '{number}'") == []
    fleet.platform.until_gone(
        "-n", fleet.namespace,
        "deploy,rs,pods,svc,pdb,netpol,sa,cm,secret,controllerrevisions",
        "-l", f"callfleet.io/agent={fleet.name}", timeout_s=60,
    )  # fmt: skip
    left = fleet.platform.get("-n", fleet.namespace, "cm,secret,sa")["items"]
    assert {item["metadata"]["name"] for item in left} <= {"default", "kube-root-ca.crt"}
