"""The text-to-speech stage, sentence by sentence; an interruption ends it in the middle."""

import logging

from pipecat.frames.frames import Frame, InterruptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callfleet_agent.audio import Pcm8k
from callfleet_agent.dialog import Say
from callfleet_agent.pipeline.frames import SayFrame, SentenceFrame
from callfleet_agent.pipeline.ports import SynthesiserError
from callfleet_agent.pipeline.voice import Voice

_log = logging.getLogger(__name__)


class Speaking(FrameProcessor):
    """Makes sound of what is to be said."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(name="speaking")
        self._voice = voice

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Speaks SayFrames; passes everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, SayFrame):
            await self._say(frame.say)
            return
        if isinstance(frame, InterruptionFrame):
            self._voice.forget()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Ends what is being rendered."""
        self._voice.forget()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _say(self, say: Say) -> None:
        self._voice.prepare(say.sentences, private=say.private)
        for index, sentence in enumerate(say.sentences):
            sound = await self._sound(sentence, private=say.private)
            await self.push_frame(
                SentenceFrame(
                    audio=sound.data,
                    sample_rate=sound.rate,
                    num_channels=1,
                    text=sentence,
                    last=index == len(say.sentences) - 1,
                    barge_in=say.barge_in,
                )
            )

    async def _sound(self, sentence: str, *, private: bool) -> Pcm8k:
        try:
            return await self._voice.speech(sentence, private=private)
        except SynthesiserError as error:
            # The call goes on: the caller hears the other sentences, or is asked again.
            _log.error("a sentence could not be spoken", extra={"reason": str(error)})
            return Pcm8k(b"")
