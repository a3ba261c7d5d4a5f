"""Set ids, numbers and rows: a snapshot and wishes in, writes out."""

from dataclasses import replace
from typing import Any

import pytest

from callfleet_operator.ports.proxy import (
    AgentProblem,
    AgentRows,
    Refusal,
    RefusalReason,
    RowState,
    WantedRow,
)
from callfleet_operator.proxies.diff import StoredRow
from callfleet_operator.proxies.kamailio import Kamailio
from callfleet_operator.proxies.opensips import OpenSips
from callfleet_operator.proxies.plan import Claim, Plan, Rules, Snapshot, make_plan
from callfleet_operator.proxies.rows import Columns, WantedMemory

RULES = Rules(1000, 1002, lambda namespace, number: namespace == "bank" or number != "999")
ONE, TWO = "sip:10.0.0.1:5060", "sip:10.0.0.2:5060"
NEW, LIVE, OUT = 9, 8, 4  # Kamailio's flags


def an_agent(name: str = "card", **more: Any) -> AgentRows:
    return AgentRows(f"uid-{name}", more.pop("namespace", "bank"), name, **more)


def planned(snapshot: Snapshot, *agents: AgentRows, active: tuple[str, ...] = ()) -> Plan:
    return make_plan(snapshot, agents, RULES, Kamailio(), {(1000, uri) for uri in active})


def claimed(
    uid: str, attrs: str | None = "set=1000;alg=rr;media=direct", ours: bool = True
) -> Claim:
    return Claim(uid, "bank/card", ours, attrs)


def stored(flags: int, pod: str = "p1", uri: str = ONE, attrs: str | None = None) -> StoredRow:
    columns = Columns(flags, "", attrs or f"rweight=1;pod={pod}")
    return StoredRow(11, 1000, uri, pod, columns)


# --- set ids ----------------------------------------------------------------------------------


def test_a_new_agent_gets_the_first_free_set_id() -> None:
    snapshot = Snapshot(sets={"uid-old": 1000}, unusable_sets={1001}, freed={})

    plan = planned(snapshot, an_agent("old"), an_agent("new"))

    assert plan.agents["uid-old"].set_id == 1000
    assert plan.agents["uid-new"].set_id == 1002
    assert plan.owners == {1000: "uid-old", 1002: "uid-new"}


def test_a_set_id_that_rests_or_is_freed_now_is_not_given() -> None:
    snapshot = Snapshot(sets={"uid-gone": 1000}, freed={1001: "uid-before"})

    plan = planned(snapshot, an_agent("new"))

    assert plan.gone == ["uid-gone"]
    assert plan.agents["uid-new"].set_id == 1002
    assert plan.owners == {1000: "uid-gone", 1001: "uid-before", 1002: "uid-new"}


def test_without_a_set_id_an_agent_gets_nothing_else() -> None:
    snapshot = Snapshot(unusable_sets={1000, 1001, 1002})

    plan = planned(snapshot, an_agent(numbers=("123",), rows=(WantedRow(ONE, "p1"),)))

    found = plan.agents["uid-card"]
    assert (found.problem, found.accepted) == (AgentProblem.SET_IDS_EXHAUSTED, [])
    assert not plan.rows
    assert not plan.numbers


def test_an_agent_marked_gone_is_freed_like_one_that_is_not_listed() -> None:
    snapshot = Snapshot(sets={"uid-card": 1000}, rows={("uid-card", ONE): stored(LIVE)})

    for agents in ((), (an_agent(gone=True),)):
        plan = planned(snapshot, *agents)
        assert plan.gone == ["uid-card"]
        assert plan.rows.delete == [("uid-card", ONE)]
        assert plan.wanted == {}


# --- numbers ----------------------------------------------------------------------------------


def test_a_new_number_is_written_with_its_set() -> None:
    plan = planned(Snapshot(revision=4), an_agent(numbers=("123",), media="relay"))

    assert plan.numbers.insert == {"123": ("uid-card", "set=1000;alg=rr;media=relay")}
    assert plan.revision == 5


def test_numbers_that_are_as_they_should_be_are_not_written() -> None:
    snapshot = Snapshot(sets={"uid-card": 1000}, numbers={"123": claimed("uid-card")}, revision=4)

    plan = planned(snapshot, an_agent(numbers=("123",)))

    assert not plan.numbers
    assert plan.revision == 4
    assert plan.agents["uid-card"].accepted == ["123"]


