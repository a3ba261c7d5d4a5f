"""Session timers (RFC 4028): who refreshes, when, and what happens when nobody did."""

from collections.abc import Callable
from dataclasses import dataclass

from callfleet_agent.sip.core import Core
from callfleet_agent.sip.fields.session_timer import SessionExpires
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.timers import Timer

LOCAL, REMOTE = "local", "remote"


@dataclass(frozen=True, slots=True)
class Session:
    """What was agreed on: the interval, and who refreshes (``local`` or ``remote``)."""

    seconds: int
    refresher: str


def agree_as_server(request: Request) -> Session | None:
    """What a request asks for: the refresher it names, else the caller if it can, else we (9)."""
    asked = request.session_expires
    if asked is None:
        return None
    able = "timer" in request.tokens("Supported")
    if not able or asked.refresher == "uas":
        return Session(asked.seconds, LOCAL)
    return Session(asked.seconds, REMOTE)


def headers_as_server(request: Request, session: Session | None) -> list[tuple[str, str]]:
    """What the success says of the session. A caller that cannot do it must not be required to."""
    if session is None:
        return []
    refresher = "uas" if session.refresher == LOCAL else "uac"
    headers = [("Session-Expires", str(SessionExpires(session.seconds, refresher)))]
    if "timer" in request.tokens("Supported"):
        headers.append(("Require", "timer"))
    return headers


def agree_as_client(response: Response) -> Session | None:
    """What the success to a request of ours says: ``uac`` is us."""
    given = response.session_expires
    if given is None:
        return None
    return Session(given.seconds, REMOTE if given.refresher == "uas" else LOCAL)


class SessionTimer:
    """Runs the agreed session: ``refresh`` in its middle when we refresh, ``expire`` at its end."""

    def __init__(
        self,
        core: Core,
        refresh: Callable[[], None],
        expire: Callable[[], None],
    ) -> None:
        self._core = core
        self._refresh = refresh
        self._expire = expire
        self._timers: list[Timer] = []

    def start(self, session: Session | None) -> None:
        """Begin anew: each refresh does so; None: this session has no end."""
        self.stop()
        if session is None:
            return
        # Section 10: the one who does not refresh sends BYE a little before the end.
        margin = min(32.0, session.seconds / 3)
        self._timers = [self._core.after(session.seconds - margin, self._expire)]
        if session.refresher == LOCAL:
            self._timers.append(self._core.after(session.seconds / 2, self._refresh))

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []
