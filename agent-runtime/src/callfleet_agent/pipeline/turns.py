"""The speech-to-text stage: feeds utterances to a transcriber, runs ahead, ends turns; keys too.

Silence is counted in ticks, so its limits follow the line's clock.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from pipecat.frames.frames import Frame, InterruptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callfleet_agent.audio import FRAME_MS, Pcm8k
from callfleet_agent.dialog import Heard, Input, Keyed, Listen, NoInput, NoMatch
from callfleet_agent.link import Tick
from callfleet_agent.pipeline.endpointing import Advice, Endpointing
from callfleet_agent.pipeline.frames import (
    GoodByeFrame,
    KeyFrame,
    ListenFrame,
    PlayedFrame,
    TurnFrame,
    VoiceFrame,
    VoiceStartedFrame,
    VoiceTakenFrame,
)
from callfleet_agent.pipeline.keys import KeyCollector
from callfleet_agent.pipeline.playout import Playout
from callfleet_agent.pipeline.ports import (
    Conversation,
    Recognition,
    Transcriber,
    TranscriberError,
    Utterance,
    Work,
)
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.providers.failures import Told, untold

Foresee = Callable[[Input], None]
MOST_UNHEARD: Final = 2
"""Turns in a row that no provider could recognise, after which the call is ended: once, the caller
is asked to say it again."""
_NOTHING: Final = Recognition(None, 0.0)


class Turns(FrameProcessor):
    """One call's ear for turns: exactly one input for each Listen."""

    def __init__(
        self,
        transcriber: Transcriber,
        conversation: Conversation,
        settings: WorkerSettings,
        playout: Playout,
        foresee: Foresee,
        told: Told = untold,
    ) -> None:
        super().__init__(name="turns", enable_direct_mode=True)
        self.on_activity: Callable[[str], None] = lambda _: None  # listening, hearing, thinking
        self._transcriber = transcriber
        self._conversation = conversation
        self._settings = settings
        self._playout = playout
        self._foresee = foresee
        self._told = told
        self._unheard = False  # nobody could recognise what is being said now
        self._unheard_in_row = 0
        self._channel = conversation.channel
        self._listen: Listen | None = None
        # Keys that came before the first Listen: pressed while another worker lost the call.
        self._early: list[str] | None = []
        self._keys = KeyCollector(1, 1)
        self._silent_ticks: int | None = None
        self._utterance: Utterance | None = None
        self._end = self._endpointing()
        self._seen = _NOTHING
        self._look: asyncio.Task[None] | None = None
        self._looked_s = 0.0
        # What comes after a look is quiet: the engine hears of it only if speech goes on.
        self._held: list[Pcm8k] = []
        self._spoken_ms = 0
        self._quiet_ms = 0
        self._heard_ms = 0
        self._begun_s = 0.0
        self._first_s: float | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Turns speech, keys and silence into inputs for the dialog."""
        await super().process_frame(frame, direction)
        match frame:
            case VoiceStartedFrame():
                self._heard_ms = frame.heard_ms
                await self._voice_started(frame.sound)
            case VoiceFrame():
                await self._voice(frame.sound, frame.quiet_ms)
            case KeyFrame():
                await self._key(frame.digit)
            case ListenFrame():
                self._begin_listening(frame.listen)
                await self._take_early()
            case PlayedFrame():
                self._silent_ticks = 0
            case _:
                await self.push_frame(frame, direction)

    def tick(self, tick: Tick) -> Work | None:  # noqa: ARG002 - the sound comes as frames
        """Counts the silence, and the time since a key."""
        if self._listen is None:
            return None
        if (keys := self._keys.tick()) is not None:
            return self._turn(Keyed(keys))
        if self._silent_ticks is not None and self._utterance is None and not self._keys.started:
            self._silent_ticks += 1
            if self._silent_ticks * FRAME_MS >= self._listen.no_input_s * 1000:
                return self._turn(NoInput())
        return None

    async def cleanup(self) -> None:
        """Lets go of the utterance."""
        self._close_utterance()
        await super().cleanup()  # type: ignore[no-untyped-call]

    def _endpointing(self) -> Endpointing:
        settings = self._settings
        return Endpointing(settings.endpointing, settings.voice_activity.longest_ms)

    def _begin_listening(self, listen: Listen | None) -> None:
        self._close_utterance()
        self._listen = listen
        # Silence counts from the end of what is being said; PlayedFrame starts the count.
        self._silent_ticks = None
        if listen is not None:
            ticks = round(listen.inter_digit_s * 1000 / FRAME_MS)
            self._keys = KeyCollector(listen.digits, ticks)
            self.on_activity("listening")

    async def _voice_started(self, sound: Pcm8k) -> None:
        if self._listen is None or self._keys.started:
            return
        if self._playout.speaking:
            await self._interrupt(self._heard_ms)
        self._close_utterance()
        self._utterance = self._transcriber.begin(self._listen.grammar, self._channel, self._told)
        self._end = Endpointing(
            self._settings.endpointing, self._settings.voice_activity.longest_ms
        )
        self.on_activity("hearing")
        self._spoken_ms = 0
        self._begun_s, self._first_s = time.monotonic(), None
        self._held.clear()
        await self._voice(sound, 0)

    async def _voice(self, sound: Pcm8k, quiet_ms: int) -> None:
        if self._utterance is None:
            return
        milliseconds = round(sound.seconds * 1000)
        if quiet_ms < self._quiet_ms:
            self._drop_look()
        self._spoken_ms += milliseconds
        self._quiet_ms = quiet_ms
        advice = self._end.voice(milliseconds, quiet_ms)
        self._held.append(sound)
        if not self._end.looking:
            for piece in self._held:
                self._utterance.feed(piece)
            self._held.clear()
        await self._follow(advice)

    async def _follow(self, advice: Advice) -> None:
        if advice is Advice.LOOK and self._utterance is not None:
            self._look = self.create_task(self._look_ahead(self._utterance))
        elif advice is Advice.COMMIT:
            await self._commit()

    async def _look_ahead(self, utterance: Utterance) -> None:
        began = time.monotonic()
        try:
            seen = await utterance.recognise()
            self._unheard = False
        except TranscriberError:
            seen = _NOTHING
            self._unheard = True
        now = time.monotonic()
        self._looked_s = now - began
        self._first_s = self._first_s or now - self._begun_s
        if utterance is not self._utterance:
            return
        self._seen = seen
        complete = seen.text is not None and self._conversation.completes(seen.text)
        if seen.text is not None and complete:
            self._foresee(Heard(seen.text, seen.confidence))
        await self._follow(self._end.looked(complete=complete))

    async def _commit(self) -> None:
        seen = self._seen
        self._channel = seen.channel or self._channel
        timing = {
            "vad_ms": float(self._heard_ms),
            "asr_first_ms": round((self._first_s or 0.0) * 1000, 1),
            "speech_ms": float(self._spoken_ms - self._quiet_ms),
            "endpointing_ms": float(self._quiet_ms),
            "recognition_ms": round(self._looked_s * 1000, 1),
        }
        self._unheard_in_row = self._unheard_in_row + 1 if self._unheard else 0
        if self._unheard_in_row >= MOST_UNHEARD:
            self._begin_listening(None)
            await self.push_frame(GoodByeFrame())
            return
        given: Input = NoMatch() if seen.text is None else Heard(seen.text, seen.confidence)
        await self._turn(given, timing)

    async def _take_early(self) -> None:
        if self._listen is not None and self._early is not None:
            early, self._early = self._early, None
            for digit in early:
                await self._key(digit)

    async def _key(self, digit: str) -> None:
        if self._listen is None:
            if self._early is not None:
                self._early.append(digit)
            return
        if self._playout.speaking:
            await self._interrupt()
        self._close_utterance()
        self._silent_ticks = 0
        if (keys := self._keys.press(digit)) is not None:
            await self._turn(Keyed(keys))

    async def _turn(self, given: Input, timing: dict[str, float] | None = None) -> None:
        self.on_activity("thinking")
        self._listen = None
        utterance, self._utterance = self._utterance, None
        if utterance is not None:
            utterance.close()
        self._seen = _NOTHING
        await self.push_frame(VoiceTakenFrame(), FrameDirection.UPSTREAM)
        await self.push_frame(TurnFrame(given, timing or {}, self._channel))

    async def _interrupt(self, heard_ms: int | None = None) -> None:
        self._playout.interrupted()
        interruption = InterruptionFrame()
        interruption.metadata["heard_ms"] = heard_ms
        await self.push_frame(interruption)

    def _drop_look(self) -> None:
        self._seen = _NOTHING
        look, self._look = self._look, None
        if look is not None and not look.done() and look is not asyncio.current_task():
            look.cancel()

    def _close_utterance(self) -> None:
        self._drop_look()
        utterance, self._utterance = self._utterance, None
        if utterance is not None:
            utterance.close()


__all__ = ["Turns"]
