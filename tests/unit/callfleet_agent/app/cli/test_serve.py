"""`callfleet serve`: which command its words mean."""

import click
import pytest

from callfleet_agent.app.cli.serve import serve


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["asr", "--engine", "whisper", "--model", "/m"], "asr"),
        (["tts", "--model=/m.onnx"], "tts"),
        (["asr"], "platform"),
        (["tts", "asr"], "platform"),
        (["session-manager", "--model"], "platform"),
        (["agent"], "agent"),
    ],
)
def test_a_role_with_a_model_is_a_server_of_one_engine(words: list[str], name: str) -> None:
    found, _, rest = serve.resolve_command(click.Context(serve), list(words))
    assert found == name
    assert rest == (words if name == "platform" else words[1:])
