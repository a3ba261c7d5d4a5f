"""Phones that call an agent, and the times of its answers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.meter import Meter
from bench.platform.servers import customer_of
from bench.report import percentile

from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.turns import Turn
from fakes.connector import LOOPBACK

MOST_TURNS = 10  # of one call


@dataclass(frozen=True, slots=True)
class Script:
    """What a caller does before, by the call's number, and then again and again."""

    turn: Turn
    before: Callable[[int], tuple[Turn, ...]] = lambda _: ()


HELP = Script(Turn(say="help"))
CARD = Script(
    Turn(say="where is my card"),
    # Each call is another customer's: proofs of one that are under way count as tries.
    lambda number: (Turn(keys="1"), Turn(keys=customer_of(number)), Turn(keys="4271")),
)


@dataclass(frozen=True, slots=True)
class Agent:
    """One that takes calls, and what else runs for it; each is watched with its children."""

    port: int
    meter: Meter
    services: Meter | None = None


class Costs:
    """Processor time of the agent, its services and this process, which has the phones."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._began = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        services = self._agent.services
        return (
            time.monotonic(),
            self._agent.meter.cpu_s(),
            time.process_time(),
            0.0 if services is None else services.cpu_s(),
        )

    def percent(self) -> dict[str, object]:
        """Of one core, since the beginning."""
        wall, agent, phones, services = (
            now - then for now, then in zip(self._now(), self._began, strict=True)
        )
        return {
            "agent cpu %": 100 * agent / wall,
            "phones cpu %": 100 * phones / wall,
            "services cpu %": "-" if self._agent.services is None else 100 * services / wall,
        }


NO_COSTS = {"agent cpu %": "-", "phones cpu %": "-", "services cpu %": "-"}


async def one_call(
    port: int, script: Script, number: int, turns: int, after_s: float
) -> list[float | None]:
    """The answers' times of one call; None for a turn that got none."""
    await asyncio.sleep(after_s)
    before = script.before(number)
    phone = Phone(
        PhoneSettings(
            uri=f"sip:agent@{LOOPBACK}:{port}",
            bind=LOOPBACK,
            turns=before + (script.turn,) * turns,
            recognise=False,
            voice="en-us",
        )
    )
    report = await phone.run()
    answers = [turn.answer_ms for turn in report.turns[len(before) :]]
    return answers + [None] * (turns - len(answers))


async def several(
    what: str, agent: Agent, script: Script, calls: int, turns: int, *, spread_s: float = 0.0
) -> dict[str, object]:
    """So many turns in so many calls at once, in calls of at most ten turns."""
    answers: list[float | None] = []
    costs = Costs(agent)
    while len(answers) < turns:
        each = min(MOST_TURNS, max(1, (turns - len(answers)) // calls))
        at_once = (
            one_call(agent.port, script, number, each, number * spread_s / calls)
            for number in range(calls)
        )
        for found in await asyncio.gather(*at_once):
            answers += found
    return row(what, answers) | costs.percent()


def row(what: str, answers: list[float | None]) -> dict[str, object]:
    """One row of the table."""
    times = [answer for answer in answers if answer is not None]
    return {
        "what": what,
        "turns": len(answers),
        "unanswered": len(answers) - len(times),
        "p50 ms": percentile(times, 50) if times else float("inf"),
        "p95 ms": percentile(times, 95) if times else float("inf"),
    }
