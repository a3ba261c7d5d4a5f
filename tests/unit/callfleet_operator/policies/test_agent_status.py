"""What people read of a VoiceAgent: the conditions, and the figures beside them."""

from dataclasses import replace

import pytest

from callfleet_operator.model import VoiceAgentStatus
from callfleet_operator.policies.agent_status import agent_status
from callfleet_operator.policies.agent_view import AgentView, DispatcherView, PoolLink
from callfleet_operator.policies.views import PodView, ReportView, Seen

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"
A = PodView(
    "a", "uid-a", "new", ip="10.0.0.1", containers_ready=True, ready=True, gate=True, created=1
)
B = replace(A, name="b", uid="uid-b", ip="10.0.0.2")
URI_A, URI_B = "sip:10.0.0.1:5060", "sip:10.0.0.2:5060"
NUMBERS = ("+15550100", "+15550101")
SYNCED = DispatcherView(synced=True, set_id=1000, accepted=NUMBERS)
GOOD = AgentView(
    generation=7,
    wanted=2,
    revision="new",
    selector="callfleet.io/agent=card-line",
    pods=(A, B),
    reports={
        "uid-a": ReportView("uid-a", calls=3, capacity=20),
        "uid-b": ReportView("uid-b", calls=4, capacity=20),
    },
    confirmed={URI_A: Seen.ACTIVE, URI_B: Seen.ACTIVE},
    dispatcher=SYNCED,
    numbers=NUMBERS,
)
WAITING = replace(A, ready=False, gate=None)
STARTING = replace(WAITING, containers_ready=False, ip=None)
LEAVING = replace(A, ready=False, gate=False, draining_since=1.0)


def told(view: AgentView, name: str) -> tuple[str, str, str]:
    status = agent_status(view, None, NOW)
    condition = next(item for item in status.conditions if item.type == name)
    return condition.status, condition.reason, condition.message


def of(**changes: object) -> AgentView:
    return replace(GOOD, **changes)  # type: ignore[arg-type]


def refused(*numbers: str, **owners: str) -> DispatcherView:
    accepted = tuple(number for number in NUMBERS if number not in numbers)
    reasons = dict.fromkeys(numbers, "NumberClaimed")
    return replace(SYNCED, accepted=accepted, refused=reasons, owners=owners)


ALREADY = PoolLink("asr", "local", capability="asr", ready=True)
MISSING = PoolLink("asr", "nowhere", exists=False, ready=False)
BROKEN = PoolLink("asr", "far", capability="asr", ready=False, message="it does not answer")
FRESH = PoolLink("asr", "fresh", capability="asr", ready=None)
VOICE = PoolLink("tts", "voice", capability="tts", ready=True)
REFUSED = of(own_bank=True, own_bank_refused=True, wanted=0, pods=(LEAVING,))

