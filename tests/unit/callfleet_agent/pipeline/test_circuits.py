"""A turn tells of the breakers of its process: of a chain the worst one."""

import os
import time

import pytest

from callfleet_agent.banking import HttpBank, HttpBankSettings
from callfleet_agent.chain import Member, MemberSettings
from callfleet_agent.pipeline.circuits import circuits_of
from callfleet_agent.providers.lineup import Lineup, Seat


@pytest.fixture
def members() -> tuple[Member, Member]:
    return Member(MemberSettings(name="first")), Member(MemberSettings(name="second"))


def test_of_a_chain_the_worst_is_told(members: tuple[Member, Member]) -> None:
    bank = HttpBank(HttpBankSettings(url="http://127.0.0.1:1"))
    seats = Lineup(tuple(Seat(member, None) for member in members))
    circuits = circuits_of(bank, {"asr": lambda: seats, "llm": Lineup})
    assert circuits() == {
        "worker_pid": os.getpid(), "bank_circuit": "closed", "asr_circuit": "closed",
    }  # fmt: skip

    for _ in range(5):
        members[1].breaker.failed(time.monotonic())
    assert circuits()["asr_circuit"] == "open"

    for _ in range(5):
        members[0].breaker.failed(time.monotonic() - 60)
    members[1].breaker.succeeded()
    assert circuits()["asr_circuit"] == "half_open"