@pytest.mark.parametrize(
    ("attrs", "kind"),
    [("set=1000;alg=weighted;media=direct", "update"), (None, "restore")],
)
def test_a_dialplan_row_that_differs_is_mended(attrs: str | None, kind: str) -> None:
    snapshot = Snapshot(sets={"uid-card": 1000}, numbers={"123": claimed("uid-card", attrs)})

    plan = planned(snapshot, an_agent(numbers=("123",)))

    assert getattr(plan.numbers, kind) == {"123": "set=1000;alg=rr;media=direct"}


def test_a_number_that_is_no_longer_wanted_goes_to_the_next_at_once() -> None:
    snapshot = Snapshot(
        sets={"uid-card": 1000, "uid-next": 1001}, numbers={"123": claimed("uid-card")}
    )

    plan = planned(snapshot, an_agent(), an_agent("next", numbers=("123",)))

    assert plan.numbers.delete == ["123"]
    assert plan.numbers.insert == {"123": ("uid-next", "set=1001;alg=rr;media=direct")}


def test_of_two_new_claims_the_first_listed_wins() -> None:
    plan = planned(Snapshot(), an_agent("a", numbers=("123",)), an_agent("b", numbers=("123",)))

    assert plan.agents["uid-a"].accepted == ["123"]
    assert plan.agents["uid-b"].refused == {"123": Refusal(RefusalReason.CLAIMED, "bank/a")}


def test_another_installations_claim_stands_even_under_the_same_uid() -> None:
    snapshot = Snapshot(numbers={"123": claimed("uid-card", ours=False)})

    plan = planned(snapshot, an_agent(numbers=("123",)))

    assert plan.agents["uid-card"].refused == {"123": Refusal(RefusalReason.CLAIMED, "bank/card")}
    assert not plan.numbers


def test_a_foreign_dialplan_row_is_a_claim_without_an_owner() -> None:
    plan = planned(Snapshot(foreign_numbers={"123"}), an_agent(numbers=("123",)))

    assert plan.agents["uid-card"].refused == {"123": Refusal(RefusalReason.CLAIMED)}


def test_a_number_that_the_policy_took_away_is_given_back() -> None:
    snapshot = Snapshot(sets={"uid-card": 1000}, numbers={"999": claimed("uid-card")})

    plan = planned(snapshot, an_agent(namespace="guest", numbers=("999",)))

    assert plan.numbers.delete == ["999"]
    assert plan.agents["uid-card"].refused == {"999": Refusal(RefusalReason.NOT_ALLOWED)}


def test_different_weights_change_how_the_proxy_chooses() -> None:
    rows = (WantedRow(ONE, "p1", weight=90), WantedRow(TWO, "p2", weight=10))

    plan = planned(Snapshot(), an_agent(numbers=("123",), rows=rows))

    assert plan.numbers.insert["123"][1] == "set=1000;alg=weighted;media=direct"
    assert plan.wanted[1000, ONE] == WantedMemory(True, "rweight=90;pod=p1")
    assert plan.wanted[1000, TWO] == WantedMemory(True, "rweight=10;pod=p2")


def test_the_longest_attributes_fit_the_narrowest_column() -> None:
    plan = make_plan(
        Snapshot(),
        [an_agent(numbers=("123",), rows=(WantedRow(ONE, "p"),), media="relay")],
        Rules(2_000_000_000, 2_000_000_000, lambda _n, _p: True),
        Kamailio(),
        (),
    )

    assert len(plan.numbers.insert["123"][1]) <= 64


