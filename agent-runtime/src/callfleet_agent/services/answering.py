"""LLMService: an answer to what a caller says, and what a session has learned."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from callfleet.v1 import context_pb2, llm_pb2
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.services.context_store import addition_of, context_response, exchange_of
from callfleet_agent.services.engines import Answerer, Asked, Finish
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.contexts import ContextChange
from callfleet_agent.services.inputs.speech import Question

NAME: Final = "callfleet.v1.LLMService"
READERS: Final = {
    f"/{NAME}/ProcessText": reader_of(Question),
    f"/{NAME}/UpdateContext": reader_of(ContextChange),
}
Response = llm_pb2.TextResponse
_FINISHES: Final = {
    None: Response.FINISH_REASON_UNSPECIFIED,
    Finish.STOP: Response.FINISH_REASON_STOP,
    Finish.LENGTH: Response.FINISH_REASON_LENGTH,
    Finish.GOODBYE: Response.FINISH_REASON_GOODBYE,
    Finish.FILTERED: Response.FINISH_REASON_FILTERED,
}


class AnsweringService:
    """Both RPCs."""

    def __init__(self, answerer: Answerer, contexts: ContextCommands) -> None:
        self._answerer = answerer
        self._contexts = contexts

    async def ProcessText(self, given: Question, _: Any) -> AsyncIterator[Response]:  # noqa: N802
        """Stream the answer."""
        async with aclosing(self._answerer.answer(asked_of(given))) as pieces:
            async for piece in pieces:
                yield Response(
                    text=piece.text,
                    finish_reason=_FINISHES[piece.finish],
                    intent=piece.intent,
                    confidence=piece.confidence,
                    provider=piece.provider,
                    session_id=str(given.session_id),
                )

    async def UpdateContext(self, given: ContextChange, _: Any) -> context_pb2.ContextResponse:  # noqa: N802
        """Remember what a session has learned."""
        context = await self._contexts.update(
            given.session_id, addition_of(given), given.request_id
        )
        return context_response(context)


def asked_of(given: Question) -> Asked:
    """What a request asks."""
    context = given.context
    return Asked(
        session_id=given.session_id,
        text=given.text,
        history=None if context is None else tuple(map(exchange_of, context.conversation_history)),
        intent=given.intent or ("" if context is None else context.current_intent),
        language=given.language,
    )
