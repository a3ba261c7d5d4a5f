"""How a call is made, seen through before anything is sent."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.routing import destination_of
from callfleet_agent.sip.settings import Peer, bracketed
from callfleet_agent.sip.uri import SipUri, parse_uri

TRANSPORTS: Final = ("UDP", "TCP")
_LIKE: Final = "write it like sip:agent@127.0.0.1:5060"


@dataclass(frozen=True, slots=True)
class PhoneSettings:
    """How a call is made. Times are seconds."""

    uri: str
    turns: tuple[Turn, ...] = ()
    bind: str | None = None
    port: int = 0
    rtp_first: int = 30000
    rtp_last: int = 34999
    transport: str = "udp"
    via: str | None = None
    from_uri: str | None = None
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    record: Path | None = None
    recognise: bool = True
    bank_name: str = "Example Bank"
    voice: str = "en-gb"
    words_per_minute: int = 150
    answer_timeout_s: float = 20.0
    turn_timeout_s: float = 25.0
    listen_s: float | None = None
    hang_up: bool = True
    agent_quiet_s: float = 0.9

    @property
    def target(self) -> str:
        """The URI that is called; `agent@host` is a SIP URI, too."""
        uri = self.uri if _has_scheme(self.uri) else f"sip:{self.uri}"
        if self.transport.lower() == "tcp" and ";transport=" not in uri:
            uri += ";transport=tcp"
        return uri

    @property
    def proxy(self) -> str | None:
        """The URI of the proxy that the call goes through."""
        if self.via is None:
            return None
        return self.via if _has_scheme(self.via) else f"sip:{self.via}"

    def checked(self) -> Peer:
        """Where the call is sent to.

        Raises:
            SettingsError: an option cannot be used; the text names it, and not its value.
        """
        called = _sip_uri("SIP-URI", self.target)
        if self.from_uri is not None:
            _sip_uri("--from", self.from_uri)
        if self.bind is not None:
            _check_address(self.bind)
        if self.record is not None:
            _check_writable(self.record)
        first = called if self.proxy is None else _sip_uri("--via", self.proxy)
        try:
            return destination_of(first, TRANSPORTS)
        except RemoteProtocolError as error:
            name = "SIP-URI" if self.proxy is None else "--via"
            raise SettingsError(f"{name}: this phone speaks UDP and TCP, without TLS") from error


def _has_scheme(text: str) -> bool:
    """A colon alone may stand before a port."""
    scheme, colon, rest = text.partition(":")
    known = scheme.lower() in {"sip", "sips", "tel"}
    return bool(colon) and (known or rest.startswith("//"))


def _sip_uri(name: str, text: str) -> SipUri:
    try:
        uri = parse_uri(text)
    except RemoteProtocolError as error:
        raise SettingsError(f"{name}: {error.reason.lower()}; {_LIKE}") from error
    if not isinstance(uri, SipUri):
        raise SettingsError(f"{name}: is no SIP address; {_LIKE}")
    return uri


def place_of(uri: str) -> str | None:
    """Host and port of a SIP URI; whom it names stays out."""
    known = parse_uri(uri)
    if not isinstance(known, SipUri):
        return None
    return f"{bracketed(known.host)}:{known.effective_port}"


def _check_address(bind: str) -> None:
    try:
        ipaddress.ip_address(bind)
    except ValueError as error:
        raise SettingsError("--bind: is no IP address") from error


def _check_writable(path: Path) -> None:
    """Known before the call, not after it."""
    folder = path.parent
    if not folder.is_dir() or path.is_dir():
        raise SettingsError(f"--record: {path} cannot be written: no such folder")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise SettingsError(f"--record: {path} cannot be written: permission denied")
