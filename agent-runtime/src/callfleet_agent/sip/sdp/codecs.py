"""The codecs of a telephone call and how a media line names them."""

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import parse_number
from callfleet_agent.sip.sdp.description import Media

CLOCK_RATE = 8000
STATIC_TYPES = {"PCMU": 0, "PCMA": 8}  # RFC 3551 section 6
TELEPHONE_EVENT = "telephone-event"
TELEPHONE_EVENT_TYPE = 101  # what we offer; an answer mirrors the offer's number
TELEPHONE_EVENTS = "0-16"


def payload_types(media: Media) -> dict[str, int]:
    """Codec name (upper case; telephone-event as it is) to payload type, in the line's order.

    Only codecs at 8 kHz and one channel count; the first number given for a name wins.
    """
    named = _rtpmaps(media)
    static = {number: name for name, number in STATIC_TYPES.items()}
    found: dict[str, int] = {}
    for text in media.formats:
        number = parse_number(text, "payload type", 127)
        name = named.get(number, static.get(number))
        if name is not None and number not in found.values():
            found.setdefault(name, number)
    return found


def _rtpmaps(media: Media) -> dict[int, str]:
    maps: dict[int, str] = {}
    for key, value in media.attributes:
        if key != "rtpmap":
            continue
        number, _, encoding = (value or "").partition(" ")
        name, _, rate = encoding.strip().partition("/")
        if not name or not rate:
            raise RemoteProtocolError("Malformed rtpmap in session description")
        payload_type = parse_number(number, "payload type", 127)
        wanted = rate in (str(CLOCK_RATE), f"{CLOCK_RATE}/1")
        maps[payload_type] = _canonical(name) if wanted else f"{name}/{rate}"
    return maps


def _canonical(name: str) -> str:
    return TELEPHONE_EVENT if name.lower() == TELEPHONE_EVENT else name.upper()


def rtpmap(name: str, payload_type: int) -> tuple[str, str]:
    return ("rtpmap", f"{payload_type} {name}/{CLOCK_RATE}")
