"""What a caller had told is there after the death of a connector or a pod, and what it owed too."""

import asyncio
import shutil

import pytest

from callfleet.v1 import context_pb2, session_pb2
from callfleet_agent.app.phone.turns import Turn
from recorded_rig import NUMBER, PIN, World, conversation, transactions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]
CARD, AGAIN = Turn(keys="1"), Turn(keys="1")
WHO, PROOF = Turn(keys=NUMBER), Turn(keys=PIN)
AGENT, USER = context_pb2.ROLE_AGENT, context_pb2.ROLE_CALLER
UP = session_pb2.SESSION_STATUS_ACTIVE
FOUND = 'callfleet_earlier_calls_total{outcome="found"}'


async def broken(w: World) -> str:
    """A call whose connector is killed in the middle of it; its session."""
    w.seen = len(w.agent.log())
    calling = asyncio.create_task(w.phone(CARD, listen_s=30.0).run())
    asked = await w.logged(turn_state="authenticate")
    session_id = str(asked["correlation_id"])
    await w.remembered(session_id, "(card)")
    await w.delivered()
    w.agent.kill()
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    return session_id


@pytest.mark.parametrize(
    "what", [pytest.param("the container", marks=pytest.mark.drill), "the pod"]
)
async def test_a_caller_goes_on_after_the_death_of(what: str, w: World) -> None:
    session_id = await broken(w)
    if what == "the pod":  # its journal is gone with it
        shutil.rmtree(w.folder / "journal")
    await w.agent.start()
    if what == "the pod":
        assert (await w.session(session_id)).status == UP
        await asyncio.sleep(15.0)  # as long as somebody may still talk in it
    else:
        await w.delivered()
        ended = (await w.session(session_id)).status
        assert ended == session_pb2.SESSION_STATUS_INTERRUPTED
    before = conversation(await w.context(session_id))
    report = await w.call(AGAIN, PROOF, WHO)

    assert await asyncio.to_thread(w.agent.metric, FOUND) == 1.0
    assert report.outcome == "ok"
    later = await w.call_id()
    await w.delivered()
    assert later != session_id
    # The key that means "card" after a usual welcome is the yes to "Shall we go on".
    told = [text for role, text in conversation(await w.context(later)) if role == USER]
    assert told == ["(yes)", "(keyed_digits)", "(keyed_digits)"]
    assert ["AUTHENTICATION", "VERIFIED", "t"] in transactions(w, later)
    assert transactions(w, session_id) == []
    assert conversation(await w.context(session_id)) == before


async def test_what_a_killed_process_owed_is_there_once_and_in_order(w: World) -> None:
    await asyncio.to_thread(w.postgres.kill)
    w.seen = len(w.agent.log())
    calling = asyncio.create_task(w.phone(CARD, WHO, trusted=False, listen_s=30.0).run())
    asked = await w.logged(turn_state="authenticate")
    session_id = str(asked["correlation_id"])
    depth = await w.owes(3, still_s=1.0)
    w.agent.kill()
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert depth >= 3  # the beginning and two turns

    await asyncio.gather(asyncio.to_thread(w.postgres.start), w.agent.start())
    await w.delivered()
    assert (await w.session(session_id)).status == session_pb2.SESSION_STATUS_INTERRUPTED
    context = await w.context(session_id)
    told = conversation(context)
    assert [role for role, _ in told] == [AGENT, USER, AGENT, USER]
    assert [text for role, text in told if role == USER] == ["(card)", "(keyed_digits)"]
    turns = [line.turn for line in context.conversation_history]
    assert turns == sorted(turns)
    one = f"FROM call_sessions WHERE session_id = '{session_id}'"
    assert w.rows(f"SELECT count(*) {one}") == [["1"]]


async def test_a_pod_that_leaves_delivers_what_it_owes(w: World) -> None:
    await asyncio.to_thread(w.postgres.kill)
    report = await w.call(CARD, trusted=False)
    assert report.outcome == "ok"
    session_id = await w.call_id()
    leaving = asyncio.create_task(w.agent.terminate())
    await asyncio.sleep(2.0)
    await asyncio.to_thread(w.postgres.start)
    assert await leaving == 0
    assert (await w.session(session_id)).status == session_pb2.SESSION_STATUS_COMPLETED
    assert len(conversation(await w.context(session_id))) == 3
