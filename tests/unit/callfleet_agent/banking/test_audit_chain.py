"""The chain of the audit log shows every change of what was written."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from callfleet_agent.banking.audit_chain import (
    AuditRow,
    Broken,
    Fault,
    Head,
    anchors_text,
    check_stream,
    digest_of,
    genesis,
    key_of,
    read_anchors,
    seal_of,
)

STREAM, KEY = "2026-11.0", key_of(b"k" * 32)
AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def chained(row: AuditRow, after: AuditRow | None, key: bytes = KEY) -> AuditRow:
    head = Head(0, genesis(STREAM)) if after is None else Head(after.sequence, after.digest)
    linked = replace(row, sequence=head.sequence + 1, previous=head.digest)
    digest = digest_of(linked)
    return replace(linked, digest=digest, seal=seal_of(digest, key))


def row(number: int) -> AuditRow:
    return AuditRow(
        stream=STREAM, sequence=number, at=AT + timedelta(seconds=number), phase="ASKED",
        operation="AUTHENTICATION", outcome="", request_id=UUID(int=number), session_id=UUID(int=1),
        actor="spiffe://callfleet.io/ns/bank/voiceagent/card-line", correlation_id="c",
        customer="fingerprint", previous=b"",
    )  # fmt: skip


def chain(count: int = 5, key: bytes = KEY) -> list[AuditRow]:
    made: list[AuditRow] = []
    for number in range(1, count + 1):
        made.append(chained(row(number), made[-1] if made else None, key))
    return made


def broken(rows: list[AuditRow], anchor: Head | None = None) -> tuple[int, Fault] | None:
    _, found = check_stream(STREAM, rows, KEY, anchor)
    return None if found is None else (found.sequence, found.fault)


def test_a_whole_chain_holds_and_tells_its_end() -> None:
    rows = chain()
    assert check_stream(STREAM, rows, KEY) == (Head(5, rows[-1].digest), None)
    assert check_stream(STREAM, [], KEY) == (Head(0, genesis(STREAM)), None)


def test_a_time_is_the_same_in_another_zone() -> None:
    rows = chain()
    rows[2] = replace(rows[2], at=rows[2].at.astimezone(timezone(timedelta(hours=9))))
    assert broken(rows) is None


CONTENT = [
    field.name
    for field in fields(AuditRow)
    if field.name not in {"stream", "sequence", "previous", "digest", "seal"}
]


@pytest.mark.parametrize("name", CONTENT)
def test_a_changed_field_is_named_by_its_row(name: str) -> None:
    rows = chain()
    values = {"at": AT, "request_id": UUID(int=99), "session_id": None}
    rows[2] = replace(rows[2], **{name: values.get(name, "other")})  # type: ignore[arg-type]
    assert broken(rows) == (3, Fault.CHANGED)


def forged(rows: list[AuditRow]) -> list[AuditRow]:
    """Row 3 changed, and everything after it chained again, by somebody without the key."""
    made = rows[:2]
    for one in rows[2:]:
        made.append(chained(replace(one, outcome="verified"), made[-1], b"guess"))
    return made


@pytest.mark.parametrize(
    ("tamper", "where"),
    [
        (lambda rows: [*rows[:2], *rows[3:]], (4, Fault.MISSING)),
        (lambda rows: rows[1:], (2, Fault.MISSING)),
        (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], (3, Fault.MISSING)),
        (
            lambda rows: [
                rows[0],
                replace(rows[2], sequence=2),
                replace(rows[1], sequence=3),
                *rows[3:],
            ],
            (2, Fault.UNLINKED),
        ),
        (lambda rows: [*rows[:3], replace(rows[2], sequence=4), rows[4]], (4, Fault.UNLINKED)),
        (forged, (3, Fault.FORGED)),
        (lambda rows: [*rows, chained(row(6), rows[-1], b"guess")], (6, Fault.FORGED)),
        (lambda _: chain(key=b"another"), (1, Fault.FORGED)),
    ],
    ids=[
        "deleted", "first-deleted", "order", "numbers-swapped", "copied", "chained-anew", "added",
        "all-of-another-key",
    ],
)  # fmt: skip
def test_the_first_broken_row_is_named(
    tamper: Callable[[list[AuditRow]], list[AuditRow]], where: tuple[int, Fault]
) -> None:
    assert broken(tamper(chain())) == where


def test_a_row_of_another_stream_does_not_continue_this_one() -> None:
    rows = [replace(one, stream="2026-11.1") for one in chain()]
    assert broken(rows) == (1, Fault.CHANGED)


def test_only_anchors_show_that_the_end_was_cut_off_or_written_again_with_the_key() -> None:
    rows = chain()
    anchor = Head(5, rows[-1].digest)
    again = [*rows[:4], chained(replace(row(5), outcome="verified"), rows[3])]

    assert broken(rows, anchor) is None
    assert broken([*rows, chained(row(6), rows[-1])], anchor) is None
    assert broken(rows[:3]) is None
    assert broken(rows[:3], anchor) == (3, Fault.CUT)
    assert broken([], anchor) == (0, Fault.CUT)
    assert broken(again, anchor) == (5, Fault.REWRITTEN)


def test_anchors_are_a_file() -> None:
    heads = {STREAM: Head(5, b"\x01" * 32)}
    assert read_anchors(anchors_text(heads)) == heads
    for text in (b"{", b"[1]", b'{"a": [1]}', b'{"a": ["1", 2]}', b'{"a": [1, "zz"]}', b"7"):
        with pytest.raises(ValueError, match=r"anchor|unexpected|hexadecimal|expected"):
            read_anchors(text)


def test_nothing_of_a_customer_is_in_a_repr() -> None:
    assert "previous" not in repr(chain()[0])
    assert str(Broken(STREAM, 1, Fault.CUT).fault).startswith("rows")
