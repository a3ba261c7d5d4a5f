"""The messages of RFC 4475: valid ones are understood, others refused, and nothing crashes."""

import re
from pathlib import Path

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.message import Request
from callfleet_agent.sip.parser import parse_message
from callfleet_agent.sip.settings import Peer
from fakes.sip_line import BOB, agent

VECTORS = Path(__file__).parents[3] / "vectors" / "sip" / "rfc4475"
SOURCE = Peer("UDP", "203.0.113.7", 5060)


def vector(name: str) -> bytes:
    """The bytes of one message."""
    text = (VECTORS / f"{name}.txt").read_text("ascii").removesuffix("\n")
    lines = (
        re.sub(
            r"\\(x[0-9a-f]{2}|\\)", lambda m: chr(int(m[1][1:], 16)) if m[1] != "\\" else "\\", line
        )
        for line in text.split("\n")
    )
    return "\r\n".join(lines).encode("latin-1")


def answers(name: str) -> list[int]:
    """The statuses a user agent answers the message with."""
    user_agent = agent(BOB)
    user_agent.receive(vector(name), SOURCE, now=0.0)
    # A refusal repeats the fields that made it necessary, so it is not parsed.
    return [int(out.data.split(b" ")[1]) for out in user_agent.take_datagrams()]


VALID = (
    "wsinv",
    "intmeth",
    "esc01",
    "escnull",
    "esc02",
    "lwsdisp",
    "longreq",
    "dblreq",
    "semiuri",
    "transports",
    "mpart01",
    "unreason",
    "noreason",
)
INVALID = {
    "badinv01": 400,
    "clerr": 400,
    "ncl": 400,
    "scalar02": 400,
    "scalarlg": 400,
    "quotbal": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "trws": 400,
    "escruri": 400,
    "baddate": 400,
    "regbadct": 400,
    "badaspec": 400,
    "baddn": 400,
    "badvers": 505,
    "mismatch01": 400,
    "mismatch02": 400,
    "bigcode": 400,
}


@pytest.mark.parametrize("name", VALID)
def test_the_valid_are_understood_and_survive_being_written(name: str) -> None:
    message = parse_message(vector(name))
    again = parse_message(bytes(message))
    assert (again.headers.without("content-length"), again.body) == (
        message.headers.without("content-length"),
        message.body,
    )


@pytest.mark.parametrize(("name", "status"), INVALID.items())
def test_the_invalid_are_refused(name: str, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_message(vector(name))
    assert caught.value.status == status


@pytest.mark.parametrize("name", sorted(INVALID))
def test_the_invalid_are_answered_or_ignored(name: str) -> None:
    # Responses are never answered, nor is a request whose Via does not say where to.
    silent = name in ("scalarlg", "bigcode", "badinv01")
    assert answers(name) == ([] if silent else [INVALID[name]])


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("wsinv", [481]),
        ("intmeth", [405]),
        ("esc01", [100]),
        ("escnull", [405]),
        ("lwsdisp", [200]),
        ("longreq", [100]),
        ("dblreq", [405]),
        ("transports", [200]),
        ("badbranch", [200]),
        ("unkscm", [416]),
        ("novelsc", [416]),
        ("unksm2", [405]),
        ("bext01", [420]),
        ("invut", [415]),
        ("regaut01", [405]),
        ("multi01", [400]),
        ("mcl01", [400]),
        ("insuf", []),
        ("bcast", []),
        ("zeromf", [200]),
        ("cparam01", [405]),
        ("cparam02", [405]),
        ("regescrt", [405]),
        ("sdp01", [100]),
        ("inv2543", [100]),
    ],
)
def test_a_user_agent_answers_sanely(name: str, statuses: list[int]) -> None:
    assert answers(name) == statuses


def test_a_tortuous_invite_is_read_as_it_was_meant() -> None:
    message = parse_message(vector("wsinv"))
    assert isinstance(message, Request)
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert message.max_forwards == 68
    assert [via.transport for via in message.vias] == ["UDP", "TCP", "UDP"]
    assert [str(contact.uri) for contact in message.contacts] == ["sip:jdrosen@example.com"]
