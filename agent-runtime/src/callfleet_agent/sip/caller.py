"""Who calls: P-Asserted-Identity and Privacy (RFC 3325, RFC 3323), From otherwise."""

import re
from dataclasses import dataclass

from callfleet_agent.sip.fields.name_addr import NameAddr
from callfleet_agent.sip.fields.token_list import parse_tokens
from callfleet_agent.sip.message import Request
from callfleet_agent.sip.uri import SipUri, Uri

_HIDING = {"id", "header", "user"}
_ANONYMOUS_HOST = "anonymous.invalid"
_SEPARATORS = re.compile(r"[\-.()]")


@dataclass(frozen=True, slots=True)
class CallerId:
    """``id`` is a number or a user name; trusted ones were asserted by a proxy that we believe.

    A caller who withholds the number has no ``id``. No caller id is proof of identity.
    """

    id: str | None
    trusted: bool
    withheld: bool

    def __repr__(self) -> str:
        """A phone number has no place in a log."""
        return f"CallerId(trusted={self.trusted}, withheld={self.withheld})"


def identify(request: Request, *, trusted: bool) -> CallerId:
    """Who calls. ``trusted``: did the request come from a network whose assertions count?"""
    privacy = {t.lower() for t in parse_tokens(request.headers.get_all("Privacy"), "Privacy", ";")}
    asserted = _asserted(request) if trusted else None
    from_user = user_of(request.from_.uri)
    withheld = bool(privacy & _HIDING) or (asserted is None and _is_anonymous(request.from_))
    if withheld:
        return CallerId(None, trusted=asserted is not None, withheld=True)
    if asserted is not None:
        return CallerId(asserted, trusted=True, withheld=False)
    return CallerId(from_user, trusted=False, withheld=False)


def _asserted(request: Request) -> str | None:
    """The first asserted identity that names someone; a telephone number goes before a name."""
    values = request.headers.get_list("P-Asserted-Identity")
    users = [user_of(NameAddr.parse(value).uri) for value in values]
    named = [user for user in users if user is not None]
    numbers = [user for user in named if user.lstrip("+").isdigit()]
    return next(iter(numbers + named), None)


def user_of(uri: Uri) -> str | None:
    """The user part without its parameters, or the number of a tel URI without its separators."""
    if isinstance(uri, SipUri):
        return uri.user.partition(";")[0] if uri.user else None
    if uri.scheme.lower() == "tel":
        return _SEPARATORS.sub("", uri.rest.partition(";")[0])
    return None


def _is_anonymous(address: NameAddr) -> bool:
    uri = address.uri
    if isinstance(uri, SipUri) and uri.host.lower() == _ANONYMOUS_HOST:
        return True
    return (user_of(uri) or "anonymous").lower() == "anonymous"
