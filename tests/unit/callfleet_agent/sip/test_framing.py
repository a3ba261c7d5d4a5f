"""Messages out of a stream."""

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.framing import StreamFramer

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length : 3\r\n\r\nabc"


def test_cuts_messages_wherever_they_were_cut() -> None:
    framer, found = StreamFramer(), []
    for byte in b"\r\n\r\n" + MESSAGE + b"\r\n" + MESSAGE:
        found += framer.receive(bytes([byte]))
    assert found == [MESSAGE, MESSAGE]
    assert framer.idle
    assert framer.receive(MESSAGE[:-1]) == []
    assert not framer.idle


def test_the_compact_form_and_repetition_count() -> None:
    message = b"OPTIONS sip:a SIP/2.0\nl:0\ncontent-length: 0\n\n"
    assert StreamFramer().receive(message) == [message]


@pytest.mark.parametrize(
    "data",
    [
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: -1\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: 65537\r\n\r\n",
        b"x" * 16_385,
        b"a: b\r\n" * 3_000 + b"\r\n\r\n",
    ],
)
def test_a_stream_without_end_is_an_error(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        StreamFramer().receive(data)
