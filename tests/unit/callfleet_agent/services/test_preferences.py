"""Choices of a process without Redis. With it: tests/integration/test_choices.py."""

from uuid import uuid4

from callfleet_agent.services.actor import acts_for
from callfleet_agent.services.preferences import SESSION_TTL_S, Preferences

KIOSK, OTHER = (
    "spiffe://callfleet.io/ns/bank/client/kiosk",
    "spiffe://callfleet.io/ns/bank/client/o",
)


async def test_the_newest_choices_are_remembered() -> None:
    choices, sessions = Preferences("tts", "default", str), [uuid4() for _ in range(10_001)]
    for session in sessions:
        await choices.choose(session, "mine")
    assert await choices.of(sessions[-1]) == "mine"
    assert await choices.of(sessions[0]) == "default"
    await choices.choose(None, "other")
    assert await choices.of(None) == await choices.of(sessions[0]) == "other"
    assert await choices.of(sessions[-1]) == "mine"


async def test_a_choice_is_its_clients_alone() -> None:
    choices, session = Preferences("tts", "default", str), uuid4()
    with acts_for(KIOSK):
        await choices.choose(None, "all")
        await choices.choose(session, "one")
    with acts_for(OTHER):
        assert (await choices.of(session), await choices.of(None)) == ("default", "default")
    with acts_for(KIOSK):
        assert (await choices.of(session), await choices.of(None)) == ("one", "all")


async def test_a_choice_for_a_session_lapses_an_hour_after_its_last_use() -> None:
    now = [1000.0]
    choices = Preferences("tts", "default", str, now=lambda: now[0])
    session = uuid4()
    await choices.choose(session, "mine")
    now[0] += SESSION_TTL_S - 1
    assert await choices.of(session) == "mine"
    now[0] += SESSION_TTL_S - 1
    assert await choices.of(session) == "mine"
    now[0] += SESSION_TTL_S
    assert await choices.of(session) == "default"
