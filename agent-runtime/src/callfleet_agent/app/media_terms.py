"""From what SDP negotiated to what the media session is told."""

from callfleet_agent.audio.g711 import Law
from callfleet_agent.rtp import Format, MediaSettings
from callfleet_agent.sip.sdp import NegotiatedMedia

_LAWS = {"PCMU": Law.PCMU, "PCMA": Law.PCMA}


def media_settings(media: NegotiatedMedia, cname: str) -> MediaSettings:
    """The media session's settings for a negotiated session."""
    law = _LAWS[media.codec]
    types = dict.fromkeys((media.payload_type_send, media.payload_type_receive))
    return MediaSettings(
        formats=tuple(Format(number, law) for number in types),
        telephone_event=media.dtmf_receive if media.dtmf_receive is not None else media.dtmf_send,
        remote=_endpoint(media.remote_host, media.remote_port),
        remote_rtcp=_endpoint(media.remote_rtcp_host, media.remote_rtcp_port),
        sending=media.sending,
        receiving=media.receiving,
        cname=cname,
    )


def _endpoint(host: str, port: int) -> tuple[str, int] | None:
    """Where to send, or None for a black hole (RFC 3264 section 8.4)."""
    return (host, port) if port and host not in {"0.0.0.0", "::"} else None  # noqa: S104
