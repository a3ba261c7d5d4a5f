"""The live provider settings: what a pod reads, and what it refuses."""

from typing import Any

import pytest

from callfleet_operator.model import LiveProviders, ManifestError, Stage, load_live_providers

LIMITS = {"connectMs": 500, "firstByteMs": 1500, "gapMs": 1500, "totalMs": 10_000}


def member(**changes: Any) -> dict[str, Any]:
    return {"pool": "ears", "engine": "sphinx", "hosting": "embedded", "limits": LIMITS} | changes


CLOUD = member(
    pool="cloud", engine="openai", hosting="external", endpoints=["https://llm.example/v1"]
)


def test_the_text_that_is_written_is_read_as_the_same_settings() -> None:
    live = load_live_providers({"generation": 3, "asr": [member()], "llm": [CLOUD]})
    assert load_live_providers(live.to_yaml()) == live
    assert "null" not in live.to_yaml()


def test_chains_are_found_by_their_stage() -> None:
    live = load_live_providers({"generation": 1, "asr": [member()], "llm": [CLOUD]})
    assert [[m.pool for m in live.chain(stage)] for stage in Stage] == [["ears"], ["cloud"], [], []]


def test_the_generation_is_no_difference_and_everything_else_is() -> None:
    first = load_live_providers({"generation": 1, "asr": [member()]})
    assert first.same_but_generation(load_live_providers({"generation": 2, "asr": [member()]}))
    assert not first.same_but_generation(LiveProviders(generation=1))


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"asr": []}, "generation"),
        ({"generation": 1, "asr": [member(), member()]}, "asr[1]"),
        ({"generation": 1, "tts": [member()]}, "tts"),
        ({"generation": 1, "asr": [member(endpoints=["http://a.example"])]}, "asr[0].endpoints"),
        ({"generation": 1, "llm": [CLOUD | {"endpoints": []}]}, "llm[0].endpoints"),
        ({"generation": 1, "llm": [CLOUD | {"endpoints": ["ftp://x.example"]}]}, "llm[0]"),
        ({"generation": 1, "llm": [CLOUD | {"apiKey": "sk-1"}]}, "llm[0].apiKey"),
        ({"generation": 1, "llm": [CLOUD | {"keyFile": "relative"}]}, "llm[0].keyFile"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_place(data: dict[str, Any], path: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        load_live_providers(data)
    assert any(problem.path.startswith(path) for problem in refusal.value.problems)
