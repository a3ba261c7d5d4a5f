"""One call: its pipeline, from the offer to the last context."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from pipecat.frames.frames import Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from callfleet_agent.banking import Bank
from callfleet_agent.banking.bound import BoundBank
from callfleet_agent.chain import Failure
from callfleet_agent.dialog import Caller, Earlier, Input, Interrupted, Resumed, Say, Started
from callfleet_agent.link import Hello, LinkError
from callfleet_agent.pipeline.answering import Answering
from callfleet_agent.pipeline.circuits import Circuits
from callfleet_agent.pipeline.conversing import Conversing, today
from callfleet_agent.pipeline.hearing import Hearing
from callfleet_agent.pipeline.link_transport import LinkInput, LinkOutput
from callfleet_agent.pipeline.playout import Playout
from callfleet_agent.pipeline.ports import (
    CallLink,
    Conversation,
    Models,
    Responder,
    Synthesiser,
    Transcriber,
)
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.speaking import Speaking
from callfleet_agent.pipeline.turns import Turns
from callfleet_agent.pipeline.voice import Voice
from callfleet_agent.pipeline.voice_activity import VoiceActivityModel
from callfleet_agent.providers.failures import Told
from callfleet_operator.model.engines import Stage

_log = logging.getLogger(__name__)


class CallFailedError(Exception):
    """A stage of a call's pipeline failed: the link is broken off, so another worker goes on."""


@dataclass(frozen=True, slots=True)
class Engines:
    """What all calls of a worker share."""

    model: VoiceActivityModel
    transcriber: Transcriber
    responder: Responder
    synthesiser: Synthesiser
    models: Models
    by_rules: Callable[[], bool]
    bank: Bank
    circuits: Circuits = dict


async def run_call(link: CallLink, engines: Engines, settings: WorkerSettings) -> None:
    """Until the call has ended. Raises LinkError when the connector is gone, CallFailedError."""
    hello = link.hello
    conversation = engines.responder.converse(link.context if hello.resumed else None)
    told = _teller(link)
    voice = Voice(engines.synthesiser, told)
    answering = Answering(
        engines.models,
        conversation,
        engines.by_rules,
        barge_in=settings.dialog.barge_in,
        told=told,
    )

    def foresee(given: Input) -> None:
        for output in conversation.foresee(given).outputs:
            if isinstance(output, Say):
                voice.prepare(output.sentences, private=output.private)

    playout = Playout()
    hearing = Hearing(engines.model, settings.voice_activity, playout)
    turns = Turns(engines.transcriber, conversation, settings, playout, foresee, told)
    turns.on_activity = _doing(link)
    entrance = LinkInput(link, playout, (hearing, turns))
    opening = _opening(hello)
    bank = BoundBank(engines.bank, conversation.customer)
    conversing = Conversing(conversation, opening, bank, link, settings, answering)
    conversing.circuits = engines.circuits
    stages = [
        entrance,
        hearing,
        turns,
        conversing,
        Speaking(voice),
        LinkOutput(link, playout),
    ]
    failed = await _run(Pipeline(stages))
    if failed is not None:
        raise CallFailedError("a stage of the pipeline failed") from failed
    ended = entrance.ended
    reason = ended.result() if ended.done() and not ended.cancelled() else "cancelled"
    _farewell(link, conversation, playout, reason)


async def _run(pipeline: Pipeline) -> BaseException | None:
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
        enable_turn_tracking=False,
        cancel_on_idle_timeout=False,
        cancel_runner_on_idle_timeout=False,
        idle_timeout_secs=None,
        check_dangling_tasks=False,
    )
    failures: list[BaseException] = []

    @worker.event_handler("on_pipeline_error")  # type: ignore[untyped-decorator]
    async def failed(_: PipelineWorker, frame: Frame) -> None:
        error = getattr(frame, "exception", None)
        failures.append(error or CallFailedError("unknown"))
        # The exception's text may hold what was said: its type is enough.
        _log.error("a call's pipeline failed", extra={"error": type(error).__name__})
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False, check_dangling_tasks=False)
    await runner.add_workers(worker)
    try:
        await runner.run()
    finally:
        if not worker.has_finished():
            await worker.cancel()
    return failures[0] if failures else None


def _teller(link: CallLink) -> Told:
    def told(stage: Stage, failure: Failure) -> None:
        with contextlib.suppress(LinkError):
            link.event(
                "provider_failed",
                stage=stage.value,
                pool=failure.member,
                fault=failure.fault.value,
            )

    return told


def _doing(link: CallLink) -> Callable[[str], None]:
    def doing(activity: str) -> None:
        with contextlib.suppress(LinkError):
            link.event("doing", activity=activity)

    return doing


def _opening(hello: Hello) -> Input:
    if hello.resumed:
        return Resumed()
    caller, earlier = hello.caller, hello.earlier
    return Started(
        Caller(caller.id, caller.trusted, caller.withheld),
        None
        if earlier is None
        else Earlier(earlier.intent, earlier.customer_number, earlier.failed_attempts),
        today(),
    )


def _farewell(link: CallLink, conversation: Conversation, playout: Playout, reason: str) -> None:
    if playout.speaking:  # the caller left in the middle of it
        heard = playout.heard(link.played_epoch, link.played_position)
        conversation.take(Interrupted(heard))
    with contextlib.suppress(LinkError):
        link.hand_over(conversation.context(conversation.channel))
        link.event("ended", reason=reason)
