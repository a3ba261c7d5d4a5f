"""The text-to-speech stage, sentence by sentence; an interruption ends it in the middle."""

from pipecat.frames.frames import Frame, InterruptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callfleet_agent.pipeline.frames import SayFrame, SentenceFrame
from callfleet_agent.pipeline.voice import Voice


class Speaking(FrameProcessor):
    """Makes sound of what is to be said."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(name="speaking")
        self._voice = voice

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Speaks SayFrames; passes everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, SayFrame):
            await self._say(frame)
            return
        if isinstance(frame, InterruptionFrame):
            self._voice.forget()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Ends what is being rendered."""
        self._voice.forget()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _say(self, frame: SayFrame) -> None:
        say = frame.say
        self._voice.prepare(say.sentences, private=say.private)
        for sentence in say.sentences:
            speech = self._voice.speech(sentence, private=say.private)
            await self.push_frame(
                SentenceFrame(speech=speech, text=sentence, barge_in=say.barge_in)
            )
        if frame.last:
            await self.push_frame(SentenceFrame(speech=None, last=True, barge_in=say.barge_in))
