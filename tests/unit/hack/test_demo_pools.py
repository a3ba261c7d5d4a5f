"""What the demo of pools relies on: the example, the chart's values, the softphone's lines."""

from pathlib import Path

import pytest
import yaml

from callfleet_hack import demo_pools
from callfleet_hack.cache import REPOSITORY
from callfleet_hack.demo_models import ON_NODES, answer, sentences
from callfleet_hack.errors import HackError
from callfleet_operator.model import load_provider_pool, load_voice_agent

MANIFESTS = {
    one["metadata"]["name"]: one for one in yaml.safe_load_all(demo_pools.EXAMPLE.read_text())
}


def test_the_example_has_a_chain_of_the_two_voices() -> None:
    agent = load_voice_agent(MANIFESTS[demo_pools.AGENT])
    chain = [link.pool for link in agent.spec.providers.tts]
    assert chain == [demo_pools.FIRST, demo_pools.SECOND]
    for name in chain:
        assert load_provider_pool(MANIFESTS[name]).spec.capability == "tts"


def test_the_demos_values_allow_the_folder_that_its_models_are_in() -> None:
    values = yaml.safe_load((REPOSITORY / "charts/callfleet/ci/demo.yaml").read_text())
    assert values["pools"]["modelHostPaths"] == [ON_NODES]
    uri = MANIFESTS[demo_pools.FIRST]["spec"]["model"]["uri"]
    assert uri.startswith(f"file://{ON_NODES}/")


def test_the_voice_can_say_every_answer() -> None:
    said = sentences()
    assert answer("shipped") in said
    assert answer("lost") in said
    assert "How can I help you?" in said


WHOLE = "your card was lost with royal mail we will send you a new one"


@pytest.mark.parametrize("heard", [[f"i am sorry {WHOLE}"], ["(speech)", f"i am sorry {WHOLE} is"]])
def test_an_answer_that_was_heard_whole(heard: list[str]) -> None:
    demo_pools.judge(heard, "lost")


@pytest.mark.parametrize(
    "line",
    [
        "your card was lost with your card was lost with royal mail we will send you a new one",
        "your card was lost with roy lost with royal mail we will send you a new one",
        "your card was lost with an eighth with royal mail we will send you a new one",
    ],
)
def test_an_answer_that_another_voice_took_over(line: str) -> None:
    assert demo_pools.says_all(line, WHOLE)


@pytest.mark.parametrize(
    "line",
    [
        "your card was lost we will send you a new one",
        "your card was lost with royal mail we will send you a new",
        "with royal mail we will send you a new one your card was lost",
        "your card was lost with one two three four royal mail we will send you a new one",
    ],
)
def test_an_answer_with_a_hole(line: str) -> None:
    assert not demo_pools.says_all(line, WHOLE)


@pytest.mark.parametrize("heard", [[], ["(speech)"], ["i am sorry your card was lost"]])
def test_an_answer_that_was_not(heard: list[str]) -> None:
    with pytest.raises(HackError, match="did not hear all"):
        demo_pools.judge(heard, "lost")


class FakeProcess:
    """A softphone whose lines are known."""

    def __init__(self, *lines: str) -> None:
        self.stdout = iter(lines)


def test_the_softphones_lines_tell_what_was_pressed_and_heard() -> None:
    first, second = demo_pools.KEYS
    lines = (" caller: where is my credit card\n", "  agent: welcome\n", f" caller: {first}\n")
    call = demo_pools.GoingCall(FakeProcess(*lines))  # type: ignore[arg-type]
    assert not call.pressed[first].is_set()
    call.follow()
    assert call.heard == ["welcome"]
    assert call.pressed[second].is_set()  # nobody waits for a call that is over


def test_the_example_is_named_in_the_docs() -> None:
    text = Path(REPOSITORY / "docs" / "pools.md").read_text()
    assert "pools-failover.yaml" in text
