"""Session descriptions (RFC 8866) and offer/answer for one audio stream (RFC 3264)."""

from callfleet_agent.sip.sdp.description import Connection, Media, Origin, SessionDescription
from callfleet_agent.sip.sdp.negotiation import (
    LocalMedia,
    Negotiated,
    NegotiatedMedia,
    accept_answer,
    make_answer,
    make_offer,
)

__all__ = [
    "Connection",
    "LocalMedia",
    "Media",
    "Negotiated",
    "NegotiatedMedia",
    "Origin",
    "SessionDescription",
    "accept_answer",
    "make_answer",
    "make_offer",
]
