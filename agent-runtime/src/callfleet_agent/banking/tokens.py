"""Bearer tokens for the bank: from a file, or by OAuth 2.0 client credentials (RFC 6749, 4.4)."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote_plus

import orjson

from callfleet_agent.banking.errors import (
    AuthenticationError,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    RequestRefusedError,
)

USUAL_LIFE_S: Final = 300.0  # of a token whose answer says none
_RENEW_BEFORE_S: Final = 30.0
_YOUNG_S: Final = 10.0
_MOST_TOKEN: Final = 8192
Ask = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""POST a form to a URL, with headers: the status and the body. Raises BankUnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthSettings:
    """Where tokens come from. The files are read for each token: Secrets rotate. Without a secret
    the client is known by its certificate (RFC 8705, 2)."""

    token_url: str
    client_id_file: Path
    client_secret_file: Path | None = None
    scope: str = ""


class Tokens(Protocol):
    """What requests to the bank carry."""

    async def bearer(self) -> str:
        """A token; empty for none. Raises BankingError."""
        ...

    def refused(self, token: str) -> bool:
        """The bank did not take this one: whether it is worth trying with another."""
        ...


@dataclass(frozen=True, slots=True)
class FileToken:
    """A token in a file that is read for each request; None: no token."""

    path: Path | None

    async def bearer(self) -> str:
        """See Tokens."""
        return "" if self.path is None else _text(self.path, "token")

    def refused(self, token: str) -> bool:  # noqa: ARG002
        """See Tokens."""
        return False


@dataclass(frozen=True, slots=True)
class _Held:
    text: str = field(repr=False)
    since: float
    until: float


class OAuthTokens:
    """Fetches a token when it is needed, and keeps it until shortly before its end. Requests that
    come while one is being fetched wait for it."""

    def __init__(self, settings: OAuthSettings, ask: Ask, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._ask = ask
        self._clock = clock
        self._held: _Held | None = None
        self._fetching = asyncio.Lock()

    async def bearer(self) -> str:
        """See Tokens."""
        if (held := self._usable()) is not None:
            return held.text
        async with self._fetching:
            held = self._usable() or await self._fetched()
            self._held = held
            return held.text

    def refused(self, token: str) -> bool:
        """See Tokens. A young token is not the reason: whoever refuses it does not want us."""
        held = self._held
        if held is None or held.text != token:
            return True
        if self._clock() - held.since < _YOUNG_S:
            return False
        self._held = None
        return True

    def _usable(self) -> _Held | None:
        held = self._held
        return held if held is not None and self._clock() < held.until else None

    async def _fetched(self) -> _Held:
        settings, asked_at = self._settings, self._clock()
        form = {"grant_type": "client_credentials"}
        if settings.scope:
            form["scope"] = settings.scope
        client, headers = _text(settings.client_id_file, "client id"), {}
        if settings.client_secret_file is None:
            form["client_id"] = client
        else:
            secret = _text(settings.client_secret_file, "client secret")
            both = f"{quote_plus(client)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        status, body = await self._ask(settings.token_url, form, headers)
        if (error := _error_of(status)) is not None:
            raise error
        text, life_s = _token_of(body)
        margin_s = min(_RENEW_BEFORE_S, life_s / 10)
        return _Held(text, asked_at, asked_at + life_s - margin_s)


def _token_of(body: bytes) -> tuple[str, float]:
    """RFC 6749, 5.1: the token and how long it lives."""
    try:
        answer: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _malformed() from None
    if not isinstance(answer, dict) or str(answer.get("token_type", "")).lower() != "bearer":
        raise _malformed()
    text, life = answer.get("access_token"), answer.get("expires_in", USUAL_LIFE_S)
    if not isinstance(text, str) or not 0 < len(text) <= _MOST_TOKEN:
        raise _malformed()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise _malformed()
    if isinstance(life, str) and life.isdecimal() and len(life) < 10:  # some servers quote it
        life = int(life)
    if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life < 10**9:
        raise _malformed()
    return text, float(life)


def _error_of(status: int) -> BankingError | None:
    if 200 <= status < 300:
        return None
    if status in {400, 401, 403}:
        return AuthenticationError("token_refused", "the bank gives us no token")
    if status in {408, 425, 429} or status >= 500:
        return BankUnavailableError("tokens_in_trouble", f"no token came: status {status}")
    return RequestRefusedError("no_token_endpoint", f"no token came: status {status}")


def _malformed() -> BankProtocolError:
    return BankProtocolError("malformed_token", "the answer of the bank's token endpoint is none")


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        code = f"bad_{what.replace(' ', '_')}_file"
        raise RequestRefusedError(code, f"the file of the bank's {what} cannot be read") from None
