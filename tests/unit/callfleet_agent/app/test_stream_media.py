"""The media of a stream: its clock, what goes in and out, and its bounds."""

import asyncio
from collections.abc import AsyncIterator

from callfleet_agent.app.stream_media import MOST_INBOUND, MOST_OUTBOUND, StreamMedia
from callfleet_agent.audio import FrameKind, Pcm8k
from callfleet_agent.rtp import MediaTick
from fakes.virtual_time import in_virtual_time

FRAME = 160


def tone(samples: int, value: int = 1000) -> Pcm8k:
    return Pcm8k(value.to_bytes(2, "little", signed=True) * samples)


async def pieces(*sounds: Pcm8k) -> AsyncIterator[Pcm8k]:
    for sound in sounds:
        yield sound


async def sent(media: StreamMedia) -> list[tuple[Pcm8k, bool]]:
    """What waits for the client."""
    media.close()
    return [one async for one in media.sound()]


@in_virtual_time
async def test_the_clients_sound_goes_in_by_frames_and_noise_where_it_is_late() -> None:
    media = StreamMedia(1)
    hearing = asyncio.create_task(media.hear(pieces(tone(FRAME), tone(FRAME // 2))))
    await asyncio.sleep(0)

    first, second = media.tick(), media.tick()

    assert (first.kind, first.inbound) == (FrameKind.REAL, tone(FRAME))
    assert second.kind is FrameKind.NOISE
    assert len(second.inbound) == FRAME
    assert (first.inbound_position, second.inbound_position) == (0, FRAME)
    await hearing


@in_virtual_time
async def test_a_client_that_sends_faster_than_speech_is_not_read_further() -> None:
    media, read = StreamMedia(1), 0

    async def flood() -> AsyncIterator[Pcm8k]:
        nonlocal read
        while True:
            read += FRAME
            yield tone(FRAME)

    hearing = asyncio.create_task(media.hear(flood()))
    clock = asyncio.create_task(media.run(lambda _: None))
    await asyncio.sleep(1.001)

    assert read <= MOST_INBOUND + 8000 + 3 * FRAME
    media.close()
    await clock
    await hearing
    assert read <= MOST_INBOUND + 8000 + 3 * FRAME


@in_virtual_time
async def test_a_client_that_has_said_all_is_heard_to_its_end() -> None:
    media = StreamMedia(1)
    ticks: list[MediaTick] = []
    clock = asyncio.create_task(media.run(ticks.append))

    await media.hear(pieces(tone(3 * FRAME)))

    assert [one.kind for one in ticks] == [FrameKind.REAL] * 3
    media.close()
    await clock


@in_virtual_time
async def test_the_agents_sound_goes_out_at_the_pace_of_speech_and_nothing_else_does() -> None:
    media = StreamMedia(1)
    media.tick()
    media.push(0, 0, tone(FRAME + 80))
    media.end_of_speech(0, FRAME + 80)

    first, second, third = media.tick(), media.tick(), media.tick()

    assert first.reference == tone(FRAME)
    assert second.reference == tone(80) + Pcm8k.silence(80)
    assert (second.finished, third.finished) == (((0, FRAME + 80),), ())
    assert second.credit_position == second.played_position + 1600
    assert media.has_played(0, FRAME + 80)
    assert await sent(media) == [(tone(FRAME), False), (tone(80), True)]


@in_virtual_time
async def test_an_end_that_is_told_late_is_told_with_silence() -> None:
    media = StreamMedia(1)
    media.push(0, 0, tone(FRAME))
    media.tick()
    speaking = media.speaking
    media.end_of_speech(0, FRAME)
    media.tick()

    assert (speaking, media.speaking) == (True, False)
    assert await sent(media) == [(tone(FRAME), False), (Pcm8k.silence(FRAME), True)]


@in_virtual_time
async def test_an_interruption_takes_back_what_was_not_sent() -> None:
    media = StreamMedia(1, epoch=3)
    media.push(3, 0, tone(3 * FRAME))
    media.tick()

    assert media.interrupt(4) == (3, FRAME)

    assert media.epoch == 4
    assert not media.push(3, 3 * FRAME, tone(FRAME))
    media.push(4, 0, tone(FRAME, 7))
    media.tick()
    assert await sent(media) == [(tone(FRAME, 7), False)]


@in_virtual_time
async def test_a_client_that_does_not_read_costs_two_seconds_and_hears_that_speech_ended() -> None:
    media, at = StreamMedia(1), 0
    for number in range(MOST_OUTBOUND + 10):
        media.push(0, at, tone(FRAME))
        at += FRAME
        if number == 5:
            media.end_of_speech(0, at)
        media.tick()

    waiting = await sent(media)

    assert len(waiting) == MOST_OUTBOUND
    assert media.lost_frames == 10
    assert [ends for _, ends in waiting] == [True] + [False] * (MOST_OUTBOUND - 1)


@in_virtual_time
async def test_what_is_cut_off_is_not_sent() -> None:
    media = StreamMedia(1)
    media.push(0, 0, tone(FRAME))
    media.tick()
    media.close(unsaid=False)
    assert await sent(media) == []


@in_virtual_time
async def test_a_clock_that_was_held_up_leaves_out_what_is_too_late() -> None:
    media = StreamMedia(1)
    ticks = 0
    loop = asyncio.get_running_loop()

    def tick(_: MediaTick) -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 1:
            stall()

    def stall() -> None:
        loop._virtual.now += 5  # type: ignore[attr-defined]

    clock = asyncio.create_task(media.run(tick))
    await asyncio.sleep(5.5)
    assert ticks < 5.5 / 0.02 / 2
    media.close()
    await clock
