"""Which rows a SIP proxy should have, what a confirmed row means, and what is refused."""

from dataclasses import replace

import pytest

from callfleet_operator.model import Transport
from callfleet_operator.policies.address import sip_uri
from callfleet_operator.policies.rows import (
    LAST_ROW_HOLD_S,
    Row,
    RowState,
    gate_verdicts,
    guard,
    pods_by_uri,
    presumed,
    wanted_rows,
)
from callfleet_operator.policies.views import PodView, Seen

NOW = 1000.0
UDP = (Transport.UDP, Transport.TCP)
A = PodView("a", "uid-a", "r1", ip="10.0.0.1", containers_ready=True, created=1)
B = PodView("b", "uid-b", "r1", ip="10.0.0.2", containers_ready=True, created=2)
URI_A, URI_B = "sip:10.0.0.1:5060", "sip:10.0.0.2:5060"
ACTIVE, INACTIVE = RowState.ACTIVE, RowState.INACTIVE


@pytest.mark.parametrize(
    ("ip", "transports", "uri"),
    [
        ("10.0.0.1", UDP, "sip:10.0.0.1:5060"),
        ("10.0.0.1", (Transport.TCP,), "sip:10.0.0.1:5060;transport=tcp"),
        ("fd00::1", UDP, "sip:[fd00::1]:5060"),
        ("FD00:0::1", (Transport.TCP,), "sip:[fd00::1]:5060;transport=tcp"),
    ],
)
def test_the_address_of_a_row(ip: str, transports: tuple[Transport, ...], uri: str) -> None:
    assert sip_uri(ip, transports) == uri


def test_what_is_no_address_makes_no_row() -> None:
    with pytest.raises(ValueError, match="not-an-address"):
        sip_uri("not-an-address", UDP)


# what the pod is like, what the proxy last said of its row, and the row that is wanted
ONE_POD = [
    ("ready", A, Seen.ABSENT, ACTIVE),
    ("ready and known", A, Seen.ACTIVE, ACTIVE),
    ("ready again", A, Seen.INACTIVE, ACTIVE),
    ("still starting", replace(A, containers_ready=False), Seen.ABSENT, None),
    ("crashed, as its probes say", replace(A, containers_ready=False), Seen.PROBING, INACTIVE),
    ("not ready, and the only one", replace(A, containers_ready=False), Seen.ACTIVE, ACTIVE),
    ("crashed, proxy unsure", replace(A, containers_ready=False), Seen.UNKNOWN, INACTIVE),
    ("without address", replace(A, ip=None), Seen.ABSENT, None),
    ("ended", replace(A, finished=True), Seen.ACTIVE, None),
    ("asked to leave", replace(A, draining_since=990.0), Seen.PROBING, INACTIVE),
    ("asked to leave, and out", replace(A, draining_since=990.0), Seen.INACTIVE, INACTIVE),
    ("asked to leave, and the only one", replace(A, draining_since=990.0), Seen.ACTIVE, ACTIVE),
    ("barred", replace(A, barred=True), Seen.ACTIVE, INACTIVE),
    (
        "barred, on its way out",
        replace(A, barred=True, draining_since=990.0),
        Seen.ACTIVE,
        INACTIVE,
    ),
    ("on a silent node, row active", replace(A, unreachable=True), Seen.ACTIVE, ACTIVE),
    ("on a silent node, row probed", replace(A, unreachable=True), Seen.PROBING, ACTIVE),
    ("on a silent node, row out", replace(A, unreachable=True), Seen.INACTIVE, INACTIVE),
    ("ending, and the only one", replace(A, terminating_since=NOW - 1), Seen.ACTIVE, ACTIVE),
    (
        "ending, its row not confirmed",
        replace(A, terminating_since=NOW - 1),
        Seen.PROBING,
        INACTIVE,
    ),
    (
        "ending, and about to stop",
        replace(A, terminating_since=NOW - LAST_ROW_HOLD_S),
        Seen.ACTIVE,
        INACTIVE,
    ),
]


