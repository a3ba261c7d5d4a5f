"""Allow, Supported, Require, Proxy-Require, Unsupported, Privacy: lists of tokens."""

from collections.abc import Iterable

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import is_token


def parse_tokens(values: Iterable[str], what: str, separator: str = ",") -> tuple[str, ...]:
    """All tokens of a field that may be repeated and may be empty."""
    tokens = [part.strip() for value in values for part in value.split(separator)]
    tokens = [token for token in tokens if token]
    if not all(is_token(token) for token in tokens):
        raise RemoteProtocolError(f"Malformed {what}")
    return tuple(tokens)


def format_tokens(tokens: Iterable[str]) -> str:
    return ", ".join(tokens)
