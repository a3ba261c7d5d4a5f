"""RTP, RTCP, telephone events and the media of a call. Pure: bytes and `now` go in."""

from callfleet_agent.rtp.dtmf import Digit
from callfleet_agent.rtp.errors import MalformedPacket
from callfleet_agent.rtp.format import Format
from callfleet_agent.rtp.jitter import JitterSettings
from callfleet_agent.rtp.latch import Address
from callfleet_agent.rtp.media import MediaSession, MediaSettings, MediaStats, MediaTick
from callfleet_agent.rtp.packet import RtpPacket

__all__ = [
    "Address",
    "Digit",
    "Format",
    "JitterSettings",
    "MalformedPacket",
    "MediaSession",
    "MediaSettings",
    "MediaStats",
    "MediaTick",
    "RtpPacket",
]
