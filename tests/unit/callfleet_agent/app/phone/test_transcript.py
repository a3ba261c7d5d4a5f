"""Lines of a conversation come in the order in which they were said."""

import asyncio

from callfleet_agent.app.phone.transcript import Transcript


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, who: str, text: str) -> None:
        self.lines.append(f"{who}: {text}")


def future() -> "asyncio.Future[str]":
    return asyncio.get_running_loop().create_future()


async def test_what_is_known_is_shown_at_once() -> None:
    screen = Screen()
    Transcript(screen.show).said("caller", "hello")
    assert screen.lines == ["caller: hello"]


async def test_a_later_line_waits_for_an_earlier_one_that_is_being_recognised() -> None:
    screen, heard = Screen(), future()
    transcript = Transcript(screen.show)
    transcript.heard("agent", heard)
    transcript.said("caller", "no")
    assert screen.lines == []
    heard.set_result("anything else")
    await asyncio.sleep(0)
    assert screen.lines == ["agent: anything else", "caller: no"]


async def test_speech_without_known_words_is_told_as_such() -> None:
    screen, heard = Screen(), future()
    Transcript(screen.show).heard("agent", heard)
    heard.set_result("")
    await asyncio.sleep(0)
    assert screen.lines == ["agent: (speech)"]


async def test_a_line_that_was_given_up_holds_no_other() -> None:
    screen, given_up, failed = Screen(), future(), future()
    transcript = Transcript(screen.show)
    transcript.heard("agent", given_up)
    transcript.heard("agent", failed)
    transcript.said("caller", "no")
    given_up.cancel()
    failed.set_exception(ValueError())
    await asyncio.sleep(0)
    assert screen.lines == ["caller: no"]
