"""Whose fault a broken rule of the link is. Neither is cured by trying again on the same link."""


class LinkError(Exception):
    """The link cannot be used any more."""


class LocalProtocolError(LinkError):
    """This side tried to do what the protocol forbids: a bug here. Nothing was sent."""


class RemoteProtocolError(LinkError):
    """The other side broke the protocol: close the link, and give the call to another worker."""


class LinkLost(LinkError):  # noqa: N818 - what happened, and nobody's mistake
    """The other side is gone, or does not answer: give the call to another worker."""
