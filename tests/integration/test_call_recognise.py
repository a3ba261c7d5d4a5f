"""The phone hears what an agent says: every status apart from the others, and no decoy as one."""

import asyncio
import random
import wave
from pathlib import Path

import numpy as np
import pytest

from callfleet_agent.app.phone.fillers import answers_in
from callfleet_agent.app.phone.measure import SpeechArrivals
from callfleet_agent.app.phone.recording import Recording
from callfleet_agent.app.phone.voice import speak
from callfleet_agent.app.recognise import Recogniser, recognise_status
from callfleet_agent.app.sentences import STATUSES, status_in
from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k, Pcm16k
from callfleet_agent.audio.g711 import Law, decode, encode
from callfleet_agent.audio.level import last_above
from callfleet_agent.audio.noise import NoiseFloor
from callfleet_agent.audio.resample import resample
from callfleet_agent.dialog import prompts
from callfleet_agent.dialog.inputs import CardFound, Delivery

AGENTS_VOICE, WORDS_PER_MINUTE = "en-us", 165
DECOYS = (
    "Your card was lovely.",
    "Your card was destroyed.",
    "Your card was very nice.",
    "Your card was shattered.",
    "Your account is blocked.",
    "The parcel was delivered to a neighbour.",
    "The delivery was late.",
    "I want to pay a bill.",
    "Sorry, I did not understand that.",
    "I heard two zero zero, four one seven.",
)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser("Example Bank")


async def line(text: str) -> Pcm8k:
    """A sentence in the agent's voice, as it comes over a line."""
    spoken = await speak(text, AGENTS_VOICE, WORDS_PER_MINUTE)
    padded = Pcm8k.silence(1600) + spoken + Pcm8k.silence(2400)
    floor = NoiseFloor(random.Random(1)).frame(len(padded))
    noisy = Pcm8k.from_samples(padded.samples.astype(np.int32) + floor.samples)
    return decode(encode(noisy, Law.PCMU), Law.PCMU)


async def heard(recogniser: Recogniser, text: str) -> str:
    sound = resample(await line(text), Pcm16k)
    return await asyncio.to_thread(recogniser.recognise, sound)


def onsets_in(sound: Pcm8k) -> list[float]:
    """When speech begins in it, as the phone has it of what arrives."""
    arrivals = SpeechArrivals()
    for start in range(0, len(sound) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        arrivals.receive(sound.slice(start, start + FRAME_SAMPLES), start / sound.rate)
    return arrivals.onsets


def test_there_is_a_sentence_for_every_status() -> None:
    assert set(STATUSES) == {delivery.value for delivery in Delivery}


@pytest.mark.parametrize("delivery", list(Delivery))
async def test_a_status_is_told_apart_from_all_others(
    recogniser: Recogniser, delivery: Delivery
) -> None:
    bare = prompts.delivery(CardFound(delivery=delivery))
    full = prompts.delivery(
        CardFound(delivery, date="2026-11-20", expected="2026-11-25", carrier="Royal Mail")
    )
    for text in (bare, full):
        assert status_in(await heard(recogniser, text)) == delivery.value


@pytest.mark.parametrize("decoy", DECOYS)
async def test_a_decoy_is_no_status(recogniser: Recogniser, decoy: str) -> None:
    assert status_in(await heard(recogniser, decoy)) is None


async def test_digits_are_heard_as_digits(recogniser: Recogniser) -> None:
    """How many and which is not always right: nothing may depend on that."""
    text = await heard(recogniser, "I heard two zero zero, four one seven. Is that right?")
    assert text.startswith("i heard two zero")
    assert text.endswith("is that right")


async def test_the_status_is_found_in_the_agents_side_of_a_recording(tmp_path: Path) -> None:
    agent = await line("Your card was returned to us, because it could not be delivered.")
    caller = await line("Your card was lost.")
    recording = Recording()
    for start in range(0, len(agent) - FRAME_SAMPLES, FRAME_SAMPLES):
        frame = caller.slice(start, start + FRAME_SAMPLES)
        sent = frame + Pcm8k.silence(FRAME_SAMPLES - len(frame))
        recording.add(sent, agent.slice(start, start + FRAME_SAMPLES))
    recording.write(tmp_path / "call.wav")
    assert await asyncio.to_thread(recognise_status, tmp_path / "call.wav") == "returned"


def test_a_recording_at_another_rate_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "other.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\0\0" * 100)
    with pytest.raises(wave.Error):
        recognise_status(tmp_path / "other.wav")


@pytest.mark.parametrize("pause_s", [0.1, 0.2, 0.3, 0.4])
async def test_the_answer_after_a_filler_begins_where_it_does(
    recogniser: Recogniser, pause_s: float
) -> None:
    filler = await line(prompts.ONE_MOMENT)
    answer = await line(prompts.delivery(CardFound(delivery=Delivery.OUT_FOR_DELIVERY)))
    end, begin = last_above(filler), FRAME_SAMPLES * 10
    assert end is not None
    filler = filler.slice(0, -(-end // FRAME_SAMPLES) * FRAME_SAMPLES)
    pause = Pcm8k.silence(int(pause_s * Pcm8k.rate))
    both = filler + pause + answer.slice(begin, len(answer))

    found = await asyncio.to_thread(recogniser.hear, resample(both, Pcm16k))

    assert found.text.startswith("one moment please ")
    assert len(found.ends_s) == len(found.text.split())
    assert list(found.ends_s) == sorted(found.ends_s)
    true = filler.seconds + pause.seconds + onsets_in(answer.slice(begin, len(answer)))[0]
    assert answers_in(found, onsets_in(both), 0.0)[0] == pytest.approx(true, abs=0.021)
