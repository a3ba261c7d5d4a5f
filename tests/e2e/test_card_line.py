"""From `kubectl apply` to what the caller hears."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from callfleet_agent.app.recognise import recognise_status
from callfleet_hack import platform as cluster
from callfleet_hack.platform import Platform
from e2e.fleet import CUSTOMER, Fleet, eventually

QUESTION = ("--say", "where is my credit card")


@pytest.mark.spoken
def test_an_applied_agent_answers_and_says_where_the_card_is(fleet: Fleet) -> None:
    fleet.apply()
    fleet.ready()

    report = fleet.call(*QUESTION, *CUSTOMER, "--dtmf", "2", "--wait-for-bye")

    assert recognise_status(report["wav"]) == "shipped"
    assert report["outcome"] == "ok"
    assert report["ended_by"] == "agent"
    assert report["packets_lost"] == 0
    assert report["answer_p95_ms"] is not None


@pytest.fixture
def bank_says_lost(platform: Platform, proxy: str) -> Iterator[None]:
    cluster.installed(platform, "demoBank.status=lost")
    yield
    cluster.installed(platform)


@pytest.mark.spoken
def test_another_status_is_heard_as_another(fleet: Fleet, bank_says_lost: None) -> None:
    fleet.apply()
    fleet.ready()

    report = fleet.call(*QUESTION, *CUSTOMER)

    assert recognise_status(report["wav"]) == "lost"


@pytest.mark.spoken
def test_a_caller_who_interrupts_is_listened_to(fleet: Fleet) -> None:
    fleet.apply()
    fleet.ready()

    number, card = CUSTOMER[:2], CUSTOMER[2:]
    report = fleet.call("--barge-in", "1.0", *QUESTION, *number, "--barge-in", "0.5", *card)

    asked, identified, proven = report["turns"]
    assert asked["interrupted_ms"] is not None
    assert asked["interrupted_ms"] < 1_500  # the welcome stopped under the caller's words
    assert identified["interrupted_ms"] is None
    # The question for the proof stops under its keys, and who it is for is still known.
    assert proven["interrupted_ms"] is not None
    assert proven["interrupted_ms"] < 600
    assert "customer number" in " ".join(asked["heard"])
    assert "customer number" not in " ".join([*identified["heard"], *proven["heard"]])
    assert "your card was shipped" in " ".join(proven["heard"])
    assert report["outcome"] == "ok"
    assert recognise_status(report["wav"]) == "shipped"


def test_sipp_is_answered_too(fleet: Fleet) -> None:
    fleet.apply(replicas=2)
    fleet.have_ready(2)

    calls = fleet.callers(20, rate=10, seconds=3).finished(within_s=60)

    assert calls.status == 0
    assert len(calls.completed) == 20
    assert len(set(calls.answered.values())) == 2  # both pods took calls


def test_kubectl_tells_the_truth(fleet: Fleet) -> None:
    fleet.apply()
    fleet.ready()
    line = fleet.platform.kubectl("-n", fleet.namespace, "get", "voiceagent", fleet.name)
    header, row = line.splitlines()
    assert header.split() == ["NAME", "READY", "CALLS", "CAPACITY", "REVISION", "AGE"]
    name, ready, calls, capacity, revision, _age = row.split()
    assert (name, ready, calls, capacity) == (fleet.name, "True", "0", "20")
    assert revision == fleet.status()["revision"]

    fleet.platform.kubectl(
        "-n", fleet.namespace, "delete", "pod", "--all", "--grace-period=0", "--force"
    )

    eventually(
        lambda: fleet.condition("Ready").get("status") == "False",
        within_s=2,
        what="Ready=False after the only pod is gone",
    )
    fleet.ready()


def test_a_number_that_is_taken_is_refused(fleet: Fleet, platform: Platform) -> None:
    fleet.apply()
    fleet.ready()
    second = Fleet(
        platform, fleet.proxy, fleet.namespace, fleet.scratch, "second-line", fleet.number
    )
    second.apply()

    refused = eventually(
        lambda: (
            second.condition("NumbersAccepted").get("status") == "False"
            and second.condition("NumbersAccepted")
        ),
        within_s=60,
        what="NumbersAccepted=False",
    )

    assert f"{fleet.namespace}/{fleet.name}" in str(refused)
    second.delete()
