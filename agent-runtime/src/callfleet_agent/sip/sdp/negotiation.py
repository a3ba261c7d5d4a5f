"""Offer and answer (RFC 3264) for the one audio stream of a call.

The first audio line over RTP/AVP with a codec that both know is taken; every other line is refused
in its place with port 0. An answer has one codec, the offerer's first that we allow, and
telephone-event where both have it.
"""

from dataclasses import dataclass, replace

from callfleet_agent.sip.errors import NotAcceptableError, RemoteProtocolError
from callfleet_agent.sip.grammar import parse_number
from callfleet_agent.sip.sdp.codecs import (
    STATIC_TYPES,
    TELEPHONE_EVENT,
    TELEPHONE_EVENT_TYPE,
    TELEPHONE_EVENTS,
    payload_types,
    rtpmap,
)
from callfleet_agent.sip.sdp.description import (
    Connection,
    Media,
    Origin,
    SessionDescription,
    family,
)

PROTOCOL = "RTP/AVP"
BLACK_HOLES = ("0.0.0.0", "::")  # noqa: S104 - RFC 2543's way to hold, no bind address
_SENDS = {"sendrecv": True, "sendonly": True, "recvonly": False, "inactive": False}
_RECEIVES = {"sendrecv": True, "sendonly": False, "recvonly": True, "inactive": False}


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What we bring: where we listen and what we speak, codecs in our order."""

    address: str
    port: int
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    telephone_event: bool = True
    ptime_ms: int = 20
    rtcp_mux: bool = True
    direction: str = "sendrecv"


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """What both agreed on, from our side: ``sending`` is what we may do."""

    codec: str
    payload_type_send: int
    payload_type_receive: int
    dtmf_send: int | None
    dtmf_receive: int | None
    remote_host: str
    remote_port: int
    remote_rtcp_host: str
    remote_rtcp_port: int
    rtcp_mux: bool
    ptime_ms: int
    maxptime_ms: int | None
    sending: bool
    receiving: bool


@dataclass(frozen=True, slots=True)
class Negotiated:
    """Our answer, and what it means for the media."""

    description: SessionDescription
    media: NegotiatedMedia


def make_offer(
    local: LocalMedia,
    origin: Origin,
    previous: SessionDescription | None = None,
) -> SessionDescription:
    """An offer of one audio line.

    Inside a call ``previous`` is our last description: a session never loses a line (RFC 3264
    section 8), so lines that were refused stay in their places with port 0.
    """
    audio = _offered_line(local)
    if previous is None:
        lines: tuple[Media, ...] = (audio,)
    else:
        used = _used_line(previous)
        lines = tuple(audio if i == used else m for i, m in enumerate(previous.media))
    return SessionDescription(origin, lines, Connection(local.address))


def _used_line(description: SessionDescription) -> int:
    ports = enumerate(media.port for media in description.media)
    return next((index for index, port in ports if port), 0)


def _offered_line(local: LocalMedia) -> Media:
    types = {name: STATIC_TYPES[name] for name in local.codecs}
    if local.telephone_event:
        types[TELEPHONE_EVENT] = TELEPHONE_EVENT_TYPE
    return _line(local, types, local.direction, local.rtcp_mux)


def _line(local: LocalMedia, types: dict[str, int], direction: str, rtcp_mux: bool) -> Media:
    attributes: list[tuple[str, str | None]] = [rtpmap(n, t) for n, t in types.items()]
    if TELEPHONE_EVENT in types:
        attributes.append(("fmtp", f"{types[TELEPHONE_EVENT]} {TELEPHONE_EVENTS}"))
    attributes += [("ptime", str(local.ptime_ms)), (direction, None)]
    if rtcp_mux:
        attributes.append(("rtcp-mux", None))
    formats = tuple(str(number) for number in types.values())
    return Media("audio", local.port, PROTOCOL, formats, None, tuple(attributes))


def make_answer(offer: SessionDescription, local: LocalMedia, origin: Origin) -> Negotiated:
    """Our answer to ``offer``.

    NotAcceptableError when there is nothing to agree on, RemoteProtocolError(400) when what the
    offer says of its audio is malformed.
    """
    index, types = _choose_line(offer, local)
    offered = offer.media[index]
    direction = _answer_direction(offer, offered, local)
    line = _line(local, types, direction, local.rtcp_mux and offered.has("rtcp-mux"))
    lines = tuple(line if i == index else _refused(m) for i, m in enumerate(offer.media))
    description = SessionDescription(origin, lines, Connection(local.address))
    media = _agreed(ours=line, theirs=offered, session=offer, send=types, receive=types)
    return Negotiated(description, media)


def _choose_line(offer: SessionDescription, local: LocalMedia) -> tuple[int, dict[str, int]]:
    """The line to take and the payload types to answer with."""
    audio = [(i, m) for i, m in enumerate(offer.media) if m.kind == "audio" and m.port]
    if not audio:
        raise NotAcceptableError("Media type not available", warning=304)
    plain = [(i, m) for i, m in audio if m.protocol.upper() == PROTOCOL]
    if not plain:
        raise NotAcceptableError("Incompatible transport protocol", warning=302)
    for index, media in plain:
        types = _common_types(media, local)
        if types:
            if family(offer.connection_of(media).address) != family(local.address):
                raise NotAcceptableError("Incompatible network address formats", warning=301)
            return index, types
    raise NotAcceptableError("Incompatible media format", warning=305)


def _common_types(media: Media, local: LocalMedia) -> dict[str, int]:
    offered = payload_types(media)
    codec = next((name for name in offered if name in local.codecs), None)
    if codec is None:
        return {}
    types = {codec: offered[codec]}
    if local.telephone_event and TELEPHONE_EVENT in offered:
        types[TELEPHONE_EVENT] = offered[TELEPHONE_EVENT]
    return types


def _answer_direction(offer: SessionDescription, media: Media, local: LocalMedia) -> str:
    """The offer's direction seen from our side, as far as we want it ourselves (6.1)."""
    theirs = offer.direction_of(media)
    they_hold = offer.connection_of(media).address in BLACK_HOLES
    sending = _RECEIVES[theirs] and _SENDS[local.direction] and not they_hold
    receiving = _SENDS[theirs] and _RECEIVES[local.direction]
    return {
        (True, True): "sendrecv",
        (True, False): "sendonly",
        (False, True): "recvonly",
        (False, False): "inactive",
    }[sending, receiving]


