"""The sound of one call: what SDP negotiated, its ports, and its session."""

import logging
from collections.abc import Callable

from callfleet_agent.app.call_parts import CallParts
from callfleet_agent.app.media_terms import media_settings
from callfleet_agent.rtp import MediaSession, MediaStats, MediaTick
from callfleet_agent.sip import sdp
from callfleet_agent.sip.call import Call as SipCall
from callfleet_agent.sip.errors import NotAcceptableError, RemoteProtocolError
from callfleet_agent.transport.rtp_call import RtpCall
from callfleet_agent.transport.rtp_port import RtpEndpoint

_log = logging.getLogger(__name__)


class CallMedia:
    """Answers offers, and has the media session once there is one."""

    def __init__(self, parts: CallParts, call: SipCall, cname: str) -> None:
        self._parts = parts
        self._sip = call
        self._cname = cname
        self._local: sdp.LocalMedia | None = None
        self._rtp: RtpCall | None = None
        self.session: MediaSession | None = None
        self.receiving = True
        self.codec: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the ports are the session's."""
        return self._rtp is not None

    def answer(self, port: int, offer: sdp.SessionDescription | None) -> sdp.NegotiatedMedia | None:
        """Send 200; None where the caller's ACK will bring the answer to our offer.

        Raises:
            NotAcceptableError: the offer has nothing that we can speak.
        """
        parts = self._parts
        self._local = sdp.LocalMedia(parts.address, port, codecs=parts.codecs)
        with parts.sip.commands() as now:
            origin = self._sip.origin(parts.address)
            if offer is None:
                self._sip.answer(sdp.make_offer(self._local, origin), now=now)
                return None
            negotiated = sdp.make_answer(offer, self._local, origin)
            self._sip.answer(negotiated.description, now=now)
            return negotiated.media

    def accepted(self, answer: sdp.SessionDescription) -> sdp.NegotiatedMedia | None:
        """What the answer to our offer negotiated; None when it cannot be used."""
        if self._local is None:
            return None
        try:
            ours = sdp.make_offer(self._local, self._sip.origin(self._parts.address))
            return sdp.accept_answer(ours, answer)
        except RemoteProtocolError:
            return None

    def open(
        self,
        media: sdp.NegotiatedMedia,
        endpoint: RtpEndpoint,
        on_tick: Callable[[MediaTick], None],
    ) -> MediaSession:
        """The session on these ports."""
        parts = self._parts
        self.session = session = MediaSession(
            media_settings(media, self._cname), rng=parts.rng, now=parts.clock()
        )
        self.receiving, self.codec = media.receiving, media.codec
        self._rtp = RtpCall(endpoint, session, parts.ticker, on_tick=on_tick, clock=parts.clock)
        return session

    def start(self) -> None:
        """Let sound go both ways."""
        if self._rtp is not None:
            self._rtp.start()

    def reoffered(self, offer: sdp.SessionDescription | None) -> None:
        """The caller offers again: hold, another address, or nothing, so that we offer."""
        if self._local is None:
            return
        origin = self._sip.origin(self._parts.address)
        try:
            with self._parts.sip.commands() as now:
                if offer is None:
                    self._sip.answer(sdp.make_offer(self._local, origin), now=now)
                    return
                negotiated = sdp.make_answer(offer, self._local, origin)
                self._sip.answer(negotiated.description, now=now)
        except NotAcceptableError as error:
            with self._parts.sip.commands() as now:
                self._sip.reject(488, warning=(error.warning, error.reason), now=now)
            return
        self._renegotiate(negotiated.media)

    def reanswered(self, answer: sdp.SessionDescription) -> None:
        """An ACK brings the answer to what we offered again."""
        media = self.accepted(answer)
        if media is not None:
            self._renegotiate(media)
        elif self._local is not None:
            _log.warning("the answer to our offer cannot be used, the session stays as it was")

    def _renegotiate(self, media: sdp.NegotiatedMedia) -> None:
        self.receiving = media.receiving
        if self.session is not None:
            self.session.renegotiate(media_settings(media, self._cname), self._parts.clock())

    def silent_for(self) -> float:
        """Seconds without sound from the caller; 0 while none is awaited."""
        if self.session is None or not self.receiving:
            return 0.0
        return self.session.silent_for(self._parts.clock())

    async def close(self) -> MediaStats | None:
        """Give the ports back; what the session counted."""
        stats = None if self.session is None else self.session.stats(self._parts.clock())
        if self._rtp is not None:
            await self._rtp.close()
        return stats
