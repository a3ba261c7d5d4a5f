"""What the proxy's port refuses, and what it says of a URI that nobody mentions."""

from dataclasses import replace

import pytest

from callfleet_operator.ports.proxy import (
    AgentOutcome,
    AgentRows,
    Observation,
    RowState,
    SeenState,
    StaleEpoch,
    SyncOutcome,
    WantedRow,
)

URI = "sip:10.0.0.1:5060"


@pytest.mark.parametrize(
    "uri",
    [URI, "sip:10.0.0.1:5060;transport=tcp", "sip:[fd00::1]:5060", "sip:[::1]:1;transport=udp"],
)
def test_a_destination_is_an_address_and_a_port(uri: str) -> None:
    assert WantedRow(uri, "p1").uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "10.0.0.1:5060",
        "sip:pod.svc:5060",
        "sip:10.0.0.1",
        "sip:10.0.0.1:0",
        "sip:10.0.0.1:65536",
        "sip:10.0.0.256:5060",
        "sip:10.0.0.1:5060;transport=tls",
        "sip:[fd00::g]:5060",
        "sip:10.0.0.1:5060\n",
        "sips:10.0.0.1:5060",
    ],
)
def test_what_a_proxy_could_choke_on_is_refused(uri: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        WantedRow(uri, "p1")


@pytest.mark.parametrize("weight", [-1, 101, 1.5, True, "1"])
def test_a_weight_is_a_whole_number_up_to_100(weight: object) -> None:
    with pytest.raises(ValueError, match="weight"):
        WantedRow(URI, "p1", weight=weight)  # type: ignore[arg-type]


def test_a_row_needs_a_pod() -> None:
    with pytest.raises(ValueError, match="UID"):
        WantedRow(URI, "")


def test_only_an_active_row_with_a_weight_takes_calls() -> None:
    row = WantedRow(URI, "p1")
    assert row.takes_calls
    assert not replace(row, weight=0).takes_calls
    assert not replace(row, state=RowState.INACTIVE).takes_calls


@pytest.mark.parametrize(
    ("numbers", "rows", "media"),
    [
        (("abc",), (), "direct"),
        (("1",), (), "direct"),
        ((), (WantedRow(URI, "a"), WantedRow(URI, "b")), "direct"),
        ((), (), "both"),
    ],
)
def test_an_agent_that_makes_no_sense_is_refused(
    numbers: tuple[str, ...], rows: tuple[WantedRow, ...], media: str
) -> None:
    with pytest.raises(ValueError, match=r"number|destination|media"):
        AgentRows("uid", "bank", "card", numbers, rows, media=media)


@pytest.mark.parametrize(
    ("instances", "state"),
    [
        ({"a": None, "b": None}, SeenState.ABSENT),
        ({"a": None, "b": "away"}, SeenState.UNKNOWN),
        ({}, SeenState.UNKNOWN),
    ],
)
def test_a_uri_that_nobody_mentions_is_absent_only_when_all_answered(
    instances: dict[str, str | None], state: SeenState
) -> None:
    seen = {"uid": {"sip:other": SeenState.ACTIVE}}

    assert Observation(seen, instances).state_of("uid", URI) is state
    outcome = SyncOutcome({"uid": AgentOutcome("uid", seen=seen["uid"])}, instances, in_sync=True)
    assert outcome.state_of("uid", URI) is state
    assert outcome.state_of("uid", "sip:other") is SeenState.ACTIVE


def test_out_is_confirmed_only() -> None:
    assert {state for state in SeenState if state.out} == {SeenState.INACTIVE, SeenState.ABSENT}


def test_the_owner_is_namespace_and_name() -> None:
    assert AgentRows("uid", "bank", "card").owner == "bank/card"


def test_a_stale_epoch_cannot_be_tried_again() -> None:
    error = StaleEpoch(3, 5)
    assert (error.given, error.newest, error.retry) == (3, 5, False)
