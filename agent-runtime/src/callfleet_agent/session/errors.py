"""Errors of the call and pod states."""


class SessionError(Exception):
    """Something about a call or the pod's phase is wrong."""


class CallStateError(SessionError):
    """An event came to a call in a state that does not know it: our own bug, never the caller's."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"a call that is {state} cannot take the event {event}")
        self.state = state
        self.event = event


class StaleEpochError(SessionError):
    """An intent came from a leader that has been replaced: the sender must stop, not try again."""

    def __init__(self, offered: int, accepted: int) -> None:
        super().__init__(f"epoch {offered} is older than the accepted epoch {accepted}")
        self.offered = offered
        self.accepted = accepted
