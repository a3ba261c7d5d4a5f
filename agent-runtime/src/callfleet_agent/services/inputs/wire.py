"""Which text of a message's bytes is not UTF-8: protobuf's parser says that one is, and not which.

Protocol Buffers Encoding, https://protobuf.dev/programming-guides/encoding: a field is a tag (its
number and how long its value is) and a value. What is no text is stepped over, so that each byte is
looked at once, and the work ends with `MAX_FIELDS`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

MAX_FIELDS: Final = 20_000
MAX_DEPTH: Final = 64
_VARINT, _EIGHT, _WITH_LENGTH, _FOUR = 0, 1, 2, 5  # groups, 3 and 4, are in no message of ours
_LONGEST_VARINT: Final = 10


class _LostError(Exception):
    """The bytes are no message from here on, or the work is too much."""


def first_bad_text(data: bytes, kind: Descriptor) -> tuple[str, ...] | None:
    """The path of the first text that is not UTF-8, with the numbers of list items; within
    structures, masks and maps it ends at their field. None where there is none before the bytes
    are no message any more, or before `MAX_FIELDS`."""
    try:
        return _Wire(data).bad_text(kind, 0, len(data), ())
    except _LostError:
        return None


@dataclass(slots=True)
class _Wire:
    data: bytes
    seen: int = 0
    depth: int = 0

    def bad_text(
        self, kind: Descriptor, start: int, end: int, path: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _LostError
        items: Counter[int] = Counter()
        for number, first, last in self._with_length(start, end):
            field = kind.fields_by_number.get(number)
            if field is None:
                continue
            here = _step(path, kind, field, items[number])
            items[number] += 1
            if field.type == FieldDescriptor.TYPE_STRING and not self._is_text(first, last):
                return here
            if field.message_type is not None:
                found = self.bad_text(field.message_type, first, last, here)
                if found is not None:
                    return found
        self.depth -= 1
        return None

    def _is_text(self, start: int, end: int) -> bool:
        try:
            self.data[start:end].decode()
        except UnicodeDecodeError:
            return False
        return True

    def _with_length(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of each value that has a length of its own."""
        at = start
        while at < end:
            self.seen += 1
            if self.seen > MAX_FIELDS:
                raise _LostError
            tag, at = self._varint(at, end)
            kind, length = tag & 7, 0
            if kind == _VARINT:
                _, at = self._varint(at, end)
            elif kind == _WITH_LENGTH:
                length, at = self._varint(at, end)
            elif kind in {_EIGHT, _FOUR}:
                length = 8 if kind == _EIGHT else 4
            else:
                raise _LostError
            if at + length > end:
                raise _LostError
            if kind == _WITH_LENGTH:
                yield tag >> 3, at, at + length
            at += length

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Its value, and where it ends."""
        value = 0
        for place in range(min(_LONGEST_VARINT, end - at)):
            byte = self.data[at + place]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, at + place + 1
        raise _LostError


def _step(
    path: tuple[str, ...], kind: Descriptor, field: FieldDescriptor, item: int
) -> tuple[str, ...]:
    if kind.full_name.startswith("google.protobuf.") or _is_map(kind):
        return path
    is_list = field.is_repeated and not _is_map(field.message_type)
    return (*path, field.name, str(item)) if is_list else (*path, field.name)


def _is_map(kind: Descriptor | None) -> bool:
    return kind is not None and bool(kind.GetOptions().map_entry)
