"""From ticks to speech: voice activity inline, and a guard against our own echo."""

from collections import deque
from typing import Final

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callfleet_agent.audio import FRAME_MS, Pcm8k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.link import Tick
from callfleet_agent.pipeline.echo import EchoGuard
from callfleet_agent.pipeline.frames import VoiceFrame, VoiceStartedFrame, VoiceTakenFrame
from callfleet_agent.pipeline.playout import Playout
from callfleet_agent.pipeline.ports import Work
from callfleet_agent.pipeline.settings import VoiceActivitySettings
from callfleet_agent.pipeline.voice_activity import (
    WINDOW_MS,
    VoiceActivity,
    VoiceActivityModel,
)

_MOST_QUIET_MS: Final = 3000
_BELOW_FLOOR_DB: Final = 6.0  # a tick that is loud enough may have quieter windows


class Hearing(FrameProcessor):
    """Tells when the caller begins to speak, and how long they have been quiet."""

    def __init__(
        self, model: VoiceActivityModel, settings: VoiceActivitySettings, playout: Playout
    ) -> None:
        super().__init__(name="hearing", enable_direct_mode=True)
        self._settings = settings
        self._playout = playout
        self._activity = VoiceActivity(model, settings.floor_dbfs - _BELOW_FLOOR_DB)
        self._echo = EchoGuard()
        self._before: deque[Pcm8k] = deque(maxlen=settings.longest_lead_ms // FRAME_MS)
        self._speech_ms = 0
        self._quiet_ms = 0
        self._in_speech = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Forgets a turn that was taken; passes everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, VoiceTakenFrame):
            self._forget()
        else:
            await self.push_frame(frame, direction)

    def tick(self, tick: Tick) -> Work | None:
        """Listens to 20 ms of the line."""
        self._echo.feed(tick.inbound, tick.reference)
        for probability in self._activity.feed(tick.inbound, awake=self._in_speech):
            self._judge(probability, tick.inbound)
        if self._in_speech:
            return self._goes_on(tick.inbound)
        self._before.append(tick.inbound)
        return self._started() if self._begins() else None

    async def _goes_on(self, sound: Pcm8k) -> None:
        await self.push_frame(VoiceFrame(sound, self._quiet_ms))
        if self._quiet_ms >= _MOST_QUIET_MS:
            self._forget()

    async def _started(self) -> None:
        self._in_speech = True
        frames = (self._speech_ms + self._settings.lead_ms) // FRAME_MS
        sound = sum(list(self._before)[-frames:], Pcm8k(b""))
        self._before.clear()
        await self.push_frame(VoiceStartedFrame(sound, self._speech_ms))

    def _judge(self, probability: float, sound: Pcm8k) -> None:
        settings = self._settings
        loud = self._in_speech or dbfs(sound) > settings.floor_dbfs
        if probability >= settings.confidence and loud:
            self._speech_ms += WINDOW_MS
            self._quiet_ms = 0
        elif probability < settings.quiet_confidence:
            self._quiet_ms += WINDOW_MS
            if not self._in_speech:
                self._speech_ms = max(0, self._speech_ms - WINDOW_MS)

    def _begins(self) -> bool:
        if not self._playout.speaking:
            return self._speech_ms >= self._settings.start_ms
        if not self._playout.barge_in or self._speech_ms < self._settings.barge_in_ms:
            return False
        if self._echo.is_echo():
            self._speech_ms = 0
            return False
        return True

    def _forget(self) -> None:
        self._in_speech = False
        self._speech_ms = self._quiet_ms = 0
        self._before.clear()
