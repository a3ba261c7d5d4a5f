"""What can be wrong with what arrives. It is dropped and counted; trying again is pointless."""


class MalformedPacket(ValueError):  # noqa: N818 - a fact about a packet
    """Bytes that are no RTP or RTCP."""
