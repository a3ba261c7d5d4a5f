"""What a user agent says to requests that belong to no call."""

import pytest

from callfleet_agent.sip.message import Response
from callfleet_agent.sip.settings import AdvertisedAddress, UserAgentSettings, bracketed
from callfleet_agent.sip.user_agent import UserAgent
from fakes.sip_line import BOB, agent
from fakes.sip_peer import FakePeer, description, statuses

REST = b"To: x\r\nFrom: x\r\nCall-ID: x\r\nCSeq: x\r\n\r\n"


@pytest.fixture
def bob() -> UserAgent:
    return agent(BOB)


@pytest.fixture
def peer(bob: UserAgent) -> FakePeer:
    return FakePeer(bob)


def last(peer: FakePeer, method: str, **values: object) -> Response:
    message = peer.request(method, **values)[-1]  # type: ignore[arg-type]
    assert isinstance(message, Response)
    return message


@pytest.mark.parametrize("status", [200, 503])
def test_options_are_answered_by_policy(bob: UserAgent, peer: FakePeer, status: int) -> None:
    bob.options_status = status
    answer = last(peer, "OPTIONS")
    assert answer.status == status
    assert "INVITE" in answer.tokens("Allow")
    assert answer.headers.get("Accept") == "application/sdp"
    assert answer.to.tag is not None


@pytest.mark.parametrize(
    ("method", "values", "status", "field"),
    [
        ("SUBSCRIBE", {}, 405, ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO")),
        ("INVITE", {"uri": "urn:service:sos"}, 416, None),
        ("INVITE", {"uri": "tel:+15550100"}, 100, None),
        ("INVITE", {"extra": ("Require: 100rel, timer",)}, 420, ("Unsupported", "100rel")),
        ("INVITE", {"extra": ("Require: timer",)}, 100, None),
        ("INVITE", {"body": "x"}, 415, ("Accept", "application/sdp")),
        ("INVITE", {"body": "x", "extra": ("Content-Type: text/plain",)}, 415, None),
        (
            "INVITE",
            {"body": "x", "extra": ("Content-Disposition: x; handling = optional",)},
            100,
            None,
        ),
        (
            "INVITE",
            {"body": description(), "extra": ("Content-Encoding: gzip",)},
            415,
            ("Accept-Encoding", "identity"),
        ),
        ("INVITE", {"body": description(), "extra": ("Content-Encoding: identity",)}, 100, None),
        ("INVITE", {"body": "v=0\r\nbroken"}, 400, None),
        ("INVITE", {"extra": ("Session-Expires: 30",)}, 100, None),
        ("INVITE", {"extra": ("Privacy: a b",)}, 400, None),
        ("BYE", {}, 481, None),
        ("INFO", {}, 481, None),
        ("OPTIONS", {"replace": ("Max-Forwards: 70", "Max-Forwards: 0")}, 200, None),
        (
            "OPTIONS",
            {"replace": ("Max-Forwards: 70", "Max-Forwards: 0\r\nRoute: <sip:192.0.2.2;lr>")},
            200,
            None,
        ),
        (
            "OPTIONS",
            {"replace": ("Max-Forwards: 70", "Max-Forwards: 0\r\nRoute: <sip:192.0.2.9;lr>")},
            483,
            None,
        ),
    ],
)  # fmt: skip
def test_each_fault_has_its_answer(
    peer: FakePeer,
    method: str,
    values: dict[str, object],
    status: int,
    field: tuple[str, str] | None,
) -> None:
    answer = last(peer, method, **values)
    assert answer.status == status
    assert field is None or answer.headers.get(field[0]) == field[1]


def test_a_request_that_came_two_ways(bob: UserAgent, peer: FakePeer) -> None:
    assert statuses(peer.request("INVITE", body=description(), branch="z9hG4bKone")) == [100]
    assert statuses(peer.request("INVITE", body=description(), branch="z9hG4bKtwo")) == [482]
    assert len(bob.calls) == 1
    # The merged one's end does not hide the first.
    peer.request("ACK", branch="z9hG4bKtwo")
    peer.wait(40)
    assert statuses(peer.request("INVITE", body=description(), branch="z9hG4bKthree")) == [482]


def test_a_request_again_gets_the_answer_again(peer: FakePeer) -> None:
    for _ in range(3):
        assert statuses(peer.request("OPTIONS", branch="z9hG4bKo")) == [200]
    peer.wait(33)
    peer.user_agent.options_status = 503
    assert statuses(peer.request("OPTIONS", branch="z9hG4bKo")) == [503]


def test_an_old_transaction_is_known_by_all_it_has(peer: FakePeer) -> None:
    """RFC 2543's branches identify nothing."""
    assert statuses(peer.request("INVITE", body=description(), branch="1")) == [100]
    assert statuses(peer.request("INVITE", body=description(), branch="1")) == [100]
    assert statuses(peer.request("CANCEL", branch="1")) == [200, 487]
    assert peer.request("ACK", branch="1") == []
    assert peer.wait(3) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\0\0\0",
        b"nonsense",
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nVia:\r\n" + REST,
        b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n" + REST,
        b"ACK sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n" + REST,
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n" + REST,
        b"x" * 70_000,
    ],
)
def test_what_cannot_be_answered_is_ignored(bob: UserAgent, peer: FakePeer, data: bytes) -> None:
    assert peer.say(data) == []
    assert bob.idle


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("no colon here", "Malformed header field"),
        ("Contact: <", "Malformed address"),
        ("Contact: <x>", "Malformed URI"),
    ],
)
def test_a_malformed_request_is_answered_where_it_came_from(
    bob: UserAgent, peer: FakePeer, fault: str, reason: str
) -> None:
    head = b"OPTIONS sip:a SIP/2.0\r\nv: SIP/2.0/UDP h;rport\r\n"
    good = REST.replace(b"CSeq: x", b"CSeq: 1 OPTIONS").replace(b": x", b": <sip:x>")
    bob.receive(head + fault.encode() + b"\r\n" + good, peer.source, now=0.0)
    [out] = bob.take_datagrams()
    assert out.destination == peer.source
    assert out.data.startswith(f"SIP/2.0 400 {reason}\r\n".encode())
    assert (bob.malformed, bob.unanswered) == (1, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff" * 40,  # no line of it is text
        b"INVITE nonsense\r\n\r\n",  # nobody to answer
        b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",  # a response is not answered
        b"ACK sip:a SIP/2.0\r\nv: SIP/2.0/UDP h\r\n" + REST,  # nor is an ACK
        b"OPTIONS sip:a SIP/2.0\r\nv: nonsense\r\n" + REST,  # nowhere to send it
    ],
)
def test_what_cannot_be_answered_is_counted(bob: UserAgent, peer: FakePeer, data: bytes) -> None:
    assert peer.say(data) == []
    assert (bob.malformed, bob.unanswered) == (1, 1)
    assert bob.idle


def test_addresses() -> None:
    assert bracketed("2001:db8::1") == "[2001:db8::1]"
    assert str(AdvertisedAddress("::1", 5060)) == "[::1]:5060"
    settings = UserAgentSettings(BOB, trusted=("10.0.0.0/8",))
    assert settings.trusts("10.1.2.3")
    assert not settings.trusts("11.1.2.3")
    assert not settings.trusts("proxy.example")


def test_an_agent_may_learn_its_port_late(bob: UserAgent) -> None:
    bob.advertise(AdvertisedAddress("192.0.2.2", 5099))
    assert bob.settings.advertised.port == 5099