@pytest.mark.parametrize(
    ("pod", "seen", "state"), [case[1:] for case in ONE_POD], ids=[case[0] for case in ONE_POD]
)
def test_the_row_of_a_pod(pod: PodView, seen: Seen, state: RowState | None) -> None:
    rows = wanted_rows([pod], {URI_A: seen}, transports=UDP, now=NOW)
    assert [row.state for row in rows] == ([state] if state is not None else [])


LEAVING_A = [
    replace(A, terminating_since=NOW - 1),
    replace(A, draining_since=NOW - 1),
    replace(A, containers_ready=False),
]

# the other pod, what the proxy says of its row, and what becomes of the row of a pod that leaves
REPLACEMENTS = [
    ("confirmed", B, Seen.ACTIVE, INACTIVE),
    ("not confirmed yet", B, Seen.PROBING, ACTIVE),
    ("leaving itself", replace(B, draining_since=999.0), Seen.ACTIVE, ACTIVE),
    ("ending itself", replace(B, terminating_since=999.0), Seen.ACTIVE, ACTIVE),
    ("not ready", replace(B, containers_ready=False), Seen.ACTIVE, ACTIVE),
    ("on a silent node", replace(B, unreachable=True), Seen.ACTIVE, ACTIVE),
    ("barred", replace(B, barred=True), Seen.ACTIVE, ACTIVE),
    ("without address", replace(B, ip=None), Seen.ACTIVE, ACTIVE),
]


@pytest.mark.parametrize("leaving", LEAVING_A, ids=["ending", "draining", "not ready"])
@pytest.mark.parametrize(
    ("other", "seen", "state"),
    [case[1:] for case in REPLACEMENTS],
    ids=[case[0] for case in REPLACEMENTS],
)
def test_the_last_row_stays_until_a_replacement_is_confirmed(
    other: PodView, seen: Seen, state: RowState, leaving: PodView
) -> None:
    confirmed = {URI_A: Seen.ACTIVE, URI_B: seen}
    rows = wanted_rows([leaving, other], confirmed, transports=UDP, now=NOW)
    assert next(row for row in rows if row.pod_uid == A.uid).state is state


def test_the_last_row_of_an_agent_that_is_switched_off_leaves() -> None:
    for leaving in LEAVING_A:
        rows = wanted_rows([leaving], {URI_A: Seen.ACTIVE}, transports=UDP, unwanted=True, now=NOW)
        assert [row.state for row in rows] == [INACTIVE]


def test_an_agent_that_goes_takes_its_rows_out() -> None:
    rows = wanted_rows([A, B], {}, transports=UDP, deleting=True, now=NOW)
    assert [row.state for row in rows] == [INACTIVE, INACTIVE]


def test_an_address_that_was_given_to_another_pod_belongs_to_the_living_one() -> None:
    old = replace(A, terminating_since=NOW - 1, created=9)
    new = replace(A, name="n", uid="uid-n", created=5)
    for pods in ([old, new], [new, old]):
        assert wanted_rows(pods, {}, transports=UDP, now=NOW) == (Row(URI_A, "uid-n", ACTIVE),)


def test_a_pod_that_ended_has_no_address() -> None:
    """It may be younger than who has its address now, and stays listed for long."""
    old = replace(A, finished=True, created=9)
    new = replace(A, name="n", uid="uid-n", created=5)
    for pods in ([old, new], [new, old]):
        assert pods_by_uri(pods, UDP) == {URI_A: "uid-n"}
    assert pods_by_uri([old, B], UDP) == {URI_B: "uid-b"}


def test_who_cannot_ask_the_proxy_believes_the_gates() -> None:
    """An operator that begins while a proxy's remote commands are away takes nobody out of it."""
    leaving = [replace(A, draining_since=990.0, gate=True), replace(B, draining_since=990.0)]
    known = presumed({}, leaving, UDP)
    assert known == {URI_A: Seen.ACTIVE}
    rows = wanted_rows(leaving, known, transports=UDP, now=NOW)
    assert [row.state for row in rows] == [ACTIVE, INACTIVE]

    assert presumed({URI_A: Seen.ABSENT}, leaving, UDP) == {URI_A: Seen.ABSENT}