CASES = [
    # condition, what is the case, status, reason, a part of the message
    ("NumbersAccepted", of(), "True", "Accepted", "2 numbers lead to this agent"),
    ("NumbersAccepted", of(numbers=()), "True", "NoNumbers", "add some to spec.sip.numbers"),
    ("NumbersAccepted", of(proxy_known=False), "False", "ProxyNotFound", "spec.sip.proxy"),
    (
        "NumbersAccepted",
        of(dispatcher=DispatcherView()),
        "Unknown",
        "NumbersPending",
        "2 of 2 numbers wait",
    ),
    (
        "NumbersAccepted",
        of(dispatcher=refused(NUMBERS[1])),
        "False",
        "NumberClaimed",
        "not accepted: spec.sip.numbers[1]; remove",
    ),
    (
        "NumbersAccepted",
        of(dispatcher=replace(refused(*NUMBERS), owners={NUMBERS[0]: "bank/other"})),
        "False",
        "NumberClaimed",
        "spec.sip.numbers[0] belongs to bank/other, spec.sip.numbers[1];",
    ),
    (
        "NumbersAccepted",
        of(
            numbers=tuple(str(number) for number in range(10, 18)),
            dispatcher=refused(*(str(number) for number in range(10, 18))),
        ),
        "False",
        "NumberClaimed",
        "spec.sip.numbers[4], 3 more;",
    ),
    ("DispatcherSynced", of(), "True", "Synced", "has the rows that are wanted"),
    ("DispatcherSynced", of(proxy_known=False), "False", "ProxyNotFound", "spec.sip.proxy"),
    ("DispatcherSynced", of(guard_message="3 of 3"), "False", "MassDeactivation", "3 of 3"),
    ("DispatcherSynced", of(dispatcher=DispatcherView()), "Unknown", "NotSynced", "not asked yet"),
    (
        "DispatcherSynced",
        of(dispatcher=replace(SYNCED, synced=False, reason="DatabaseUnavailable", message="away")),
        "False",
        "DatabaseUnavailable",
        "away; pods that take calls go on taking them",
    ),
    (
        "DispatcherSynced",
        of(dispatcher=replace(SYNCED, synced=False)),
        "False",
        "SyncFailed",
        "could not be written or read",
    ),
    (
        "DispatcherSynced",
        of(confirmed={URI_A: Seen.ACTIVE, URI_B: Seen.PROBING}),
        "False",
        "RowsPending",
        "1 pods wait until the SIP proxy has reached them",
    ),
    ("ProvidersReady", of(), "True", "Embedded", "inside the agent"),
    ("ProvidersReady", of(pools=(ALREADY, VOICE)), "True", "PoolsReady", "2 pools are ready"),
    (
        "ProvidersReady",
        of(pools=(ALREADY, VOICE, MISSING)),
        "False",
        "PoolNotFound",
        "spec.providers.asr[1].pool names nowhere, and there is no such ProviderPool",
    ),
    (
        "ProvidersReady",
        of(pools=(replace(VOICE, stage="llm"),)),
        "False",
        "WrongStage",
        "spec.providers.llm[0].pool names voice, which is for tts; name a pool for llm",
    ),
    (
        "ProvidersReady",
        of(pools=(BROKEN, VOICE)),
        "False",
        "PoolNotReady",
        "no pool for asr is ready; far: it does not answer",
    ),
    ("ProvidersReady", of(pools=(BROKEN, ALREADY)), "True", "Degraded", "works, without far"),
    ("ProvidersReady", of(pools=(FRESH, BROKEN)), "Unknown", "PoolPending", "pools for asr"),
    ("Audited", of(), "True", "BankingService", "every banking operation"),
    ("Audited", of(bank_service=False), "Unknown", "BankNotFound", "has no banking service"),
    ("Audited", of(own_bank=True), "False", "OwnBank", "spec.banking.url names a bank that"),
    ("Audited", of(own_bank=True), "False", "OwnBank", "; remove spec.banking, and the platform's"),
    ("Audited", of(own_bank=True, bank_service=False), "False", "OwnBank", "; switch the platform"),
    ("Audited", REFUSED, "False", "OwnBankRefused", "spec.banking.url names a bank that"),
    ("Audited", REFUSED, "False", "OwnBankRefused", "remove spec.banking, and the platform's"),
    ("Audited", REFUSED, "False", "OwnBankRefused", "(platform.bank of the chart), or have"),
    ("Audited", REFUSED, "False", "OwnBankRefused", "platform.ownBanks: allow"),
    (
        "Audited",
        of(pods=(A, replace(LEAVING, own_bank=True), replace(A, own_bank=True, finished=True))),
        "False",
        "OwnBankLeaving",
        "1 pods of a former revision still ask",
    ),
    ("Progressing", of(), "False", "Complete", "all is as wanted"),
    ("Progressing", REFUSED, "True", "Draining", "1 pods wait"),
    ("Progressing", of(deleting=True), "True", "Deleting", "is being deleted"),
    ("Progressing", of(apply_error="Service: refused"), "False", "ApplyFailed", "refused"),
    ("Progressing", of(proxy_known=False), "False", "ProxyNotFound", "spec.sip.proxy"),
    (
        "Progressing",
        of(pods=(A, replace(B, revision="old"))),
        "True",
        "RollingOut",
        "1 of 2 pods run revision new, 1 an older one",
    ),
    ("Progressing", of(pods=(A,)), "True", "PodsStarting", "1 of 2 pods take calls"),
    (
        "Progressing",
        of(pods=(A, replace(STARTING, problem="ImagePullBackOff"))),
        "True",
        "PodsStarting",
        "1 of 2 pods take calls (ImagePullBackOff)",
    ),
    ("Progressing", of(wanted=1, pods=(B, LEAVING)), "True", "Draining", "1 pods wait"),
    (
        "Progressing",
        of(wanted=1, pods=(B, replace(LEAVING, draining_since=None, terminating_since=1.0))),
        "True",
        "Draining",
        "1 pods wait",
    ),
    ("Ready", of(), "True", "AsWanted", "2 pods take calls"),
    ("Ready", of(deleting=True, pods=(LEAVING,)), "False", "Deleting", "1 pods wait"),
    ("Ready", of(apply_error="Service: refused"), "False", "ApplyFailed", "Service: refused"),
    ("Ready", of(proxy_known=False), "False", "ProxyNotFound", "add the proxy to the settings"),
    ("Ready", of(bank_service=False), "False", "BankNotFound", "has no banking service"),
    ("Ready", of(own_bank=True, bank_service=False), "True", "AsWanted", "2 pods take calls"),
    ("Ready", REFUSED, "False", "OwnBankRefused", "no pod takes calls; remove spec.banking"),
    ("Ready", replace(REFUSED, deleting=True), "False", "Deleting", "1 pods wait"),
    ("Ready", of(bank_secret="make it", pods=()), "False", "BankSecretNotFound", "make it"),
    ("Ready", of(bank_secret="make it"), "True", "AsWanted", "take calls"),
    ("Ready", of(bank_secret="make it", wanted=0, pods=()), "True", "ScaledToZero", "no pods"),
    ("Ready", of(pools=(MISSING,)), "False", "ProvidersNotReady", "create it or remove the name"),
    ("Ready", of(pools=(FRESH,)), "Unknown", "ProvidersNotReady", "were not looked at yet"),
    (
        "Ready",
        of(dispatcher=refused(NUMBERS[0])),
        "False",
        "NumbersNotAccepted",
        "spec.sip.numbers[0]",
    ),
    ("Ready", of(wanted=0, pods=()), "True", "ScaledToZero", "no pods are wanted"),
    ("Ready", of(pods=(WAITING,)), "False", "NoPodReady", "none of 2 pods takes calls"),
    (
        "Ready",
        of(pods=(replace(STARTING, problem="Unschedulable"),)),
        "False",
        "NoPodReady",
        "none of 2 pods takes calls: Unschedulable",
    ),
    (
        "Ready",
        of(pods=(WAITING,), dispatcher=replace(SYNCED, synced=False, message="it is away")),
        "False",
        "NoPodReady",
        "none of 2 pods takes calls: it is away",
    ),
    ("Ready", of(pods=(A, STARTING)), "False", "PodsNotReady", "1 of 2 pods of revision new"),
    (
        "Ready",
        of(pods=(A, replace(B, revision="old"))),
        "False",
        "PodsNotReady",
        "1 of 2 pods of revision new take calls, and 1 older ones",
    ),
    (
        "Ready",
        of(dispatcher=replace(SYNCED, synced=False, message="it is away")),
        "True",
        "AsWanted",
        "2 pods take calls",
    ),
]


