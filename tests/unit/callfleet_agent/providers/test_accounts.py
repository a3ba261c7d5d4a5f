"""Several processes, one account."""

import fcntl
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from callfleet_agent.chain import Allowance, Budget
from callfleet_agent.providers.accounts import SharedLedger

NOW = 1_800_000_000.0
SPENDER = """
import sys
from pathlib import Path
from callfleet_agent.chain import Allowance, Budget
from callfleet_agent.providers.accounts import SharedLedger
class Counting(SharedLedger):
    missed = 0
    def _locked(self):
        file = super()._locked()
        self.missed += file is None
        return file
ledger = Counting(Path(sys.argv[1]))
budget = Budget(Allowance(requests_per_day=500), ledger)
sys.stdin.readline()
taken = sum(budget.take(1_800_000_000.0, 1.0) for _ in range(400))
missed = ledger.missed
while ledger._owed_requests:  # as its next request would pay
    with ledger.open():
        pass
print(taken, missed)
"""


def budget(path: Path, **limits: int) -> Budget:
    return Budget(Allowance(**limits), SharedLedger(path))


def test_what_one_spends_the_other_has_not(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "tts.cloud"
    one, other = (budget(path, requests_per_minute=3, units_per_day=100) for _ in range(2))
    assert one.take(NOW, 10.0)
    assert other.take(NOW, 10.0)
    assert one.take(NOW, 10.0)
    assert not other.allows(NOW, 1.0)
    assert not other.take(NOW, 1.0)
    assert other.take(NOW + 60, 1.0)
    one.spend(NOW + 60, 69.0)
    assert not other.take(NOW + 60, 1.0)
    assert other.take(NOW + 86_400, 1.0)


def test_it_outlives_its_processes(tmp_path: Path) -> None:
    first = SharedLedger(tmp_path / "tts.cloud")
    assert Budget(Allowance(requests_per_day=1), first).take(NOW, 1.0)
    first.close()
    first.close()
    assert not budget(tmp_path / "tts.cloud", requests_per_day=1).take(NOW, 1.0)


def test_processes_that_spend_at_once_do_not_overdraw(tmp_path: Path) -> None:
    path = tmp_path / "tts.cloud"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[0].split() for process in processes]
    taken, missed = (sum(int(words[place]) for words in told) for place in (0, 1))
    # Whoever finds it locked counts on what it saw last, so that one may be taken twice.
    assert 500 <= taken <= 500 + missed
    assert not budget(path, requests_per_day=500).take(NOW, 1.0)


def test_who_finds_it_locked_does_not_wait_and_pays_later(tmp_path: Path) -> None:
    path = tmp_path / "tts.cloud"
    mine, others = (budget(path, requests_per_day=4, units_per_day=100) for _ in range(2))
    assert mine.take(NOW, 1.0)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert mine.take(NOW, 2.0)
        assert mine.take(NOW, 2.0)
    assert others.take(NOW, 1.0)  # it does not know yet
    assert not mine.take(NOW, 1.0)
    with SharedLedger(path).open() as spent:
        assert (spent.in_minute, spent.in_day, spent.units) == (4, 4, 6.0)


def test_on_a_new_day_only_what_is_on_its_page_is_owed(tmp_path: Path) -> None:
    path = tmp_path / "tts.cloud"
    mine = budget(path, requests_per_day=4)
    for _ in range(3):
        mine.take(NOW, 1.0)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert mine.take(NOW + 86_400, 1.0)
    assert mine.ledger._owed_requests == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", [b"", b"x", b"y" * 44])
def test_what_cannot_be_read_begins_anew(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tts.cloud"
    path.write_bytes(data)
    mine = budget(path, requests_per_day=1)
    assert mine.take(NOW, 1.0)
    assert not mine.take(NOW, 1.0)


def test_without_a_file_each_counts_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    mine = budget(tmp_path / "file" / "tts.cloud", requests_per_day=1)
    with caplog.at_level(logging.ERROR):
        assert mine.take(NOW, 1.0)
        assert not mine.take(NOW, 1.0)
    assert [record.message for record in caplog.records] == ["an account is counted by each worker"]


def test_a_full_disk_is_told(caplog: pytest.LogCaptureFixture) -> None:
    mine = budget(Path("/dev/full"), requests_per_day=2)
    with caplog.at_level(logging.ERROR):
        mine.take(NOW, 1.0)
    assert len(caplog.records) == 1
