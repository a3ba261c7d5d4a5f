from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.proxies.weights import SLOTS, equal, reduced, slots

weights = st.dictionaries(
    st.text("abcdef0123456789", min_size=1, max_size=4), st.integers(0, 100), max_size=150
)


def test_rows_that_take_calls_decide_whether_weights_are_equal() -> None:
    assert equal({})
    assert equal({"a": 7, "b": 7, "c": 0})
    assert not equal({"a": 7, "b": 8})


def test_slots_follow_the_weights() -> None:
    assert slots({"stable": 90, "canary": 10}) == {"stable": 90, "canary": 10}
    assert slots({"a": 2, "b": 1, "c": 1}) == {"a": 50, "b": 25, "c": 25}
    assert slots({"a": 5, "b": 0}) == {"a": 100, "b": 0}
    assert slots({"a": 0}) == {"a": 0}


def test_the_lightest_row_still_has_a_slot() -> None:
    assert slots({"light": 1, **{f"heavy{i}": 100 for i in range(50)}})["light"] == 1


def test_with_more_rows_than_slots_a_kind_keeps_its_share() -> None:
    rows = {**{f"s{i:03}": 9 for i in range(180)}, **{f"c{i:03}": 4 for i in range(20)}}

    dealt = slots(rows)

    share = 20 * 4 * SLOTS / sum(rows.values())
    assert abs(sum(n for uri, n in dealt.items() if uri.startswith("c")) - share) <= 1


@given(weights)
def test_all_slots_are_dealt_and_only_to_rows_that_take_calls(rows: dict[str, int]) -> None:
    dealt = slots(rows)

    assert dealt.keys() == rows.keys()
    assert sum(dealt.values()) == (SLOTS if any(rows.values()) else 0)
    assert all(n == 0 for uri, n in dealt.items() if rows[uri] == 0)
    if len(rows) <= SLOTS:
        assert all(n > 0 for uri, n in dealt.items() if rows[uri] > 0)


def test_reduced_weights_are_small_and_in_proportion() -> None:
    assert reduced({"a": 90, "b": 10}) == {"a": 9, "b": 1}
    assert reduced({"a": 0, "b": 0}) == {"a": 0, "b": 0}
    assert reduced({}) == {}


def test_reduced_weights_fit_a_sum_of_16_bits() -> None:
    rows = {**{f"p{i}": 100 for i in range(990)}, **{f"q{i}": 1 for i in range(10)}, "off": 0}

    small = reduced(rows)

    assert sum(small.values()) <= 65_535
    assert small["off"] == 0
    assert min(n for uri, n in small.items() if uri != "off") >= 1
    assert 60 <= small["p0"] <= 66
