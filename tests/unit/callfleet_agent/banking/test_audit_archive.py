"""A month of the audit log as a file, and the note that stays of it."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from callfleet_agent.banking.audit_archive import Note, check_file, line_of, packed, row_of
from callfleet_agent.banking.audit_chain import (
    AuditRow,
    Fault,
    Head,
    digest_of,
    genesis,
    key_of,
    seal_of,
)

KEY = key_of(bytes(32))
STREAM = "2026-11.3"


def chain(rows: int, stream: str = STREAM) -> list[AuditRow]:
    made: list[AuditRow] = []
    for number in range(1, rows + 1):
        row = AuditRow(
            stream=stream, sequence=number, at=datetime(2026, 11, 25, 12, 0, 0, number, tzinfo=UTC),
            phase="ASKED", operation="CARD_BLOCK", outcome="",
            request_id=UUID(int=number), session_id=None, actor="spiffe://x", correlation_id="c",
            customer="f", previous=made[-1].digest if made else genesis(stream),
        )  # fmt: skip
        digest = digest_of(row)
        made.append(replace(row, digest=digest, seal=seal_of(digest, KEY)))
    return made


def note(**changed: object) -> Note:
    given: dict[str, object] = {
        "stream": STREAM, "rows": 3, "digest": chain(3)[-1].digest, "file": "a", "sha256": b"x",
    }  # fmt: skip
    return Note(**(given | changed)).sealed(KEY)  # type: ignore[arg-type]


def test_a_row_comes_back_from_its_line() -> None:
    for row in chain(2):
        assert row_of(line_of(row)) == row


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b"nonsense", line_of(chain(1)[0]).replace(b"2026-11-25T", b"x")]
)
def test_a_line_that_is_no_row_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="no row"):
        row_of(line)


def test_the_same_rows_make_the_same_file_and_its_chains_hold() -> None:
    rows = chain(3) + chain(2, "2026-11.4")
    assert packed(rows) == packed(rows)
    heads, broken = check_file(packed(rows), KEY, {})
    assert broken == ()
    assert heads == {STREAM: Head(3, rows[2].digest), "2026-11.4": Head(2, rows[4].digest)}


def test_what_was_done_to_a_file_is_named() -> None:
    rows = chain(4)
    changed = [rows[0], replace(rows[1], outcome="verified"), *rows[2:]]
    cases = [
        (changed, {}, (2, Fault.CHANGED)),
        (rows[:1] + rows[2:], {}, (3, Fault.MISSING)),
        (rows[:2], {STREAM: Head(4, rows[3].digest)}, (2, Fault.CUT)),
        (rows, {STREAM: Head(2, b"other")}, (2, Fault.REWRITTEN)),
    ]
    for given, anchors, wanted in cases:
        _, broken = check_file(packed(given), KEY, anchors)
        assert [(one.sequence, one.fault) for one in broken] == [wanted]
    _, forged = check_file(packed(rows), key_of(b"other" * 8), {})
    assert [(one.sequence, one.fault) for one in forged] == [(1, Fault.FORGED)]
    with pytest.raises(ValueError, match="no compressed file"):
        check_file(b"nothing", KEY, {})


def test_a_note_says_what_was_there_and_cannot_be_made_without_the_key() -> None:
    end = note().head
    assert note().fault(KEY, None) is None
    assert note().fault(KEY, end) is None
    assert note().fault(KEY, Head(1, b"earlier")) is None
    for wrong, anchor, fault in (
        (replace(note(), rows=2), None, Fault.FORGED),
        (replace(note(), digest=b"y"), None, Fault.FORGED),
        (replace(note(), sha256=b"y"), None, Fault.FORGED),
        (replace(note(), stream="2026-11.4"), None, Fault.FORGED),
        (note(), Head(4, b"later"), Fault.CUT),
        (note(), Head(3, b"another"), Fault.REWRITTEN),
    ):
        found = wrong.fault(KEY, anchor)
        assert found is not None
        assert found.fault is fault
