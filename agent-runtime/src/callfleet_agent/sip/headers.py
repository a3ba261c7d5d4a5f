"""The header fields of a message, in order, under their full names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from callfleet_agent.sip.grammar import split

# RFC 3261 7.3.3 and 20, RFC 4028, RFC 3515, RFC 3892, RFC 6665, RFC 3841
COMPACT_FORMS = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
}


@dataclass(frozen=True, slots=True)
class Headers:
    """Name and raw value pairs; names compare without case, compact forms are already long."""

    items: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        name = name.lower()
        return next((value for key, value in self.items if key.lower() == name), None)

    def get_all(self, name: str) -> tuple[str, ...]:
        name = name.lower()
        return tuple(value for key, value in self.items if key.lower() == name)

    def get_list(self, name: str) -> tuple[str, ...]:
        """All values of a field in which a comma is as good as a second line."""
        parts = (part for value in self.get_all(name) for part in split(value, ","))
        return tuple(part for part in parts if part)

    def with_added(self, *items: tuple[str, str]) -> "Headers":
        return Headers((*self.items, *items))

    def with_first(self, name: str, value: str) -> "Headers":
        """``value`` in the place of the field's first line, or in front of everything."""
        lower = name.lower()
        for index, (key, _) in enumerate(self.items):
            if key.lower() == lower:
                return Headers((*self.items[:index], (key, value), *self.items[index + 1 :]))
        return Headers(((name, value), *self.items))

    def without(self, *names: str) -> "Headers":
        gone = {name.lower() for name in names}
        return Headers(tuple(item for item in self.items if item[0].lower() not in gone))

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items)


def full_name(name: str) -> str:
    """The long form of a header field's name."""
    return COMPACT_FORMS.get(name.lower(), name)


def headers_of(items: Iterable[tuple[str, object]]) -> Headers:
    """Headers from typed values; a value of None leaves its field out."""
    return Headers(tuple((name, str(value)) for name, value in items if value is not None))