@pytest.mark.parametrize(
    ("name", "view", "status", "reason", "message"),
    CASES,
    ids=[f"{case[0]} {case[2]} {case[3]} {number}" for number, case in enumerate(CASES)],
)
def test_a_condition(name: str, view: AgentView, status: str, reason: str, message: str) -> None:
    found = told(view, name)
    assert found[:2] == (status, reason)
    assert message in found[2]


def test_no_number_stands_in_a_message() -> None:
    for _, view, *_ in CASES:
        for condition in agent_status(view, None, NOW).conditions:
            assert "1555" not in condition.message


def test_every_condition_is_told_every_time_for_this_generation() -> None:
    for _, view, *_ in CASES:
        status = agent_status(view, None, NOW)
        assert [condition.type for condition in status.conditions] == [
            "Ready",
            "Progressing",
            "DispatcherSynced",
            "ProvidersReady",
            "NumbersAccepted",
            "Audited",
        ]
        assert {condition.observed_generation for condition in status.conditions} == {7}
        assert status.observed_generation == 7


def test_the_time_of_a_condition_changes_with_its_status_only() -> None:
    first = agent_status(of(pods=(WAITING,)), None, NOW)
    same = agent_status(of(pods=(replace(STARTING, problem="Unschedulable"),)), first, LATER)
    assert same.conditions[0].reason == first.conditions[0].reason
    assert same.conditions[0].message != first.conditions[0].message
    assert same.conditions[0].last_transition_time == NOW
    turned = agent_status(GOOD, same, LATER)
    assert turned.conditions[0].last_transition_time == LATER


def test_a_message_that_is_too_long_is_cut() -> None:
    status = agent_status(of(apply_error="x" * 5000), None, NOW)
    assert len(status.conditions[0].message) == 1024


def test_the_figures() -> None:
    ending = replace(LEAVING, uid="uid-e", draining_since=None, terminating_since=5.0)
    ended = replace(A, uid="uid-f", finished=True)
    reports = {
        **GOOD.reports,
        "uid-l": ReportView("uid-l", calls=2, capacity=20),
        "uid-e": ReportView("uid-e", calls=1, capacity=20, heard=False),
        "uid-f": ReportView("uid-f", calls=9, capacity=20),
    }
    leaving = replace(LEAVING, uid="uid-l")
    status = agent_status(of(pods=(A, B, leaving, ending, ended), reports=reports), None, NOW)
    assert status.model_copy(update={"conditions": ()}) == VoiceAgentStatus.model_validate(
        {
            "observedGeneration": 7,
            "replicas": 3,
            "readyReplicas": 2,
            "drainingReplicas": 2,
            "calls": 10,
            "capacity": 40,
            "revision": "new",
            "selector": "callfleet.io/agent=card-line",
            "sip": {"setId": 1000, "numbers": list(NUMBERS)},
        }
    )


@pytest.mark.parametrize(
    ("pods", "revision"),
    [
        ((), "new"),
        ((A, replace(B, revision="old")), "new"),
        ((replace(A, revision="old"), replace(B, revision="old")), "old"),
        ((A, replace(B, revision="old"), replace(B, uid="c", revision="old")), "old"),
    ],
)
def test_the_revision_is_the_one_that_most_callers_meet(
    pods: tuple[PodView, ...], revision: str
) -> None:
    assert agent_status(of(pods=pods), None, NOW).revision == revision


def test_a_pod_that_never_reported_adds_no_capacity() -> None:
    assert agent_status(of(reports={}), None, NOW).capacity == 0
