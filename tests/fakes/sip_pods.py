"""FakePod answers SIP like an agent pod, FakeCaller calls like a phone: UDP, and no more than that.

Only what a proxy can see is there: OPTIONS, INVITE, ACK and BYE with the headers of RFC 3261 8.2.6;
an offer of media is answered, and no media flows. A pod can be dead (silent), full (503 to calls)
or draining (503 to OPTIONS too), and asks back inside its last call. A request that is sent again,
because this process was slow to answer, is answered again and counted once; an answer belongs to
the request whose branch it has (RFC 3261 17.1.3).
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

Address = tuple[str, int]
LIMIT_S = 60.0  # how long an answer may take: machines are slow at times
_SDP = [("content-type", "application/sdp")]
_COPIED = ("via", "from", "to", "call-id", "cseq")


def sdp(port: int) -> str:
    """A description of one audio stream at a port of loopback."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    return "\r\n".join([*lines, f"m=audio {port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", ""])


@dataclass(frozen=True)
class Message:
    """A request or response: first line, headers in order with lower-case names."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> "Message":
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(first, tuple((n.strip().lower(), v.strip()) for n, _, v in pairs), body)

    @property
    def method(self) -> str:
        return self.first.split(" ", 1)[0]

    @property
    def is_response(self) -> bool:
        return self.first.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        return int(self.first.split(" ", 2)[1])

    def get(self, name: str) -> str:
        return next((value for known, value in self.headers if known == name), "")

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    @property
    def branch(self) -> str:
        """What is the same in a request, in each copy of it, and in every response to it."""
        return self.get("via").rpartition("branch=")[2].partition(";")[0]

    def encode(self) -> bytes:
        lines = [self.first, *(f"{name}: {value}" for name, value in self.headers)]
        lines.append(f"content-length: {len(self.body.encode())}")
        return ("\r\n".join(lines) + "\r\n\r\n" + self.body).encode()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[Message, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(Message.parse(data), addr)


async def _listen(
    address: Address, received: Callable[[Message, Address], None]
) -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(received), local_addr=address
    )
    return transport


@dataclass
class FakePod:
    """One pod at `address`. `invites` has the loop time of every first INVITE of a call, `offers`
    the descriptions of media that came with them."""

    address: Address
    dead: bool = False
    full: bool = False
    draining: bool = False
    invites: list[float] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)
    media_port: int = 20000
    byes: int = 0
    unanswered: set[str] = field(default_factory=set)  # calls that came while it was dead
    limit_s: float = LIMIT_S
    _calls: set[str] = field(default_factory=set)
    _ended: set[str] = field(default_factory=set)  # the branches of its BYEs
    _last: tuple[Message, Address] | None = None
    target: str = ""  # where the caller of the last call said last to be
    _waiting: dict[str, "asyncio.Future[Message]"] = field(default_factory=dict)
    _invited: asyncio.Event = field(default_factory=asyncio.Event)
    _transport: asyncio.DatagramTransport | None = None

    @property
    def uri(self) -> str:
        return f"sip:{self.address[0]}:{self.address[1]}"

    async def start(self) -> None:
        self._transport = await _listen(self.address, self._receive)

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def called(self, times: int) -> None:
        """Until this many calls have come."""
        await self._until(lambda: len(self.invites) >= times)

    async def missed(self, times: int) -> None:
        """Until this many calls have come while it was dead."""
        await self._until(lambda: len(self.unanswered) >= times)

    async def _until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.limit_s):
            while not wanted():
                self._invited.clear()
                await self._invited.wait()

    async def ask_back(self, method: str, target: str = "", *, translated: bool = False) -> Message:
        """A request inside the last call, along its recorded route, and its final response.

        `target` is where the caller is by now; by default where he said last to be. `translated`:
        it leaves from another address than the pod's own."""
        assert self._last is not None
        assert self._transport is not None
        invite, proxy = self._last
        target = target or self.target
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        at = f"{self.address[0]}:{self.address[1]}"
        headers = [
            ("via", f"SIP/2.0/UDP {at};branch={branch};rport"),
            ("route", ", ".join(invite.all("record-route"))),
            ("from", f"{invite.get('to')};tag=pod"),
            ("to", invite.get("from")),
            ("call-id", invite.get("call-id")),
            ("cseq", f"1 {method}"),
            ("contact", f"<{self.uri}>"),
            ("max-forwards", "70"),
        ]
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[branch] = answer
        request = Message(f"{method} {target} SIP/2.0", tuple(headers))
        way = await _listen(("127.0.0.1", 0), self._receive) if translated else self._transport
        way.sendto(request.encode(), proxy)
        try:
            async with asyncio.timeout(self.limit_s):
                return await answer
        finally:
            if translated:
                way.close()

    def _receive(self, request: Message, source: Address) -> None:
        if self._transport is None or request.method == "ACK":
            return
        if self.dead:
            self._miss(request)
            return
        if request.is_response:
            waiting = self._waiting.get(request.branch)
            if request.status >= 200 and waiting is not None and not waiting.done():
                waiting.set_result(request)
            return
        if request.method == "INVITE":
            if self._last is None or self._last[0].get("call-id") != request.get("call-id"):
                self._last = request, source
            self.target = request.get("contact").strip("<>")
        for status, reason in self._answers(request):
            self._transport.sendto(self._response(request, status, reason).encode(), source)

    def _miss(self, request: Message) -> None:
        if request.method == "INVITE":
            self.unanswered.add(request.get("call-id"))
            self._invited.set()

    def _answers(self, request: Message) -> list[tuple[int, str]]:
        if request.method == "OPTIONS":
            return [(503, "Service Unavailable") if self.draining else (200, "OK")]
        if request.method == "BYE" and request.branch not in self._ended:
            self._ended.add(request.branch)
            self.byes += 1
        if request.method == "INVITE":
            if request.get("call-id") not in self._calls:
                self._calls.add(request.get("call-id"))
                self.offers.append(request.body)
                self.invites.append(asyncio.get_running_loop().time())
                self._invited.set()
            if self.full or self.draining:
                return [(503, "Service Unavailable")]
            return [(100, "Trying"), (200, "OK")]
        return [(200, "OK")]

    def _response(self, request: Message, status: int, reason: str) -> Message:
        headers = [
            (name, f"{value};tag=pod" if name == "to" and ";tag=" not in value else value)
            for name, value in request.headers
            if name in _COPIED or name == "record-route"
        ]
        if status == 200:
            headers.append(("contact", f"<{self.uri}>"))
        if status == 503:
            headers.append(("retry-after", "1"))
        if status == 200 and request.method == "INVITE" and request.body:
            more = (*headers, *_SDP)
            return Message(f"SIP/2.0 {status} {reason}", more, sdp(self.media_port))
        return Message(f"SIP/2.0 {status} {reason}", tuple(headers))


@dataclass
class FakeCaller:
    """A phone that calls a number at a proxy and waits for the final answer. `byes` has the
    Call-ID of every BYE that came to it, and a request is answered with 200."""

    proxy: Address
    limit_s: float = LIMIT_S
    byes: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)  # the Request-URI of every request to it
    contact: str = ""  # what it says where it is, when that is not where it is
    _transport: asyncio.DatagramTransport | None = None
    _waiting: dict[str, "asyncio.Future[Message]"] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)  # the branches of what came

    async def start(self) -> None:
        self._transport = await _listen(("127.0.0.1", 0), self._receive)

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def uri(self) -> str:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")
        return f"sip:caller@{host}:{port}"

    async def call(
        self, number: str, offer: str = "", *, hang_up: bool = True, through: str = ""
    ) -> Message:
        """INVITE until the final response, which is acknowledged; hang up when it was answered.

        `through` is a proxy that recorded its route before."""
        call_id = secrets.token_hex(8)
        more = [("record-route", f"<{through};lr>")] if through else []
        more += _SDP if offer else []
        invite = self._request("INVITE", f"sip:{number}@{self._at}", call_id, 1, more)
        invite = replace(invite, body=offer)
        answer = await self._transact(invite)
        if answer.status < 300:
            self._send(self._in_dialog("ACK", answer, 1))
            if hang_up:
                await self.hang_up(answer)
        else:
            more = [("to", answer.get("to"))]
            at = f"sip:{number}@{self._at}"
            self._send(self._request("ACK", at, call_id, 1, more, invite.branch))
        return answer

    async def hang_up(self, answer: Message) -> None:
        """End the call that this answer began."""
        ended = await self._transact(self._in_dialog("BYE", answer, 2))
        assert ended.status == 200, ended.first

    def _in_dialog(self, method: str, answer: Message, number: int) -> Message:
        routes = [("route", value) for value in reversed(answer.all("record-route"))]
        more = [("to", answer.get("to")), *routes]
        target = answer.get("contact").strip("<>")
        return self._request(method, target, answer.get("call-id"), number, more)

    async def ask(self, method: str, target: str, more: list[tuple[str, str]]) -> Message:
        """One request of any kind and its final response."""
        call_id = secrets.token_hex(8)
        return await self._transact(self._request(method, target, call_id, 1, more))

    def send_raw(self, data: bytes) -> None:
        """Something that may be no SIP at all."""
        assert self._transport is not None
        self._transport.sendto(data, self.proxy)

    @property
    def _at(self) -> str:
        return f"{self.proxy[0]}:{self.proxy[1]}"

    async def _transact(self, request: Message) -> Message:
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[request.branch] = answer
        async with asyncio.timeout(self.limit_s):
            wait_s = 0.5
            while True:
                self._send(request)
                done, _ = await asyncio.wait({answer}, timeout=wait_s)
                if done:
                    return answer.result()
                wait_s = min(wait_s * 2, 4.0)

    def _receive(self, response: Message, source: Address) -> None:
        if not response.is_response:
            self._answer(response, source)
            return
        waiting = self._waiting.get(response.branch)
        if response.status >= 200 and waiting is not None and not waiting.done():
            waiting.set_result(response)

    def _answer(self, request: Message, source: Address) -> None:
        if request.method == "ACK" or self._transport is None:
            return
        if request.branch not in self._asked:
            self._asked.add(request.branch)
            self.named.append(request.first.split(" ")[1])
            if request.method == "BYE":
                self.byes.append(request.get("call-id"))
        copied = tuple(header for header in request.headers if header[0] in _COPIED)
        told = (*copied, ("contact", f"<{self.contact or self.uri}>"))
        self._transport.sendto(Message("SIP/2.0 200 OK", told).encode(), source)

    def _send(self, message: Message) -> None:
        assert self._transport is not None
        self._transport.sendto(message.encode(), self.proxy)

    def _request(
        self,
        method: str,
        target: str,
        call_id: str,
        number: int,
        more: list[tuple[str, str]] | None = None,
        branch: str | None = None,
    ) -> Message:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        headers = [
            ("via", f"SIP/2.0/UDP {host}:{port};branch={branch}"),
            ("from", f"<sip:caller@{host}:{port}>;tag={call_id}"),
            ("call-id", call_id),
            ("cseq", f"{number} {method}"),
            ("contact", f"<{self.contact or self.uri}>"),
            ("max-forwards", "70"),
            ("to", f"<{target}>"),
        ]
        instead = {name for name, _ in more or []}
        headers = [header for header in headers if header[0] not in instead] + (more or [])
        return Message(f"{method} {target} SIP/2.0", tuple(headers))
