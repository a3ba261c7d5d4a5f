"""A peer that says exactly what a test wants it to say to a user agent."""

from callfleet_agent.sip.message import Message, Request, Response
from callfleet_agent.sip.parser import parse_message
from callfleet_agent.sip.settings import Peer
from callfleet_agent.sip.user_agent import UserAgent

HOST = "203.0.113.7"
SDP = (
    "v=0\r\no=- 9 {version} IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n"
    "m=audio 30000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


def description(version: int = 1) -> str:
    return SDP.format(version=version)


class FakePeer:
    """Speaks raw SIP. ``now`` is what the user agent is told the time is."""

    def __init__(self, user_agent: UserAgent, transport: str = "UDP") -> None:
        self.user_agent = user_agent
        self.now = 0.0
        self.source = Peer(transport, HOST, 5060, 1 if transport == "TCP" else None)
        self.call_id = "call-1"
        self.to_tag: str | None = None
        self._branch = 0

    def say(self, text: str | bytes) -> list[Message]:
        """Bytes to the agent; what it says."""
        data = text if isinstance(text, bytes) else text.encode()
        self.user_agent.receive(data, self.source, now=self.now)
        return self.hear()

    def hear(self) -> list[Message]:
        return [parse_message(out.data) for out in self.user_agent.take_datagrams()]

    def wait(self, seconds: float) -> list[Message]:
        """Let time pass; what the agent says meanwhile."""
        end, heard = self.now + seconds, []
        while (at := self.user_agent.next_timer()) is not None and at <= end:
            self.now = max(self.now, at)
            self.user_agent.handle_timers(now=self.now)
            heard += self.hear()
        self.now = end
        return heard

    def request(
        self,
        method: str,
        cseq: int = 1,
        *,
        body: str = "",
        extra: tuple[str, ...] = (),
        branch: str | None = None,
        uri: str = "sip:+15550100@192.0.2.2",
        replace: tuple[str, str] = ("", ""),
    ) -> list[Message]:
        """One request; each has a branch of its own unless it is given one."""
        self._branch += 1
        branch = branch or f"z9hG4bKp{self._branch}"
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        kind = ("Content-Type: application/sdp",) if body.startswith("v=0") else ()
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.source.transport} {HOST}:5060;branch={branch}",
            "Max-Forwards: 70",
            "From: <sip:+15550111@example.com>;tag=peer",
            f"To: <sip:+15550100@example.com>{tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:peer@{HOST}:5060>",
            *kind,
            *extra,
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        return self.say("\r\n".join(lines).replace(*replace) if replace[0] else "\r\n".join(lines))

    def respond(
        self,
        request: Message,
        status: int,
        *,
        tag: str | None = "peer",
        body: str = "",
        extra: tuple[str, ...] = (),
        contact: str = f"sip:peer@{HOST}:5060",
    ) -> list[Message]:
        """Answer a request of the agent's."""
        kind = ("Content-Type: application/sdp",) if body else ()
        to = request.required("To") + (f";tag={tag}" if tag and not request.to.tag else "")
        lines = [
            f"SIP/2.0 {status} Whatever",
            *(f"Via: {via}" for via in request.vias),
            f"From: {request.required('From')}",
            f"To: {to}",
            f"Call-ID: {request.call_id}",
            f"CSeq: {request.cseq}",
            f"Contact: <{contact}>",
            *kind,
            *extra,
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        return self.say("\r\n".join(lines))

    def call(self, **settings: object) -> None:
        """INVITE with an offer, as far as the agent's event."""
        self.request("INVITE", body=description(), branch="z9hG4bKinvite", **settings)  # type: ignore[arg-type]


def statuses(messages: list[Message]) -> list[int]:
    return [message.status for message in messages if isinstance(message, Response)]


def methods(messages: list[Message]) -> list[str]:
    return [message.method for message in messages if isinstance(message, Request)]
