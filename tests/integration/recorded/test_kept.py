"""A call by telephone is kept once and whole, also when stores or services are away."""

import asyncio

import pytest

from callfleet.v1 import context_pb2, session_pb2
from callfleet_agent.app.phone.turns import Turn
from private import leaks
from recorded_rig import CALLER, NUMBER, PIN, SECRETS, World, conversation, transactions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]
CARD, NO = Turn(keys="1"), Turn(keys="2")
WHO, PROOF = Turn(keys=NUMBER), Turn(keys=PIN)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
AGENT, USER = context_pb2.ROLE_AGENT, context_pb2.ROLE_CALLER


def audited(w: World, session_id: str) -> list[list[str]]:
    return w.rows(
        "SELECT operation, phase, outcome FROM audit_entries"
        f" WHERE session_id = '{session_id}' ORDER BY at, sequence"
    )


async def is_one_trace(w: World, session_id: str) -> None:
    """From the header of its INVITE to the banking service, in both processes."""
    asked = ("BankingService/AuthenticateCustomer", "BankingService/QueryCardDelivery")
    spans = await w.traced(TRACE, "call", "turn", "bank", *asked)
    (call,) = [span for span in spans if span.name == "call"]
    assert (call.parent, call.service) == (PARENT.split("-")[2], "callfleet-connector")
    assert call.attributes["call.id"] == session_id
    services = {span.name: span for span in spans if span.service == "callfleet-platform"}
    assert set(asked) <= set(services)
    assert {services[name].parent for name in asked} == {call.span}


WHOLE = [["AUTHENTICATION", "VERIFIED", "t"], ["CARD_INQUIRY", "VERIFIED", "t"]]


async def test_a_call_with_its_turns_and_transactions_is_there_once(w: World) -> None:
    report = await w.call(
        CARD, WHO, PROOF, NO, trusted=False, from_uri=f"sip:{CALLER}@phone", hang_up=False,
        traceparent=PARENT,
    )  # fmt: skip
    assert (report.outcome, report.ended_by) == ("ok", "agent")
    session_id = await w.call_id()
    await w.delivered()

    session = await w.session(session_id)
    assert session.status == session_pb2.SESSION_STATUS_COMPLETED
    assert (session.caller_phone, session.avc_instance) == (CALLER, "card-line-0")
    assert session.voice_agent == "bank/card-line"
    assert session_id[14] == "7"
    assert session.call_end_time.seconds >= session.call_start_time.seconds > 0
    assert w.rows(f"SELECT count(*) FROM call_sessions WHERE session_id = '{session_id}'") == [
        ["1"]
    ]

    context = await w.context(session_id)
    told = conversation(context)
    assert [role for role, _ in told][:6] == [AGENT, USER, AGENT, USER, AGENT, USER]
    assert told[0][1].startswith("Welcome to Example Bank")
    assert "customer number" in told[2][1]
    assert any(text.startswith("Your card") for _, text in told)
    assert len(told) == len({line.turn * 100 + index for index, line in
                             enumerate(context.conversation_history)})  # fmt: skip
    assert context.current_intent == "card_delivery_inquiry"
    facts = dict(context.customer_data)
    assert (facts["customer_number"], facts["state"]) == (NUMBER, "ended")
    assert facts["outcome"] == "completed"
    assert leaks(str(context), {"keyed": PIN}) == []

    assert transactions(w, session_id) == WHOLE
    assert audited(w, session_id) == [
        ["AUTHENTICATION", "ASKED", ""], ["AUTHENTICATION", "ENDED", "verified"],
        ["CARD_DELIVERY", "ASKED", ""], ["CARD_DELIVERY", "ENDED", "done"],
    ]  # fmt: skip
    assert len(w.bank.requests) == 2
    await is_one_trace(w, session_id)
    await w.keep_pages()


async def test_a_trusted_caller_needs_no_number(w: World) -> None:
    phone = w.phone(CARD, PROOF, listen_s=60.0)
    w.seen = len(w.agent.log())
    calling = asyncio.create_task(phone.run())
    asked = await w.logged(turn_state="identify")
    phone.stop()
    await calling
    session_id = str(asked["correlation_id"])
    await w.logged(message="call detail record", correlation_id=session_id)
    # Nobody has this number: the customer number is asked for, and no try is lost.
    assert audited(w, session_id)[1] == ["AUTHENTICATION", "ENDED", "unknown_caller"]
    await w.delivered()
    assert (await w.session(session_id)).status == session_pb2.SESSION_STATUS_COMPLETED


async def test_postgresql_away_in_the_middle_of_a_call(w: World) -> None:
    phone = w.phone(CARD, WHO, PROOF, NO, trusted=False, hang_up=False)
    w.seen = len(w.agent.log())
    calling = asyncio.create_task(phone.run())
    await w.logged(turn_state="identify")
    await asyncio.to_thread(w.postgres.kill)
    asked = await w.logged(turn_state="authenticate")
    owed = await w.owes(1)
    await asyncio.to_thread(w.postgres.start)
    report = await calling
    assert owed > 0
    assert report.outcome == "ok"
    assert all(turn.answer_ms is not None for turn in report.turns)
    session_id = str(asked["correlation_id"])
    await w.logged(message="call detail record")
    await w.delivered()
    assert (await w.session(session_id)).status == session_pb2.SESSION_STATUS_COMPLETED
    told = conversation(await w.context(session_id))
    assert [text for role, text in told if role == USER] == [
        "(card)", "(keyed_digits)", "(keyed_digits)", "(no)",
    ]  # fmt: skip
    # What the caller was told is what was done: on a slow machine the stores may be late once more.
    done = any(text.startswith("Your card") for _, text in told)
    assert not done or transactions(w, session_id) == WHOLE


async def test_the_services_away_for_the_whole_call(w: World) -> None:
    await w.keep_pages()
    w.services.kill()
    report = await w.call(CARD, WHO, PROOF, trusted=False)
    assert report.outcome == "ok"
    assert all(turn.answer_ms is not None for turn in report.turns)
    session_id = await w.call_id()
    assert await w.owes(1) > 0
    await w.services.start()
    await w.delivered()
    assert (await w.session(session_id)).status == session_pb2.SESSION_STATUS_COMPLETED
    told = [text for _, text in conversation(await w.context(session_id))]
    assert "I am sorry, I cannot reach our records at the moment. Shall I try again?" in told


async def test_none_of_these_calls_left_anything_private_where_it_is_watched(w: World) -> None:
    await w.keep_pages()
    if "BankingService/AuthenticateCustomer" not in "".join(w.pages):
        await w.call(CARD, WHO, PROOF, NO)
        await w.keep_pages()
    await w.collector.until("BankingService/AuthenticateCustomer")
    watched = {
        "agent's log": w.agent.log_file.read_text(),
        "services' log": w.services.log_file.read_text(),
        "metrics": "\n".join(w.pages),
        "traces": str(w.collector.spans),
        "keys": "\n".join(await w.redis_keys()),
    }
    assert "call detail record" in watched["agent's log"]
    assert "callfleet_voice_to_voice_seconds_count" in watched["metrics"]
    assert "BankingService/AuthenticateCustomer" in watched["metrics"]
    assert "BankingService" in watched["traces"]
    assert "session:" in watched["keys"]
    found = {name: leaks(text, SECRETS) for name, text in watched.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}
