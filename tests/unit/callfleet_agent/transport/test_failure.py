"""What a log may say of an unexpected error."""

from __future__ import annotations

from callfleet_agent.transport.failure import described


def test_it_tells_kind_and_place_and_not_the_text() -> None:
    try:
        int("a caller's secret")
    except ValueError as error:
        fields = described(error)
    assert fields["error"] == "ValueError"
    assert fields["place"].startswith("test_failure.py:")
    assert "secret" not in str(fields)


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert described(ValueError("x")) == {"error": "ValueError", "place": ""}
