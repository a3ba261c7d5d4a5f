"""The dialog stage, in the place where a language model would be."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

from pipecat.frames.frames import Frame, InterruptionFrame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callfleet_agent.banking import (
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    BankingError,
    CardDeliveryRequest,
)
from callfleet_agent.dialog import (
    AskBank,
    Authenticate,
    Authenticated,
    BankFailed,
    BankSlow,
    CardFound,
    CardNotFound,
    Delivery,
    HangUp,
    Input,
    Interrupted,
    Listen,
    QueryCardDelivery,
    Say,
    SendCode,
    Verdict,
)
from callfleet_agent.link import LinkError
from callfleet_agent.pipeline.answering import Answering
from callfleet_agent.pipeline.circuits import Circuits
from callfleet_agent.pipeline.frames import (
    GoodByeFrame,
    HangUpFrame,
    ListenFrame,
    SayFrame,
    TurnFrame,
)
from callfleet_agent.pipeline.model_prompt import Question
from callfleet_agent.pipeline.ports import CallLink, Conversation, Reply
from callfleet_agent.pipeline.settings import WorkerSettings

Timing = Mapping[str, float | str]
_log = logging.getLogger(__name__)
_VERDICTS = {status: Verdict(status.value) for status in AuthenticationStatus}


class Conversing(FrameProcessor):
    """Feeds a conversation with inputs, and does what it wants done."""

    def __init__(
        self,
        conversation: Conversation,
        opening: Input,
        bank: Bank,
        link: CallLink,
        settings: WorkerSettings,
        answering: Answering | None = None,
    ) -> None:
        super().__init__(name="conversing")
        self.circuits: Circuits = dict  # told with each turn
        self._answering = answering
        self._answer_task: asyncio.Task[None] | None = None
        self._conversation = conversation
        self._opening = opening
        self._bank = bank
        self._link = link
        self._settings = settings
        self._channel = conversation.channel
        self._question: asyncio.Task[None] | None = None
        self._turn = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes TurnFrames; passes everything else on. The StartFrame opens the conversation."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TurnFrame):
            self._channel = frame.channel or self._channel
            if isinstance(frame.given, Interrupted):
                await self._take(frame.given, frame.timing)
            else:
                await self._end_answer()
                await self._take(frame.given, frame.timing)
            return
        if isinstance(frame, InterruptionFrame):
            await self._end_answer()
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self._take(self._opening, {})

    async def cleanup(self) -> None:
        """Drops a question to the bank, and a model's answer."""
        await self._end_answer()
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait({self._question})
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _take(self, given: Input, timing: Timing) -> None:
        if self._answering is not None:
            if (question := self._answering.question(given)) is not None:
                answer = self._answer(given, question, timing)
                self._answer_task = self.create_task(answer)
                return
            timing = {**timing, **self._answering.notes()}
        await self._move(given, timing)

    async def _answer(self, given: Input, question: Question, timing: Timing) -> None:
        """A model answers; the dialog goes on with what comes of it."""
        if self._answering is None:
            return
        began = time.monotonic()
        ended = await self._answering.answer(given, question, self)
        timing = {**timing, "model_ms": _since(began), **self._answering.notes()}
        if isinstance(ended, Reply):
            for output in ended.outputs:
                if not isinstance(output, Listen):  # listening has begun with the answer
                    await self._do(output)
            self._hand_over(ended, given, timing)
        elif ended is None:
            await self.push_frame(GoodByeFrame())
        else:
            await self._move(ended, timing)

    async def _end_answer(self) -> None:
        task, self._answer_task = self._answer_task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})

    async def _move(self, given: Input, timing: Timing) -> None:
        began = time.monotonic()
        reply = self._conversation.take(given)
        for output in reply.outputs:
            await self._do(output)
        self._hand_over(reply, given, {**timing, "dialog_ms": _since(began)})

    async def _do(self, output: Say | Listen | AskBank | HangUp) -> None:
        match output:
            case Say():
                await self.push_frame(SayFrame(output))
            case Listen():
                await self.push_frame(ListenFrame(output), FrameDirection.UPSTREAM)
            case AskBank():
                self._question = self.create_task(self._ask(output))
            case HangUp():
                await self.push_frame(HangUpFrame(output.outcome))

    def _hand_over(self, reply: Reply, given: Input, timing: Timing) -> None:
        try:
            self._link.hand_over(self._conversation.context(self._channel))
            if not isinstance(given, Interrupted):
                self._turn += 1
                kind = type(given).__name__.lower()
                self._link.event(
                    "turn",
                    turn=self._turn,
                    state=reply.state,
                    result=kind,
                    **timing,
                    **self.circuits(),
                )
        except LinkError:
            return  # the input reads the same error and ends the call

    async def _ask(self, question: AskBank) -> None:
        """Asks the bank; its answer comes back in order with everything else."""
        began = time.monotonic()
        slow = asyncio.get_running_loop().call_later(self._settings.bank_slow_s, self._be_patient)
        try:
            answer = await self._ask_bank(question.operation)
        except BankingError as error:
            _log.warning("the bank failed", extra={"code": error.code, "retry": error.retry})
            answer = BankFailed()
        finally:
            slow.cancel()
        await self.queue_frame(TurnFrame(answer, {"bank_ms": _since(began)}))

    def _be_patient(self) -> None:
        self.create_task(self.queue_frame(TurnFrame(BankSlow())))

    async def _ask_bank(self, operation: Authenticate | SendCode | QueryCardDelivery) -> Input:
        if isinstance(operation, QueryCardDelivery):
            request = CardDeliveryRequest(
                customer_id=operation.customer, session_id=self._link.call
            )
            found = await self._bank.query_card_delivery(request)
            if found.status is None:
                return CardNotFound()
            delivery = Delivery(found.status.value)
            return CardFound(delivery, found.date, found.expected, found.carrier)
        method = self._settings.dialog.method.value
        proof = authentication(self._link.call, operation, method)
        verdict = await self._bank.authenticate_customer(proof)
        return Authenticated(_VERDICTS[verdict.status], verdict.customer_id)


def authentication(
    call: UUID, operation: Authenticate | SendCode, method: str
) -> AuthenticationRequest:
    """What the bank is asked. Its key is the same for the same attempt of the same call, so that
    the bank counts it once and sends one code. A proof that the caller id led nowhere with is asked
    again with a number, and that is another request."""
    whose = "caller" if operation.customer_number is None else "number"
    if isinstance(operation, SendCode):
        name, credential = f"code-{operation.number}-{whose}", None
    else:
        name, credential = f"attempt-{operation.attempt}-{whose}", operation.credential
    return AuthenticationRequest(
        idempotency_key=uuid5(call, name),
        method=method,
        credential=credential,
        customer_number=operation.customer_number,
        caller_id=operation.caller_id,
        session_id=call,
    )


def today() -> date:
    """The day now; nobody calls who was born later."""
    return datetime.now(UTC).date()


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