def _refused(media: Media) -> Media:
    return replace(media, port=0, port_count=1, connection=None, attributes=())


def accept_answer(offer: SessionDescription, answer: SessionDescription) -> NegotiatedMedia:
    """What the other's answer to our offer means.

    RemoteProtocolError when it answers another offer, NotAcceptableError when it refuses the audio.
    """
    if len(offer.media) != len(answer.media):
        raise RemoteProtocolError("Answer does not match the offer")
    index = _used_line(offer)
    ours, theirs = offer.media[index], answer.media[index]
    if not theirs.port:
        raise NotAcceptableError("Media type not available", warning=304)
    receive, send = payload_types(ours), payload_types(theirs)
    codec = next((name for name in send if name in receive and name != TELEPHONE_EVENT), None)
    if codec is None:
        raise NotAcceptableError("Incompatible media format", warning=305)
    return _agreed(ours=ours, theirs=theirs, session=answer, send=send, receive=receive)


def _agreed(
    *,
    ours: Media,
    theirs: Media,
    session: SessionDescription,
    send: dict[str, int],
    receive: dict[str, int],
) -> NegotiatedMedia:
    codec = next(name for name in send if name in receive and name != TELEPHONE_EVENT)
    events = TELEPHONE_EVENT in send and TELEPHONE_EVENT in receive
    host = session.connection_of(theirs).address
    mux = ours.has("rtcp-mux") and theirs.has("rtcp-mux")
    rtcp_host, rtcp_port = (host, theirs.port) if mux else _rtcp_address(theirs, host)
    our_direction = next(name for name, _ in ours.attributes if name in _SENDS)
    their_direction = session.direction_of(theirs)
    return NegotiatedMedia(
        codec=codec,
        payload_type_send=send[codec],
        payload_type_receive=receive[codec],
        dtmf_send=send[TELEPHONE_EVENT] if events else None,
        dtmf_receive=receive[TELEPHONE_EVENT] if events else None,
        remote_host=host,
        remote_port=theirs.port,
        remote_rtcp_host=rtcp_host,
        remote_rtcp_port=rtcp_port,
        rtcp_mux=mux,
        ptime_ms=_milliseconds(theirs, "ptime") or 20,
        maxptime_ms=_milliseconds(theirs, "maxptime"),
        sending=_SENDS[our_direction] and _RECEIVES[their_direction] and host not in BLACK_HOLES,
        receiving=_RECEIVES[our_direction] and _SENDS[their_direction],
    )


def _rtcp_address(media: Media, host: str) -> tuple[str, int]:
    """Where their RTCP listens: ``a=rtcp`` (RFC 3605), else the next port."""
    value = media.attribute("rtcp")
    if value is None:
        return host, min(media.port + 1, 65535)
    port, _, address = value.strip().partition(" ")
    return (
        Connection.parse(address).address if address else host,
        parse_number(port, "RTCP port", 65535),
    )


def _milliseconds(media: Media, name: str) -> int | None:
    """ptime or maxptime; some phones write fractions, and nonsense is as good as nothing."""
    try:
        value = float(media.attribute(name) or "")
    except ValueError:
        return None
    return int(value) if 1 <= value <= 1000 else None
