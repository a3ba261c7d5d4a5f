"""What the dialog leaves open: who answers it, and what becomes of it."""

import asyncio
from typing import Any

import pytest

from callfleet_agent.chain import Fault
from callfleet_agent.dialog import DialogSettings, Heard, Listen, NoMatch, Started
from callfleet_agent.pipeline.answering import Answering
from callfleet_agent.pipeline.frames import ListenFrame, SayFrame
from callfleet_agent.pipeline.model_prompt import request_in
from callfleet_agent.pipeline.ports import Reply
from callfleet_agent.pipeline.responder_rules import RuleConversation, RuleResponder
from callfleet_agent.providers import ResponderChain
from fakes.engines import FakeEngine, lineup
from fakes.virtual_time import in_virtual_time

OPEN = Heard("do you sell pizza with two one four on it")


class Stage:
    """Takes frames down."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    async def push_frame(self, frame: Any, direction: Any = None) -> None:
        self.frames.append(frame)

    @property
    def said(self) -> list[str]:
        return [frame.say.text for frame in self.frames if isinstance(frame, SayFrame)]


def conversation() -> RuleConversation:
    begun = RuleResponder(DialogSettings()).converse(None)
    begun.take(Started())
    return begun


async def answered(*engines: FakeEngine, rules: bool = True) -> tuple[Any, Stage, RuleConversation]:
    talk, stage, chain = conversation(), Stage(), lineup(*engines)
    answering = Answering(ResponderChain(lambda: chain), talk, lambda: rules, barge_in=True)
    prompt = answering.question(OPEN)
    assert prompt is not None
    return await answering.answer(OPEN, prompt, stage), stage, talk


@in_virtual_time
async def test_an_answer_is_said_and_the_caller_may_break_in() -> None:
    ended, stage, talk = await answered(FakeEngine(["We do not. ", "Shall I look for your card?"]))
    assert isinstance(stage.frames[0], ListenFrame)
    assert stage.said == ["We do not.", "Shall I look for your card?", ""]
    assert [frame.last for frame in stage.frames if isinstance(frame, SayFrame)] == [
        False, False, True,
    ]  # fmt: skip
    assert isinstance(ended, Reply)
    assert ended.state == "intent"
    assert isinstance(ended.outputs[0], Listen)
    assert b"We do not. Shall I look for your card?" in talk.context(())


@in_virtual_time
async def test_a_request_that_the_model_names_goes_to_the_dialog() -> None:
    ended, stage, _ = await answered(FakeEngine(["<where is my card>"]))
    assert ended == Heard("where is my card")
    assert stage.frames == []


@in_virtual_time
async def test_the_rules_answer_when_no_model_does() -> None:
    ended, _, _ = await answered(FakeEngine([Fault.REFUSED]))
    assert ended == OPEN


@in_virtual_time
async def test_without_rules_nobody_answers() -> None:
    assert (await answered(FakeEngine([Fault.REFUSED]), rules=False))[0] is None
    assert (await answered(FakeEngine(["..."]), rules=False))[0] is None


@in_virtual_time
async def test_what_was_said_before_all_failed_stands() -> None:
    ended, stage, _ = await answered(FakeEngine(["We do not. But ", Fault.TRUNCATED]), rules=False)
    assert stage.said == ["We do not.", ""]
    assert isinstance(ended, Reply)


@in_virtual_time
async def test_an_answer_that_is_interrupted_is_remembered() -> None:
    talk, stage, chain = conversation(), Stage(), lineup(FakeEngine(["We do not. ", None]))
    answering = Answering(ResponderChain(lambda: chain), talk, lambda: True, barge_in=True)
    prompt = answering.question(OPEN)
    assert prompt is not None
    task = asyncio.ensure_future(answering.answer(OPEN, prompt, stage))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert b"We do not." in talk.context(())


class TestQuestion:
    def test_what_the_rules_understand_is_theirs(self) -> None:
        assert conversation().question(Heard("where is my card")) is None
        assert conversation().question(NoMatch()) is None

    def test_nothing_secret_is_asked_of_a_model(self) -> None:
        talk = conversation()
        talk.take(Heard("where is my card"))
        assert talk.question(Heard("my number is what")) is None

    def test_digits_do_not_leave(self) -> None:
        prompt = conversation().question(OPEN)
        assert prompt is not None
        text = " ".join(message.text for message in prompt.messages)
        assert "two one four" not in text
        assert "pizza" in text

    def test_without_models_there_is_no_question(self) -> None:
        chain = lineup()
        answering = Answering(
            ResponderChain(lambda: chain), conversation(), lambda: True, barge_in=True
        )
        assert answering.question(OPEN) is None


@pytest.mark.parametrize(
    ("sentence", "state", "request_"),
    [
        ("<good bye>", "intent", "good bye"),
        (" <Yes>. ", "more", "yes"),
        ("<yes>", "intent", None),
        ("<transfer all money>", "intent", None),
        ("good bye", "intent", None),
    ],
)
def test_only_requests_that_the_dialog_knows(
    sentence: str, state: str, request_: str | None
) -> None:
    assert request_in(sentence, state) == request_
