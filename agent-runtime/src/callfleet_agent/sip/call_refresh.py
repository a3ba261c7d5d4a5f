"""How a call keeps its session alive (RFC 4028): what it says, and what it does in time."""

from dataclasses import replace
from typing import TYPE_CHECKING

from callfleet_agent.sip.call_states import CallState
from callfleet_agent.sip.events import EndCause
from callfleet_agent.sip.fields.session_timer import SessionExpires
from callfleet_agent.sip.message import Request, Response
from callfleet_agent.sip.sdp import SessionDescription
from callfleet_agent.sip.session_timer import (
    LOCAL,
    Session,
    SessionTimer,
    agree_as_client,
    agree_as_server,
    headers_as_server,
)
from callfleet_agent.sip.transaction_layer import Handlers

if TYPE_CHECKING:
    from callfleet_agent.sip.call import Call

Field = tuple[str, str]


class CallRefresh:
    """The session timer of one call."""

    def __init__(self, call: "Call") -> None:
        self._call = call
        self._timer = SessionTimer(call.core, self._refresh, self._expire)

    def headers_for(self, request: Request) -> list[Field]:
        """What the success to ``request`` says of the session, which begins anew with it."""
        session = agree_as_server(request)
        self._run(session)
        return headers_as_server(request, session)

    def agreed_in(self, response: Response) -> None:
        """The success to a request of ours says how the session goes on."""
        self._run(agree_as_client(response))

    def headers(self) -> list[Field]:
        """What our own request says of the session."""
        dialog = self._call.known_dialog
        if dialog.session_expires_s is None:
            return []
        refresher = "uac" if dialog.refresher == LOCAL else "uas"
        return [("Session-Expires", str(SessionExpires(dialog.session_expires_s, refresher)))]

    def restore(self) -> None:
        """Go on with the session that the dialog tells of."""
        dialog = self._call.known_dialog
        if dialog.session_expires_s is not None and dialog.refresher is not None:
            self._timer.start(Session(dialog.session_expires_s, dialog.refresher))

    def stop(self) -> None:
        self._timer.stop()

    def _run(self, session: Session | None) -> None:
        self._call.known_dialog = replace(
            self._call.known_dialog,
            session_expires_s=session.seconds if session else None,
            refresher=session.refresher if session else None,
        )
        self._timer.start(session)

    def _refresh(self) -> None:
        """The middle of a session that we refresh; an offer under way does it as well."""
        call, dialog = self._call, self._call.known_dialog
        if call.state is not CallState.ESTABLISHED or call.busy:
            return
        if dialog.remote_allows_update or dialog.local_sdp is None:
            headers = [*call.own_headers(dialog.transport), *self.headers()]
            handlers = Handlers(self._refreshed, self._refresh_failed)
            call.send_in_dialog("UPDATE", handlers, headers=headers)
        else:
            call.context.reinvite(call, SessionDescription.parse(dialog.local_sdp))

    def _refreshed(self, response: Response) -> None:
        call = self._call
        if response.is_success:
            call.known_dialog = call.known_dialog.refreshed_by(response)
            self.agreed_in(response)
        elif not response.is_provisional:
            self._refresh_failed(response.status)

    def _refresh_failed(self, status: int) -> None:
        """481 and silence end the dialog (12.2.1.2); after anything else the timer decides."""
        if status in (408, 481, 503):
            self._call.lost(status)

    def _expire(self) -> None:
        call = self._call
        if call.state in (CallState.ANSWERED, CallState.ESTABLISHED):
            call.send_unheard_bye()
            call.end(EndCause.SESSION_EXPIRED)
