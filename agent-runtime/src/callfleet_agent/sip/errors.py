"""Errors of the SIP package: whose fault it is, and what to answer."""


class SipError(Exception):
    """The root of everything this package raises."""


class LocalProtocolError(SipError):
    """We asked for what the protocol forbids now: our bug; trying again cannot help."""


class RemoteProtocolError(SipError):
    """The other side broke the protocol.

    ``status`` and ``reason`` are what a request that shows this fault is answered with.
    """

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class NotAcceptableError(RemoteProtocolError):
    """A well-formed session description that we cannot take part in: 488, and a Warning's code."""

    def __init__(self, reason: str, *, warning: int) -> None:
        super().__init__(reason, status=488)
        self.warning = warning
