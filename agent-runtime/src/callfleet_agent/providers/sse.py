"""Server-sent events (HTML Standard, 9.2.6), as far as model servers use them; pure."""

from dataclasses import dataclass, field
from typing import Final

MAX_LINE_BYTES: Final = 1 << 20


@dataclass(slots=True)
class EventReader:
    """Bytes in, the data of complete events out. Raises ValueError for a line without an end."""

    _rest: bytes = b""
    _data: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that this chunk completes."""
        *lines, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise ValueError("a line is too long")
        complete: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    complete.append(b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
        return complete
