"""Pipecat's transport for the link: ticks in, sound out with credit and epochs. The pace is the
connector's: ticks come on its clock, and credit limits how far ahead sound is sent."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from pipecat.frames.frames import EndWorkerFrame, Frame, InterruptionFrame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callfleet_agent.dialog import Interrupted as WasInterrupted
from callfleet_agent.link import Dtmf, Hangup, Interrupted, LinkError, Tick
from callfleet_agent.pipeline.frames import (
    GoodByeFrame,
    HangUpFrame,
    KeyFrame,
    PlayedFrame,
    SentenceFrame,
    TurnFrame,
)
from callfleet_agent.pipeline.playout import Playout
from callfleet_agent.pipeline.ports import CallLink, Ear, SynthesiserError
from callfleet_agent.pipeline.recordings import apology
from callfleet_agent.providers import Speech

_log = logging.getLogger(__name__)


class LinkInput(FrameProcessor):
    """Reads the link from the start of the pipeline to the call's end, then ends the pipeline.

    `ended` has the reason of the connector's Hangup, or the LinkError when it was lost.
    """

    def __init__(self, link: CallLink, playout: Playout, ears: Sequence[Ear]) -> None:
        super().__init__(name="link-input", enable_direct_mode=True)
        self._link = link
        self._playout = playout
        self._ears = ears
        self._reader: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Passes everything on; the StartFrame begins the reading."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._reader = self.create_task(self._read())

    async def cleanup(self) -> None:
        """Ends the reading."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
        self.ended.cancel()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _read(self) -> None:
        self._link.accept()
        try:
            async for message in self._link:
                match message:
                    case Tick():
                        await self._tick(message)
                    case Dtmf():
                        await self.push_frame(KeyFrame(message.digit))
                    case Interrupted():
                        heard = self._playout.heard(message.epoch, message.position)
                        await self.push_frame(TurnFrame(WasInterrupted(heard)))
                    case Hangup():
                        self._end(message.reason)
        except LinkError as error:
            if not self.ended.done():
                self.ended.set_exception(error)
        except Exception as error:
            await self.push_error("an ear failed", exception=error)
        finally:
            self._end("lost")
            # An EndFrame of ours would pass by whoever runs the pipeline, and it would never end.
            await self.push_frame(EndWorkerFrame())

    async def _tick(self, tick: Tick) -> None:
        if self._playout.finished(tick.played_epoch, tick.played_position):
            await self.push_frame(PlayedFrame())
        for ear in self._ears:
            if (work := ear.tick(tick)) is not None:
                await work

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


class LinkOutput(FrameProcessor):
    """Sends sentences as the credit allows; an interruption raises the epoch at once."""

    def __init__(self, link: CallLink, playout: Playout) -> None:
        super().__init__(name="link-output")
        self._parting = False
        self._link = link
        self._playout = playout

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Speaks, interrupts and hangs up; passes everything else on."""
        await super().process_frame(frame, direction)
        with contextlib.suppress(LinkError):  # the input reads the same error and ends the call
            if self._parting:
                pass  # nothing more is said
            elif isinstance(frame, SentenceFrame):
                try:
                    await self._speak(frame)
                except SynthesiserError as error:
                    _log.error("nobody speaks", extra={"reason": str(error)})
                    await self._good_bye()
            elif isinstance(frame, GoodByeFrame):
                await self._good_bye()
            elif isinstance(frame, HangUpFrame):
                self._link.hangup(frame.outcome.value.replace("_", "-"))
            elif isinstance(frame, InterruptionFrame):
                self._playout.interrupted()
                self._link.interrupt()
                self._link.event("barge-in", heard_ms=frame.metadata.get("heard_ms"))
        await self.push_frame(frame, direction)

    async def _speak(self, frame: SentenceFrame) -> None:
        if frame.speech is not None:
            await self._sentence(frame, frame.speech)
        if frame.last:
            self._playout.complete(*self._link.end_of_speech())

    async def _sentence(self, frame: SentenceFrame, speech: Speech) -> None:
        link, playout, begun, since = self._link, self._playout, False, 0
        async for piece in speech.pieces():
            if begun and not piece.anew:
                playout.more(len(piece.sound))
            else:
                if begun:
                    playout.broke_off(frame.text[since : piece.since])
                begun, since = True, piece.since
                playout.add(
                    frame.text[piece.since :],
                    epoch=link.epoch,
                    start=link.sent_position,
                    samples=len(piece.sound),
                    barge_in=frame.barge_in,
                    whole=False,
                )
            if not await link.speak(piece.sound):
                return
        playout.whole()

    async def _good_bye(self) -> None:
        """What was recorded needs no provider."""
        self._parting = True
        sound = apology()
        self._playout.add(
            "", epoch=self._link.epoch, start=self._link.sent_position, samples=len(sound),
            barge_in=False,
        )  # fmt: skip
        self._link.event("providers_failed")
        if await self._link.speak(sound):
            self._playout.complete(*self._link.end_of_speech())
        self._link.hangup("providers-away")
