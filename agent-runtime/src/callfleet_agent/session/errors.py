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


class SessionNotFoundError(SessionError):
    """There is no such session."""

    def __init__(self) -> None:
        super().__init__("there is no such session")


class SessionEndedError(SessionError):
    """The session has ended: nothing about it changes any more."""

    def __init__(self) -> None:
        super().__init__("the session has ended")


class SessionChangedError(SessionError):
    """Another change came first: read again, and decide again."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"the session has version {found}, not {expected}")
        self.expected = expected
        self.found = found


class SessionExistsError(SessionError):
    """A session with this id was recorded before, and it is another call."""

    def __init__(self) -> None:
        super().__init__("the session's id belongs to another call")
