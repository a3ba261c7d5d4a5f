"""Records as bytes: what is whole comes back, what is cut or changed does not."""

from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callfleet_agent.journal.entry import Entry, Weight, entries_in, framed

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
entries = st.builds(
    Entry,
    sequence=st.integers(0, 2**64 - 1),
    weight=st.sampled_from(Weight),
    kind=st.integers(0, 255),
    call=st.uuids(),
    id=st.uuids(),
    payload=st.binary(max_size=100),
)


@unhurried
@given(st.lists(entries, max_size=5))
def test_what_is_written_is_read(written: list[Entry]) -> None:
    data = b"".join(map(framed, written))
    assert [entry for entry, _ in entries_in(data)] == written


@unhurried
@given(st.lists(entries, min_size=1, max_size=4), st.data())
def test_what_a_crash_cut_short_costs_the_last_entry_only(
    written: list[Entry], data: st.DataObject
) -> None:
    whole = b"".join(map(framed, written))
    cut = data.draw(st.integers(len(whole) - len(framed(written[-1])), len(whole) - 1))
    assert [entry for entry, _ in entries_in(whole[:cut])] == written[:-1]


@unhurried
@given(entries, st.data())
def test_a_changed_byte_is_noticed(entry: Entry, data: st.DataObject) -> None:
    whole = bytearray(framed(entry))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 0x55
    assert [found for found, _ in entries_in(bytes(whole))] != [entry]


@unhurried
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for _, after in entries_in(data):
        assert after <= len(data)


def test_a_payload_is_not_shown() -> None:
    assert "secret" not in repr(Entry(1, Weight.DETAIL, 0, UUID(int=1), uuid4(), b"secret"))
