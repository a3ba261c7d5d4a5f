"""What a request must pass before a call or a policy sees it (RFC 3261 section 8.2).

An ordered tuple of small checks; each gives a Refusal or None. A new rule is a new function.
"""

from collections.abc import Callable
from dataclasses import dataclass

from callfleet_agent.sip.bodies import ACCEPTED_TYPES
from callfleet_agent.sip.fields.token_list import format_tokens
from callfleet_agent.sip.message import Request
from callfleet_agent.sip.settings import ALLOWED_METHODS, SUPPORTED_EXTENSIONS, UserAgentSettings
from callfleet_agent.sip.uri import SipUri

Field = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a request is refused."""

    status: int
    headers: tuple[Field, ...] = ()
    reason: str | None = None


def _method(request: Request, _: UserAgentSettings) -> Refusal | None:
    if request.method in ALLOWED_METHODS:
        return None
    return Refusal(405, (("Allow", format_tokens(ALLOWED_METHODS)),))


def _scheme(request: Request, _: UserAgentSettings) -> Refusal | None:
    known = isinstance(request.uri, SipUri) or request.uri.scheme.lower() == "tel"
    return None if known else Refusal(416)


def _hops(request: Request, settings: UserAgentSettings) -> Refusal | None:
    """A last hop needs no further ones; a request on its way to somebody else does."""
    foreign = [r for r in request.routes if not _is_ours(r.uri, settings)]
    return Refusal(483) if foreign and request.max_forwards == 0 else None


def _is_ours(uri: object, settings: UserAgentSettings) -> bool:
    advertised = settings.advertised
    return (
        isinstance(uri, SipUri)
        and uri.host.strip("[]") == advertised.host
        and uri.effective_port == advertised.port
    )


def _extensions(request: Request, _: UserAgentSettings) -> Refusal | None:
    """ACK and CANCEL are never refused for what they require (8.2.2.3)."""
    if request.method in ("ACK", "CANCEL"):
        return None
    required = request.tokens("Require")
    unknown = [name for name in required if name.lower() not in SUPPORTED_EXTENSIONS]
    return Refusal(420, (("Unsupported", format_tokens(unknown)),)) if unknown else None


def _encoding(request: Request, _: UserAgentSettings) -> Refusal | None:
    encodings = {name.lower() for name in request.tokens("Content-Encoding")}
    if not request.body or encodings <= {"identity"}:
        return None
    return Refusal(415, (("Accept-Encoding", "identity"),))


def _content(request: Request, _: UserAgentSettings) -> Refusal | None:
    accepted = ACCEPTED_TYPES.get(request.method)
    if not request.body or accepted is None or _is_optional(request):
        return None
    content_type = request.content_type
    if content_type is not None and content_type.essence in accepted:
        return None
    return Refusal(415, (("Accept", format_tokens(accepted)),))


def _is_optional(request: Request) -> bool:
    disposition = (request.headers.get("Content-Disposition") or "").lower()
    return "handling=optional" in disposition.replace(" ", "")


def _interval(request: Request, settings: UserAgentSettings) -> Refusal | None:
    asked, minimum = request.session_expires, settings.min_session_expires_s
    if request.method not in ("INVITE", "UPDATE") or asked is None or asked.seconds >= minimum:
        return None
    if "timer" not in request.tokens("Supported"):
        return None  # it would not understand the refusal (RFC 4028 section 9)
    return Refusal(422, (("Min-SE", str(minimum)),))


CHECKS: tuple[Callable[[Request, UserAgentSettings], Refusal | None], ...] = (
    _method,
    _scheme,
    _hops,
    _extensions,
    _encoding,
    _content,
    _interval,
)


def first_refusal(request: Request, settings: UserAgentSettings) -> Refusal | None:
    return next((found for check in CHECKS if (found := check(request, settings))), None)
