"""Last words are short, are where the kubelet reads them, and are nowhere without a kubelet."""

import json
from pathlib import Path

from callfleet_agent.app import last_words


def test_last_words_are_written_where_the_kubelet_reads_them(tmp_path: Path) -> None:
    termination = tmp_path / "termination-log"
    termination.touch()
    last_words.write(last_words.ENGINE_FAILED, "x" * 400, termination)
    assert json.loads(termination.read_text()) == {"reason": "EngineFailed", "message": "x" * 300}


def test_outside_of_a_container_nothing_is_written(tmp_path: Path) -> None:
    last_words.write(last_words.ENGINE_FAILED, "x", tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_no_second_error(tmp_path: Path) -> None:
    last_words.write(last_words.ENGINE_FAILED, "x", tmp_path)
