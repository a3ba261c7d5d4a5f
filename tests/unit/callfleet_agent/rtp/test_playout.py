"""What is said to the caller, and how much of it was."""

from __future__ import annotations

import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.rtp.playout import CREDIT_SAMPLES, PlayoutQueue


def speech(samples: int, value: int = 1) -> Pcm8k:
    return Pcm8k(bytes((value, 0)) * samples)


def test_sound_comes_out_in_frames_across_pieces() -> None:
    queue = PlayoutQueue()
    queue.push(0, 0, speech(100, 1))
    queue.push(0, 100, speech(300, 2))
    assert queue.take() == speech(100, 1).data + speech(60, 2).data
    assert queue.take() == speech(160, 2).data
    assert queue.take() == speech(80, 2).data
    assert queue.take() == b""
    assert queue.played == 400


def test_credit_follows_what_was_played() -> None:
    queue = PlayoutQueue()
    assert queue.credit_position == CREDIT_SAMPLES
    queue.push(0, 0, speech(160))
    queue.take()
    queue.take()
    assert queue.credit_position == CREDIT_SAMPLES + 160


@pytest.mark.parametrize(("epoch", "position"), [(1, 0), (0, 5)])
def test_what_does_not_continue_is_refused(epoch: int, position: int) -> None:
    with pytest.raises(ValueError, match=r"has not begun|does not continue"):
        PlayoutQueue().push(epoch, position, speech(1))


def test_an_interruption_flushes_and_tells_what_was_played() -> None:
    queue = PlayoutQueue()
    queue.push(0, 0, speech(1600))
    queue.end_of_speech(0, 1600)
    queue.take()
    assert queue.interrupt(2) == (0, 160)
    assert queue.take() == b""
    assert queue.finished() == ()
    assert queue.push(0, 1600, speech(5)) is False
    queue.end_of_speech(0, 1600)
    assert queue.push(2, 0, speech(160, 3)) is True
    assert queue.take() == speech(160, 3).data
    assert (queue.epoch, queue.played) == (2, 160)


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_interruption_must_raise_the_epoch(epoch: int) -> None:
    queue = PlayoutQueue(epoch=1)
    with pytest.raises(ValueError, match="raise"):
        queue.interrupt(epoch)


def test_ends_of_speech_are_told_once_when_they_are_reached() -> None:
    queue = PlayoutQueue()
    queue.push(0, 0, speech(400))
    for mark in (0, 160, 400):
        queue.end_of_speech(0, mark)
    assert queue.finished() == ((0, 0),)
    queue.take()
    assert queue.finished() == ((0, 160),)
    queue.take()
    assert queue.finished() == ()
    queue.take()
    assert queue.finished() == ((0, 400),)
    assert queue.underruns == 0


def test_what_has_been_played() -> None:
    queue = PlayoutQueue()
    queue.push(0, 0, speech(160))
    assert not queue.has_played(0, 160)
    queue.take()
    assert queue.has_played(0, 160)
    assert not queue.has_played(0, 161)
    queue.interrupt(1)
    assert queue.has_played(0, 999)
    assert not queue.has_played(2, 0)


def test_running_dry_in_an_utterance_is_an_underrun_once() -> None:
    queue = PlayoutQueue()
    queue.take()
    assert queue.underruns == 0
    queue.push(0, 0, speech(200))
    for _ in range(5):
        queue.take()
    assert queue.underruns == 1
    queue.push(0, 200, speech(320))
    queue.end_of_speech(0, 520)
    for _ in range(5):
        queue.take()
        queue.finished()
    assert queue.underruns == 1


def test_an_end_that_comes_late_is_still_an_end() -> None:
    queue = PlayoutQueue()
    queue.push(0, 0, speech(160))
    queue.take()
    queue.end_of_speech(0, 160)
    assert queue.finished() == ((0, 160),)
    queue.take()
    assert queue.underruns == 0
