"""How the phone tells a call that ended well from one that did not, with agents made by hand."""

import pytest

from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.report import CallReport
from fakes.fading_agent import LOOPBACK, FadingAgent, fading
from fakes.patient_clock import PatientClock


async def called(agent: FadingAgent, *, listen_s: float = 0.3) -> CallReport:
    """The report of a call to the agent."""
    async with fading(agent):
        uri = f"sip:agent@{LOOPBACK}:{agent.port}"
        settings = PhoneSettings(uri=uri, bind=LOOPBACK, recognise=False, listen_s=listen_s)
        report = await Phone(settings, clock=PatientClock()).run()
        await agent.has_heard_all()
        return report


@pytest.mark.parametrize("glare", ["first", "late"])
async def test_byes_that_cross_are_a_proper_end_whatever_they_say_to_ours(glare: str) -> None:
    agent = FadingAgent(bye=481, glare=glare)
    report = await called(agent)
    assert (report.outcome, report.ended_by, report.bye_status) == ("ok", "local", 200)
    assert agent.agreed == [200]


async def test_a_call_without_any_audio_of_the_agent_is_broken() -> None:
    report = await called(FadingAgent(sends=False), listen_s=1.2)
    assert (report.outcome, report.ended_by, report.packets_received) == ("broken", "local", 0)
    assert report.reason == "no audio of the agent arrived"


@pytest.mark.parametrize(
    ("direction", "listen_s"),
    [("recvonly", 1.2), ("inactive", 1.2), ("sendrecv", 0.2)],
)
async def test_where_no_audio_was_due_none_is_missed(direction: str, listen_s: float) -> None:
    report = await called(FadingAgent(sends=False, direction=direction), listen_s=listen_s)
    assert (report.outcome, report.packets_received) == ("ok", 0)
