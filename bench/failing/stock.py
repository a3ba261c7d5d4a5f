"""The same turns in Pipecat: its own OpenAI services behind its ServiceSwitcher."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from bench.failing.house import Servers
from bench.failing.kinds import HEARD, SAID, SENTENCE, SPEECH_S, UTTERANCE_S
from bench.failing.line import Line
from bench.failing.ours import FRAME_S, Answer
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.workers.runner import WorkerRunner

from callfleet_agent.providers.resuming import USUAL_PACE_S
from callfleet_agent.providers.sentences import SentenceReader
from callfleet_operator.model.engines import Stage

HEARS_AT: Final = 16000
SERVICES: Final[dict[Stage, Any]] = {
    Stage.TTS: OpenAITTSService,
    Stage.LLM: OpenAILLMService,
    Stage.ASR: OpenAISTTService,
}


class Ear(FrameProcessor):
    """The end of the pipeline."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(0.0)
        self.whole = asyncio.Event()
        self._said: list[str] = []
        self._reader = SentenceReader()

    def begin(self) -> None:
        """From here on silence counts."""
        self.line = Line(asyncio.get_running_loop().time())

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                self._play(len(frame.audio) / 2 / frame.sample_rate)
                if self.line.heard_s > SPEECH_S - 0.05:
                    self.whole.set()
            case LLMTextFrame():
                self._say(self._reader.feed(frame.text))
            case LLMFullResponseEndFrame():
                self._say(self._reader.flush())
            case TranscriptionFrame() if frame.text == HEARD:
                self._play(0.0)
                self.whole.set()
        await self.push_frame(frame, direction)

    def _play(self, seconds: float) -> None:
        self.line.play(seconds, asyncio.get_running_loop().time())

    def _say(self, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            self._said.append(sentence)
            self._play(len(sentence) * USUAL_PACE_S)
        if tuple(self._said) == SAID:
            self.whole.set()


def stock(lost_s: float) -> Answer:
    """A pipeline for each answer, started before it counts. What is not whole after so long is
    lost."""

    async def answer(servers: Servers) -> float | None:
        ear = Ear()
        worker = _worker(servers, ear)
        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False, check_dangling_tasks=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        try:
            await asyncio.sleep(0.1)  # it starts
            await _ask(servers.stage, worker, ear)
            async with asyncio.timeout(lost_s):
                await ear.whole.wait()
        except TimeoutError:
            return None
        else:
            return ear.line.silence_s
        finally:
            await worker.queue_frame(EndFrame())
            await worker.cancel()
            await asyncio.wait({running}, timeout=1)
            running.cancel()

    return answer


def _worker(servers: Servers, ear: Ear) -> PipelineWorker:
    service = SERVICES[servers.stage]
    services = [service(api_key="none", base_url=base) for base in (servers.first, servers.second)]
    switcher: Any = ServiceSwitcher(services, ServiceSwitcherStrategyFailover)
    return PipelineWorker(
        Pipeline([switcher, ear]),
        params=PipelineParams(audio_in_sample_rate=HEARS_AT, audio_out_sample_rate=24000),
        enable_rtvi=False,
        enable_turn_tracking=False,
        cancel_on_idle_timeout=False,
        idle_timeout_secs=None,
        check_dangling_tasks=False,
    )


async def _ask(stage: Stage, worker: PipelineWorker, ear: Ear) -> None:
    match stage:
        case Stage.TTS:
            asked: Frame = TTSSpeakFrame(SENTENCE)
        case Stage.LLM:
            context = LLMContext([{"role": "user", "content": "Do you sell pizza?"}])
            asked = LLMContextFrame(context)
        case Stage.ASR:
            await _speak(worker)
            asked = VADUserStoppedSpeakingFrame()
    ear.begin()
    await worker.queue_frame(asked)


async def _speak(worker: PipelineWorker) -> None:
    await worker.queue_frame(VADUserStartedSpeakingFrame())
    frame = bytes(2 * round(FRAME_S * HEARS_AT))
    for _ in range(round(UTTERANCE_S / FRAME_S)):
        await worker.queue_frame(InputAudioRawFrame(frame, HEARS_AT, 1))
        await asyncio.sleep(FRAME_S)
