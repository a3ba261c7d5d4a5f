"""A spoken test calls once more, and only once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import second_calls

TALKS = """
import pytest

from private import leaks

CALLS = []
pytestmark = pytest.mark.spoken

@pytest.fixture(scope="module")
def agent():
    CALLS.append("agent")
    return CALLS

@pytest.fixture(params=[1])
def phone():
    CALLS.append("phone")

def test_heard_at_the_second_call(agent, phone):
    assert CALLS.count("phone") == 2

def test_never_heard(agent):
    CALLS.append("call")
    raise ValueError("heard nothing\\nand more")

def test_called_twice_with_one_agent(agent):
    assert CALLS.count("call") == 2
    assert CALLS.count("agent") == 1

@pytest.fixture
def broken():
    CALLS.append("broken")
    raise OSError

def test_with_a_broken_fixture(broken):
    pass

def test_a_fixture_is_not_tried_again():
    assert CALLS.count("broken") == 1

@pytest.mark.spoken(again=False)
def test_what_must_never_be():
    CALLS.append("never")
    raise ValueError

def test_what_must_never_be_is_not_tried_again():
    assert CALLS.count("never") == 1

def test_a_secret_is_written():
    CALLS.append("secret")
    assert leaks("the card is 4271" if CALLS.count("secret") == 1 else "", {"card": "4271"}) == []

def test_a_secret_that_was_found_is_not_looked_for_again():
    assert CALLS.count("secret") == 1
"""
PLAIN = """
CALLS = []

def test_fails():
    CALLS.append("plain")
    raise ValueError

def test_others_run_once():
    assert CALLS == ["plain"]
"""


@pytest.fixture
def told(tmp_path: Path) -> str:
    """What a session of pytest with these tests prints."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = spoken: speech\n")
    (tmp_path / "test_talks.py").write_text(TALKS)
    (tmp_path / "test_plain.py").write_text(PLAIN)
    ours = {**os.environ, "PYTHONPATH": str(Path(second_calls.__file__).parent)}
    ours.pop("PYTEST_ADDOPTS", None)
    quiet = ["-q", "-rA", "-p", "no:cacheprovider", "-p", "second_calls", "-p", "no:cov"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, "-c", "pytest.ini", "."],
        cwd=tmp_path, env=ours, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_conversation_is_held_a_second_time_and_told(told: str) -> None:
    passed = {line for line in told.splitlines() if line.startswith("PASSED")}
    assert passed == {
        "PASSED test_talks.py::test_heard_at_the_second_call[1]",
        "PASSED test_talks.py::test_called_twice_with_one_agent",
        "PASSED test_talks.py::test_a_fixture_is_not_tried_again",
        "PASSED test_talks.py::test_what_must_never_be_is_not_tried_again",
        "PASSED test_talks.py::test_a_secret_that_was_found_is_not_looked_for_again",
        "PASSED test_plain.py::test_others_run_once",
    }, told
    assert "FAILED test_talks.py::test_never_heard" in told
    assert "ERROR test_talks.py::test_with_a_broken_fixture" in told
    assert "FAILED test_talks.py::test_what_must_never_be" in told
    assert "FAILED test_talks.py::test_a_secret_is_written" in told
    assert "FAILED test_plain.py::test_fails" in told
    _, _, summary = told.partition("spoken tests that called a second time")
    assert "test_talks.py::test_heard_at_the_second_call[1]: line " in summary
    assert "test_talks.py::test_never_heard: line " in summary
    assert "ValueError: heard nothing" in summary
    again = summary.partition("short test summary")[0]
    assert "and more" not in again
    assert "broken" not in again
    assert "never_be" not in again
