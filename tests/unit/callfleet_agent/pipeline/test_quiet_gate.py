"""Which windows reach the voice activity model, and that nobody is heard later for it."""

import numpy as np
import pytest

from callfleet_agent.audio import FRAME_MS, FRAME_SAMPLES, Pcm8k
from callfleet_agent.audio.g711 import Law, decode, encode
from callfleet_agent.audio.level import amplitude
from callfleet_agent.pipeline.quiet_gate import LINGER, RECHECK, QuietGate
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.voice_activity import VoiceActivity, VoiceActivityModel

FLOOR = 50.0


def closed(level: int) -> QuietGate:
    """A gate that has heard nobody for a while on a line of this level."""
    gate = QuietGate(FLOOR)
    for _ in range(LINGER):
        assert gate.admits(level)
        gate.judged(0.01, level, awake=False)
    return gate


class TestGate:
    def test_it_closes_when_the_model_has_found_nobody_for_a_while(self) -> None:
        gate = QuietGate(FLOOR)
        for _ in range(LINGER - 1):
            gate.judged(0.01, 10, awake=False)
        assert gate.admits(10)
        gate.judged(0.01, 10, awake=False)
        assert not gate.admits(10)

    def test_somebody_keeps_it_open(self) -> None:
        gate = QuietGate(FLOOR)
        for probability in [0.01] * (LINGER - 1) + [0.2] + [0.01] * (LINGER - 1):
            gate.judged(probability, 10, awake=False)
        assert gate.admits(10)

    def test_a_pause_of_a_speaker_keeps_it_open(self) -> None:
        gate = QuietGate(FLOOR)
        for _ in range(5 * LINGER):
            gate.judged(0.01, 10, awake=True)
        assert gate.admits(10)

    @pytest.mark.parametrize(("level", "admitted"), [(0, False), (50, False), (51, True)])
    def test_on_a_quiet_line_whatever_is_above_the_floor_opens_it(
        self, level: int, admitted: bool
    ) -> None:
        assert closed(10).admits(level) is admitted

    @pytest.mark.parametrize(
        ("level", "admitted"), [(400, False), (300, False), (560, False), (270, True), (580, True)]
    )
    def test_in_noise_what_is_louder_or_quieter_opens_it(self, level: int, admitted: bool) -> None:
        assert closed(400).admits(level) is admitted

    def test_in_noise_it_listens_again_after_a_while(self) -> None:
        gate = closed(400)
        assert not any(gate.admits(400) for _ in range(RECHECK - 1))
        assert gate.admits(400)
        assert gate.admits(400)

    def test_a_quiet_line_needs_no_second_look(self) -> None:
        gate = closed(10)
        assert not any(gate.admits(10) for _ in range(10 * RECHECK))

    def test_it_tells_quiet_from_noise(self) -> None:
        gate = closed(400)
        gate.admits(10)
        assert gate.quiet
        gate.admits(400)
        assert not gate.quiet


class Counted(VoiceActivityModel):
    """The model, with a count of what reaches it."""

    windows = 0

    def run(self, window: object, state: object) -> tuple[float, object]:  # type: ignore[override]
        self.windows += 1
        return super().run(window, state)  # type: ignore[arg-type]


class NeverClosed(QuietGate):
    """As it was without a gate."""

    def admits(self, level: int) -> bool:
        return True


def first_heard_ms(ear: VoiceActivity, sound: Pcm8k) -> list[int]:
    """When speech began: two windows in a row, after half a second of none."""
    found: list[int] = []
    in_row, quiet_ms = 0, 500
    for at in range(0, len(sound), FRAME_SAMPLES):
        for probability in ear.feed(sound.slice(at, at + FRAME_SAMPLES), awake=quiet_ms < 500):
            in_row = in_row + 1 if probability >= 0.6 else 0
            quiet_ms = 0 if probability >= 0.35 else quiet_ms + 32
        if in_row == 2 and (not found or at / FRAME_SAMPLES * FRAME_MS - found[-1] > 1500):
            found.append(at // FRAME_SAMPLES * FRAME_MS)
    return found


async def line(voice: str, text: str, noise_dbfs: float | None) -> Pcm8k:
    """Somebody who speaks twice, with long pauses, through G.711."""
    speech = (
        await EspeakSynthesiser(voice, 150, limit_s=60.0).speech(text, private=True)
    ).samples * 0.3
    pause = np.zeros(24000)
    samples = np.concatenate([pause, speech, pause, speech, pause])
    if noise_dbfs is not None:
        samples = samples + np.random.default_rng(1).normal(0, amplitude(noise_dbfs), len(samples))
    return decode(encode(Pcm8k.from_samples(samples), Law.PCMU), Law.PCMU)


@pytest.mark.parametrize("noise_dbfs", [None, -60.0, -50.0, -40.0])
@pytest.mark.parametrize(
    ("voice", "text"), [("en-us", "where is my credit card"), ("en-gb", "six seven one three")]
)
async def test_nobody_is_heard_later_than_without_a_gate(
    voice: str, text: str, noise_dbfs: float | None
) -> None:
    sound = await line(voice, text, noise_dbfs)
    model = Counted()
    gated, free = VoiceActivity(model), VoiceActivity(VoiceActivityModel())
    free._gate = NeverClosed(0.0)
    heard, wanted = first_heard_ms(gated, sound), first_heard_ms(free, sound)
    assert len(heard) == len(wanted) == 2
    assert all(ours <= theirs + 40 for ours, theirs in zip(heard, wanted, strict=True))
    assert model.windows < 0.75 * len(sound) / 256


async def test_a_quiet_line_costs_nothing() -> None:
    model = Counted()
    ear = VoiceActivity(model)
    noise = np.random.default_rng(1).normal(0, amplitude(-62.0), 8000 * 20)
    ear.feed(Pcm8k.from_samples(noise))
    assert model.windows == LINGER
