"""The journal: bounds, order, and what a crash leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_agent.journal import Journal, JournalError, JournalSettings, Weight

KEY = bytes(range(32))
DETAIL, ESSENTIAL = Weight.DETAIL, Weight.ESSENTIAL
CALL = UUID(int=7)


def journal(folder: Path, **bounds: int) -> Journal:
    return Journal(JournalSettings(folder=folder, key=KEY, **bounds))


def add(to: Journal, data: str, weight: Weight = DETAIL) -> None:
    to.append(weight, 1, CALL, uuid4(), data.encode())


def drained(of: Journal) -> list[str]:
    """Everything that is owed, as it is delivered."""
    found = []
    while (entry := of.head()) is not None:
        found.append(entry.payload.decode())
        of.delivered(entry)
    return found


def test_records_come_out_in_the_order_in_which_they_went_in(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    for number in range(5):
        add(kept, str(number), ESSENTIAL if number % 2 else DETAIL)
    assert drained(kept) == ["0", "1", "2", "3", "4"]
    assert (kept.counts.appended, kept.counts.delivered, kept.bytes_owed) == (5, 5, 0)


def test_the_next_process_delivers_what_the_last_one_owed(tmp_path: Path) -> None:
    former = journal(tmp_path, segment_bytes=300)
    for number in range(9):
        add(former, str(number))
    for _ in range(4):
        entry = former.head()
        assert entry is not None
        former.delivered(entry)
    former.close()

    later = journal(tmp_path, segment_bytes=300)
    add(later, "new")

    assert drained(later) == ["4", "5", "6", "7", "8", "new"]
    later.close()
    assert drained(journal(tmp_path)) == []


def test_sequences_go_on_after_everything_was_delivered(tmp_path: Path) -> None:
    former = journal(tmp_path)
    add(former, "a")
    drained(former)
    former.close()
    later = journal(tmp_path)
    add(later, "b")
    later.close()
    assert drained(journal(tmp_path)) == ["b"]


def test_a_full_journal_gives_up_the_oldest_detail_first_and_counts_it(tmp_path: Path) -> None:
    kept = journal(tmp_path, most_bytes=10_000, segment_bytes=2_000)
    add(kept, "start", ESSENTIAL)
    for number in range(40):
        add(kept, f"{number:>500}")
    add(kept, "end", ESSENTIAL)

    left = [text.strip() for text in drained(kept)]

    assert left[0] == "start"
    assert left[-2:] == ["39", "end"]
    assert left[1:-1] == [str(number) for number in range(40)][-len(left) + 2 :]
    assert kept.counts.details_given_up == 42 - len(left) > 20
    assert kept.counts.essentials_given_up == 0


def test_essentials_are_given_up_when_there_is_nothing_else(tmp_path: Path) -> None:
    kept = journal(tmp_path, most_bytes=3_000)
    for number in range(10):
        add(kept, f"{number:>500}", ESSENTIAL)
    assert kept.counts.essentials_given_up > 0
    assert drained(kept)[-1].strip() == "9"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Weight), st.integers(1, 900)), max_size=80))
def test_memory_and_disk_stay_within_their_bounds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Weight, int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    kept = journal(folder, most_bytes=6_000, segment_bytes=1_500)
    for weight, size in steps:
        add(kept, "x" * size, weight)
        assert kept.bytes_owed <= 6_000
        assert sum(path.stat().st_size for path in folder.glob("*.segment")) <= 12_000 + 2 * 1_500
    owed = len(kept)
    kept.close()
    again = journal(folder, most_bytes=60_000)
    assert len(again) >= owed  # what was given up may come again, what was owed must
    again.close()


def test_essentials_of_old_files_are_gathered_so_that_the_files_can_go(tmp_path: Path) -> None:
    kept = journal(tmp_path, most_bytes=5_000, segment_bytes=1_000)
    essentials = [f"essential {number}" for number in range(20)]
    for text in essentials:
        add(kept, text, ESSENTIAL)
        for _ in range(3):
            add(kept, "x" * 300)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.segment"))
    kept.close()

    found = [text for text in drained(journal(tmp_path)) if text.startswith("essential")]

    assert size <= 11_000  # each file of 1,000 bytes has an essential of its own: 20 of them
    assert found == essentials
    assert kept.counts.essentials_given_up == 0


def test_a_record_that_is_too_large_is_given_up(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    add(kept, "x" * (1 << 20))
    assert (len(kept), kept.counts.details_given_up) == (0, 1)


def test_what_is_written_is_sealed(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    add(kept, "MARKED-SPEECH")
    kept.close()
    assert all(b"MARKED" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_record_of_another_key_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    former = Journal(JournalSettings(folder=tmp_path, key=bytes(32)))
    add(former, "old")
    former.close()
    later = journal(tmp_path)
    add(later, "new")
    assert drained(later) == ["new"]
    assert later.counts.refused == 1


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError):
        journal(tmp_path / "file")


def test_a_disk_that_fails_costs_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = journal(tmp_path / "journal")
    (tmp_path / "journal" / "delivered").unlink()
    (tmp_path / "journal").rmdir()  # the next segment has nowhere to go
    add(kept, "kept in memory")
    assert kept.counts.disk_failures == 1
    assert drained(kept) == ["kept in memory"]


CRASHING = """
import os, sys, signal
from pathlib import Path
from uuid import UUID, uuid4
from callfleet_agent.journal import Journal, JournalSettings, Weight
journal = Journal(JournalSettings(folder=Path(sys.argv[1]), key=bytes(range(32))))
for number in range(1000):
    journal.append(Weight.DETAIL, 1, UUID(int=7), uuid4(), str(number).encode())
    if number >= 200:
        print(number, flush=True)
"""


def test_kill_9_costs_nothing_that_was_appended(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CRASHING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        seen = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)

    found = drained(journal(tmp_path))

    assert len(found) > seen >= 200
    assert found == [str(number) for number in range(len(found))]
