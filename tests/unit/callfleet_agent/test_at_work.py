"""What a process has done is seen, and whoever does something is waited for."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from callfleet_agent.at_work import LEAST, Pace, at_work, work_of
from fakes.virtual_time import in_virtual_time

PACE = Pace(look_s=10, most_s=60)
STAT = "{pid} (a (b) c) S 1 {group} {group} 0 -1 4194304 100 0 {major} 0 {user} 3 0 0 20 0 1 0\n"


def process(folder: Path, pid: int, group: int, *, major: int = 0, user: int = 0) -> None:
    (folder / str(pid)).mkdir(parents=True)
    told = STAT.format(pid=pid, group=group, major=major, user=user)
    (folder / str(pid) / "stat").write_text(told)


class TestWork:
    def test_it_is_that_of_a_group(self, tmp_path: Path) -> None:
        (tmp_path / "self").mkdir()
        process(tmp_path, 10, 10, user=20)
        process(tmp_path, 11, 10, major=4)
        process(tmp_path, 12, 12, user=1000)
        (tmp_path / "13").mkdir()  # it has just ended
        process(tmp_path, 14, 10)
        (tmp_path / "14" / "stat").write_text("nonsense")
        assert work_of(10, tmp_path) == 20 + 3 + 4 + 3
        assert work_of(11, tmp_path) == 4 + 3
        assert work_of(99, tmp_path) == 0

    def test_without_proc_nothing_is_seen(self, tmp_path: Path) -> None:
        assert work_of(10, tmp_path) is None

    @pytest.mark.skipif(sys.platform != "linux", reason="proc(5) is Linux's")
    def test_who_computes_works_and_who_sleeps_does_not(self) -> None:
        code = "print(1, flush=True)\nimport time\n{}"
        busy, idle = (
            subprocess.Popen(
                [sys.executable, "-c", code.format(does)],
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            for does in ("while True: pass", "time.sleep(600)")
        )
        try:
            for each in (busy, idle):
                assert each.stdout is not None
                each.stdout.readline()
            time.sleep(0.2)
            before = [work_of(each.pid) or 0 for each in (busy, idle)]
            until = time.monotonic() + 60
            while (work_of(busy.pid) or 0) - before[0] < LEAST:
                assert time.monotonic() < until
                time.sleep(0.1)
            assert (work_of(idle.pid) or 0) - before[1] < LEAST
            assert work_of(os.getpid()) is not None
        finally:
            for each in (busy, idle):
                each.kill()
                each.communicate()


class Working:
    """Does `step` in each look, and is done after so many seconds."""

    def __init__(self, step: int | None, after_s: float) -> None:
        self._step = step
        self._after_s = after_s
        self._looks = 0
        self.slow: list[float] = []
        self.was_given_up = False

    def work(self) -> int | None:
        self._looks += 1
        return None if self._step is None else self._looks * self._step

    async def done(self) -> str:
        try:
            await asyncio.sleep(self._after_s)
        except asyncio.CancelledError:
            self.was_given_up = True
            raise
        return "done"

    async def waited(self) -> str:
        return await at_work(self.done(), self.work, PACE, self.slow.append)


@pytest.mark.parametrize("step", [None, 0, LEAST])
@in_virtual_time
async def test_who_is_quick_is_not_looked_at(step: int | None) -> None:
    working = Working(step, 9)
    assert await working.waited() == "done"
    assert working.slow == []


@in_virtual_time
async def test_who_works_may_take_long() -> None:
    working = Working(LEAST, 45)
    assert await working.waited() == "done"
    assert working.slow == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("step", "ends"), [(None, 10), (LEAST - 1, 10), (LEAST, 60)], ids=["unseen", "idle", "endless"]
)
@in_virtual_time
async def test_who_does_nothing_or_comes_to_no_end_is_given_up(step: int | None, ends: int) -> None:
    working, loop = Working(step, 10_000), asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        await working.waited()
    assert loop.time() == pytest.approx(ends)
    assert working.was_given_up


@in_virtual_time
async def test_who_does_not_want_it_any_more_ends_the_waiting() -> None:
    working = Working(LEAST, 45)
    waiting = asyncio.create_task(working.waited())
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert working.was_given_up


@in_virtual_time
async def test_what_goes_wrong_is_told() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await at_work(broken(), lambda: None, PACE, lambda _: None)
