"""Who this process is: its certificate, its key, whom it trusts, and its tokens, as files that are
replaced while it runs; and the channels that follow them.

Owns nothing of what is said over a channel.
"""

from callfleet_agent.identity.errors import TlsFilesError
from callfleet_agent.identity.files import TlsContents, TlsFiles
from callfleet_agent.identity.following import FollowingChannel, TokenFile
from callfleet_agent.identity.trust import Source, Trust

__all__ = [
    "FollowingChannel",
    "Source",
    "TlsContents",
    "TlsFiles",
    "TlsFilesError",
    "TokenFile",
    "Trust",
]