# --- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "pod", "state", "is_active", "flags"),
    [
        (None, "p1", RowState.ACTIVE, False, NEW),
        (None, "p1", RowState.INACTIVE, False, OUT),
        (stored(NEW), "p1", RowState.ACTIVE, False, None),
        (stored(NEW), "p1", RowState.ACTIVE, True, LIVE),
        (stored(LIVE), "p1", RowState.ACTIVE, True, None),
        (stored(LIVE), "p1", RowState.ACTIVE, False, None),
        (stored(LIVE), "p2", RowState.ACTIVE, True, NEW),
        (stored(LIVE), "p1", RowState.INACTIVE, True, OUT),
        (stored(OUT), "p1", RowState.INACTIVE, False, None),
        (stored(OUT), "p1", RowState.ACTIVE, True, NEW),
        (stored(OUT), "p2", RowState.ACTIVE, False, NEW),
        (stored(0), "p1", RowState.ACTIVE, True, NEW),
    ],
)
def test_what_the_table_says_of_a_row(
    before: StoredRow | None, pod: str, state: RowState, is_active: bool, flags: int | None
) -> None:
    rows = {} if before is None else {("uid-card", ONE): before}
    snapshot = Snapshot(sets={"uid-card": 1000}, rows=rows)

    plan = planned(
        snapshot,
        an_agent(rows=(WantedRow(ONE, pod, state),)),
        active=(ONE,) if is_active else (),
    )

    written = [c.state for _, c in plan.rows.insert] + [c.state for _, c, _ in plan.rows.update]
    assert written == ([] if flags is None else [flags])
    assert plan.wanted[1000, ONE].takes_calls is (state is RowState.ACTIVE)


def test_a_row_that_somebody_deleted_is_made_anew() -> None:
    lost = replace(stored(LIVE), columns=None)
    snapshot = Snapshot(sets={"uid-card": 1000}, rows={("uid-card", ONE): lost})

    plan = planned(snapshot, an_agent(rows=(WantedRow(ONE, "p1"),)))

    assert plan.rows.delete == [("uid-card", ONE)]
    assert [columns.state for _, columns in plan.rows.insert] == [NEW]


def test_a_foreign_row_in_the_way_is_left_and_told() -> None:
    snapshot = Snapshot(sets={"uid-card": 1000}, foreign_rows={(1000, ONE)})

    plan = planned(snapshot, an_agent(rows=(WantedRow(ONE, "p1"), WantedRow(TWO, "p2"))))

    assert plan.agents["uid-card"].problem is AgentProblem.FOREIGN_ROW
    assert [row.uri for row, _ in plan.rows.insert] == [TWO]


def test_a_foreign_row_beside_ours_is_told_and_changes_nothing() -> None:
    beside = (1000, "sip:192.0.2.1:5060")
    snapshot = Snapshot(sets={"uid-card": 1000, "uid-other": 1001}, foreign_rows={beside})

    plan = planned(snapshot, an_agent(rows=(WantedRow(ONE, "p1"),)), an_agent("other"))

    assert plan.agents["uid-card"].problem is AgentProblem.FOREIGN_ROW_BESIDE
    assert plan.agents["uid-other"].problem is None
    assert [row.uri for row, _ in plan.rows.insert] == [ONE]
    assert not plan.rows.delete
    assert plan.foreign == {beside}


@pytest.mark.parametrize("problem", AgentProblem)
def test_only_a_row_beside_ours_leaves_ours_in_the_proxy(problem: AgentProblem) -> None:
    assert problem.keeps_rows_out is (problem is not AgentProblem.FOREIGN_ROW_BESIDE)


def test_a_drain_changes_no_other_row() -> None:
    rows = (WantedRow(ONE, "p1", weight=70), WantedRow(TWO, "p2", weight=30))
    before = planned(Snapshot(), an_agent(rows=rows)).wanted
    drained = (replace(rows[0], state=RowState.INACTIVE), rows[1])

    after = planned(Snapshot(), an_agent(rows=drained)).wanted

    assert {key: row.mark for key, row in after.items()} == {
        key: row.mark for key, row in before.items()
    }


def test_a_weight_of_nought_is_no_share_but_a_drain() -> None:
    rows = (WantedRow(ONE, "p1", weight=0), WantedRow(TWO, "p2", weight=30))

    plan = planned(Snapshot(), an_agent(numbers=("123",), rows=rows))

    assert plan.numbers.insert["123"][1] == "set=1000;alg=rr;media=direct"
    assert [(row.uri, c.state) for row, c in plan.rows.insert] == [(ONE, OUT), (TWO, NEW)]


def test_opensips_has_columns_of_its_own() -> None:
    rows = (WantedRow(ONE, "p1", weight=90), WantedRow(TWO, "p2", weight=10))

    plan = make_plan(Snapshot(), [an_agent(rows=rows)], RULES, OpenSips(), ())

    written = [columns for _, columns in plan.rows.insert]
    assert written == [Columns(2, "9", "pod=p1"), Columns(2, "1", "pod=p2")]
    assert plan.wanted[1000, ONE].mark == "weight=9;pod=p1"