def test_who_begins_takes_no_pod_for_the_one_that_had_its_address_before() -> None:
    pods = [replace(A, gate=True), B]
    seen = {URI_A: Seen.ACTIVE, URI_B: Seen.ACTIVE}
    assert presumed(seen, pods, UDP, begins=True) == {URI_A: Seen.ACTIVE}
    assert presumed(seen, pods, UDP) == seen


def test_rows_do_not_depend_on_the_order_of_pods() -> None:
    confirmed = {URI_A: Seen.ACTIVE}
    forward = wanted_rows([A, B], confirmed, transports=UDP, now=NOW)
    assert forward == wanted_rows([B, A], confirmed, transports=UDP, now=NOW)


GATES = [
    (ACTIVE, Seen.ACTIVE, True, "RowActive"),
    (ACTIVE, Seen.INACTIVE, False, "RowInactive"),
    (ACTIVE, Seen.ABSENT, False, "RowAbsent"),
    (ACTIVE, Seen.PROBING, None, "RowProbing"),
    (ACTIVE, Seen.UNKNOWN, None, "RowUnknown"),
    (ACTIVE, None, None, "RowUnknown"),
    (INACTIVE, Seen.ACTIVE, None, "RowLeaving"),
    (INACTIVE, Seen.INACTIVE, False, "RowInactive"),
]


@pytest.mark.parametrize(("wanted", "seen", "value", "reason"), GATES)
def test_the_gate_follows_what_is_confirmed_and_never_ignorance(
    wanted: RowState, seen: Seen | None, value: bool | None, reason: str
) -> None:
    observed = {URI_A: seen} if seen is not None else {}
    verdict = gate_verdicts([A], [Row(URI_A, A.uid, wanted)], observed)[A.uid]
    assert (verdict.value, verdict.reason) == (value, reason)


def test_the_gate_of_a_pod_without_row_is_left_alone() -> None:
    assert gate_verdicts([A], [], {URI_A: Seen.ABSENT})[A.uid].value is None


URI_C = "sip:10.0.0.3:5060"
CONFIRMED = {URI_A: Seen.ACTIVE, URI_B: Seen.ACTIVE, URI_C: Seen.ACTIVE}
OWNERS = {URI_A: "uid-a", URI_B: "uid-b", URI_C: "uid-c"}


class TestGuard:
    """Rows are not taken from most of a set because of what was not seen."""

    def test_an_empty_list_of_pods_is_refused(self) -> None:
        verdict = guard(CONFIRMED, OWNERS, [], pods=[])
        assert (verdict.allowed, verdict.reason) == (False, "MassDeactivation")
        assert "3 of 3" in verdict.message

    def test_half_may_be_lost(self) -> None:
        confirmed = {URI_A: Seen.ACTIVE, URI_B: Seen.ACTIVE}
        rows = [Row(URI_A, A.uid, ACTIVE)]
        assert guard(confirmed, OWNERS, rows, pods=[A]).allowed

    def test_a_minority_may_be_lost(self) -> None:
        rows = [Row(URI_A, A.uid, ACTIVE), Row(URI_B, B.uid, ACTIVE)]
        assert guard(CONFIRMED, OWNERS, rows, pods=[A, B]).allowed

    def test_deletions_that_were_seen_explain_a_loss(self) -> None:
        explained = ["uid-a", "uid-b", "uid-c"]
        assert guard(CONFIRMED, OWNERS, [], pods=[], explained=explained).allowed

    def test_pods_that_are_listed_explain_themselves(self) -> None:
        rows = [Row(URI_A, A.uid, INACTIVE), Row(URI_B, B.uid, INACTIVE)]
        assert guard(CONFIRMED, OWNERS, rows, pods=[A, B]).allowed

    def test_the_deletion_of_the_agent_explains_everything(self) -> None:
        assert guard(CONFIRMED, OWNERS, [], pods=[], deleting=True).allowed

    def test_the_only_row_counts_as_most(self) -> None:
        assert not guard({URI_A: Seen.ACTIVE}, {URI_A: "uid-a"}, [], pods=[]).allowed

    def test_rows_that_took_no_calls_are_no_loss(self) -> None:
        assert guard({URI_A: Seen.INACTIVE}, {URI_A: "uid-a"}, [], pods=[]).allowed
