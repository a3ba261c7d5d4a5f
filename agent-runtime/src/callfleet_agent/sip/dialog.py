"""A dialog as a small value that can be written down and taken up by another process.

RFC 3261 section 12. A pod that holds a Dialog can go on with the call: it sends requests with the
next CSeq along the route set, its own Contact in them (12.2, 14.1).
"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from callfleet_agent.sip.errors import LocalProtocolError
from callfleet_agent.sip.fields.cseq import CSeq
from callfleet_agent.sip.fields.name_addr import NameAddr
from callfleet_agent.sip.headers import headers_of
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.routing import route_request
from callfleet_agent.sip.uri import SipUri, parse_uri


@dataclass(frozen=True, slots=True)
class Dialog:
    """URIs and the route set are kept as text; descriptions are the last that were agreed on.

    ``initiator``: did we send the first INVITE? ``refresher``: who refreshes the session, ``local``
    or ``remote``; ``epoch`` is the owner's: a lower one may no longer act.
    """

    call_id: str
    local_tag: str
    remote_tag: str
    local_uri: str
    remote_uri: str
    remote_target: str
    route_set: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int | None = None
    initiator: bool = False
    transport: str = "UDP"
    local_sdp: str | None = None
    remote_sdp: str | None = None
    session_id: int = 0
    sdp_version: int = 0
    session_expires_s: int | None = None
    refresher: str | None = None
    remote_allows_update: bool = False
    epoch: int = 0

    @classmethod
    def of_server(cls, request: Request, local_tag: str, transport: str) -> Self:
        """The dialog that answering ``request`` makes (12.1.1)."""
        return cls(
            call_id=request.call_id,
            local_tag=local_tag,
            remote_tag=request.from_.tag or "",
            local_uri=str(request.to.with_tag(None)),
            remote_uri=str(request.from_.with_tag(None)),
            remote_target=_target(request) or str(request.from_.uri),
            route_set=tuple(str(route) for route in request.record_routes),
            remote_cseq=request.cseq.number,
            transport=transport,
            remote_allows_update="UPDATE" in request.tokens("Allow"),
        )

    @classmethod
    def of_client(cls, request: Request, response: Response, transport: str) -> Self:
        """The dialog that ``response`` to our ``request`` makes (12.1.2)."""
        return cls(
            call_id=request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            local_uri=str(request.from_.with_tag(None)),
            remote_uri=str(request.to.with_tag(None)),
            remote_target=_target(response) or str(request.uri),
            route_set=tuple(str(route) for route in reversed(response.record_routes)),
            local_cseq=request.cseq.number,
            initiator=True,
            transport=transport,
            remote_allows_update="UPDATE" in response.tokens("Allow"),
        )

    def request(self, method: str, cseq: int | None = None) -> tuple["Dialog", Request]:
        """The next request of ours, without Via, and the dialog after it.

        ACK and CANCEL repeat the number of their INVITE: ``cseq``.
        """
        number = self.local_cseq + 1 if cseq is None else cseq
        target = parse_uri(self.remote_target)
        uri, routes = route_request(target, tuple(NameAddr.parse(r) for r in self.route_set))
        local = NameAddr.parse(self.local_uri).with_tag(self.local_tag)
        remote = NameAddr.parse(self.remote_uri).with_tag(self.remote_tag or None)
        headers = headers_of(
            [
                *(("Route", route) for route in routes),
                ("Max-Forwards", 70),
                ("From", local),
                ("To", remote),
                ("Call-ID", self.call_id),
                ("CSeq", CSeq(number, method)),
            ],
        )
        uri = uri.as_request_uri() if isinstance(uri, SipUri) else uri
        after = replace(self, local_cseq=max(self.local_cseq, number))
        return after, Request(method=method, uri=uri, headers=headers)

    def refreshed_by(self, message: Request | Response) -> "Dialog":
        """Target refresh: the Contact of an INVITE or UPDATE, or of its success (12.2)."""
        return replace(self, remote_target=_target(message) or self.remote_target)

    def is_of(self, request: Request) -> bool:
        """Do the tags of a request from the other side name this dialog?"""
        return (
            request.call_id == self.call_id
            and (request.to.tag or "") == self.local_tag
            and (request.from_.tag or "") == self.remote_tag
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "route_set": list(self.route_set)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The reverse; fields that a newer version has written are left aside.

        LocalProtocolError when what is needed lacks.
        """
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        try:
            dialog = cls(**values)
        except TypeError as error:
            raise LocalProtocolError("Not a dialog") from error
        return replace(dialog, route_set=tuple(dialog.route_set))


def _target(message: Request | Response) -> str | None:
    return str(message.contacts[0].uri) if message.contacts else None
