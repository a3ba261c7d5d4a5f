"""How streams that another replica has brought have ended, for a moment longer than they last.

A client of gRPC that writes while the server ends the RPC never learns what the server said: the
replica that has brought the stream asks again here.
"""

from collections import OrderedDict
from typing import Final

from callfleet_agent.services.errors import StoppedError

_MOST: Final = 1000


class StreamEnds:
    """The newest ends, by the ids that the replicas have given their streams."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Exception | None] = OrderedDict()

    def note(self, stream: str, error: Exception | None) -> None:
        """It has ended with this error, or well; a stream without an id is nobody's."""
        if not stream:
            return
        self._of[stream] = None if error is None else error.with_traceback(None)
        if len(self._of) > _MOST:
            self._of.popitem(last=False)

    def check(self, stream: str) -> None:
        """Raises what it has ended with, and StoppedError for one that is not known."""
        if stream not in self._of:
            raise StoppedError
        error = self._of[stream]
        if error is not None:
            raise error
