"""An agent that answers every call on loopback, and whose end of it goes as a test wants it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from callfleet_agent.rtp import RtpPacket
from fakes.sip_pods import Address, Message, sdp

LOOPBACK = "127.0.0.1"
_COPIED = ("via", "from", "call-id", "cseq")
_SOUND = bytes(160)  # PCMU, 20 ms of it


@dataclass
class FadingAgent(asyncio.DatagramProtocol):
    """`bye`: the status of its answer to BYE, None for silence. `glare`: its own BYE goes out
    before that ("first") or after it ("late"). `sends`: audio or none. `direction`: of its SDP."""

    bye: int | None = 200
    glare: str = ""
    sends: bool = True
    direction: str = "sendrecv"
    byes: int = 0
    agreed: list[int] = field(default_factory=list)  # the answers to its own BYE
    _transport: asyncio.DatagramTransport | None = None
    _invite: Message | None = None
    _sending: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)  # by Call-ID

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(LOOPBACK, 0)
        )

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if not data.strip():
            return  # whether anybody listens
        message = Message.parse(data)
        if message.is_response:
            self.agreed.append(message.status)
        elif message.method == "INVITE":
            self._answer(message, addr)
        elif message.method == "BYE":
            self.byes += 1
            self._end(message, addr)

    def _answer(self, invite: Message, caller: Address) -> None:
        self._invite = invite
        contact = [("contact", f"<sip:agent@{LOOPBACK}:{self.port}>")]
        described = sdp(self.port) + f"a={self.direction}\r\n"
        described_as = [*contact, ("content-type", "application/sdp")]
        self._send(_response(invite, 200, described_as, described), caller)
        found = re.search(r"m=audio (\d+)", invite.body)
        if self.sends and found is not None and invite.get("call-id") not in self._sending:
            speaking = asyncio.create_task(self._speak((LOOPBACK, int(found[1]))))
            self._sending[invite.get("call-id")] = speaking

    async def _speak(self, phone: Address) -> None:
        """Packets of sound every 20 ms, from the port that the description names."""
        number = 0
        while self._transport is not None:
            packet = RtpPacket(0, number, 160 * number, 7, _SOUND)
            self._transport.sendto(bytes(packet), phone)
            number += 1
            await asyncio.sleep(0.02)

    def _end(self, bye: Message, caller: Address) -> None:
        if self.glare == "first":
            self._hang_up(caller)
        if self.bye is not None:
            self._send(_response(bye, self.bye), caller)
        if self.glare == "late":
            self._hang_up(caller)

    def _hang_up(self, caller: Address) -> None:
        invite = self._invite
        assert invite is not None
        target = invite.get("contact").strip("<>")
        headers = [
            ("via", f"SIP/2.0/UDP {LOOPBACK}:{self.port};branch=z9hG4bKfading"),
            ("from", f"{invite.get('to')};tag=agent"),
            ("to", invite.get("from")),
            ("call-id", invite.get("call-id")),
            ("cseq", "1 BYE"),
            ("max-forwards", "70"),
        ]
        self._send(Message(f"BYE {target} SIP/2.0", tuple(headers)), caller)

    def _send(self, message: Message, to: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(message.encode(), to)

    async def has_heard_all(self) -> None:
        """Until it has taken what was sent to it: a turn of the loop takes one datagram."""
        for _ in range(300):
            await asyncio.sleep(0)

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        for speaking in self._sending.values():
            speaking.cancel()
        await asyncio.gather(*self._sending.values(), return_exceptions=True)


def _response(
    request: Message, status: int, headers: list[tuple[str, str]] | None = None, body: str = ""
) -> Message:
    copied = [item for item in request.headers if item[0] in _COPIED]
    to = request.get("to")
    to = to if "tag=" in to else f"{to};tag=agent"
    return Message(f"SIP/2.0 {status} Whatever", (*copied, ("to", to), *(headers or [])), body)


@asynccontextmanager
async def fading(agent: FadingAgent) -> AsyncIterator[FadingAgent]:
    """The agent on a free port; its audio comes from the same one."""
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()
