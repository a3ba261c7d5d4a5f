"""What the examples promise in their comments."""

import re
from typing import Any

import pytest
import yaml

from callfleet_operator.model import ProviderPool, VoiceAgent, load_provider_pool, load_voice_agent
from callfleet_operator.model.engines import ACCOUNTS, EMBEDDED, Engine
from callfleet_operator.resources.chains import LiveFacts, live_providers
from vectors.manifests.table import EXAMPLES

# elevenlabs.io/docs, "Stream speech": /v1/text-to-speech/{voice_id}/stream takes an ID; theirs have
# this form, which is written down nowhere, so that manifests are not refused for another.
VOICE_ID = re.compile(r"[A-Za-z0-9]{20}")


def documents(kind: str, name: str = "*.yaml") -> list[dict[str, Any]]:
    texts = (path.read_text() for path in sorted(EXAMPLES.glob(name)))
    found = (document for text in texts for document in yaml.safe_load_all(text))
    return [document for document in found if document["kind"] == kind]


def pools(name: str = "*.yaml") -> dict[str, ProviderPool]:
    loaded = map(load_provider_pool, documents("ProviderPool", name))
    return {pool.metadata.name: pool for pool in loaded}


def agent(name: str) -> VoiceAgent:
    (document,) = documents("VoiceAgent", name)
    return load_voice_agent(document)


def test_voices_of_elevenlabs_are_ids() -> None:
    voices = [pool.spec.voice for pool in pools().values() if pool.spec.engine is Engine.ELEVENLABS]
    assert voices
    assert all(VOICE_ID.fullmatch(voice or "") for voice in voices)


def test_agents_for_a_cluster_leave_the_bank_to_the_platform() -> None:
    """Only what is for a laptop names one; with a banking service any other takes no calls."""
    urls = {agent["spec"].get("banking", {}).get("url") for agent in documents("VoiceAgent")}
    assert urls == {None, "http://127.0.0.1:8090"}


@pytest.mark.parametrize("name", ["pools-cloud.yaml", "pools-hybrid.yaml"])
def test_behind_an_account_stands_what_cannot_be_down(name: str) -> None:
    found = live_providers(agent(name), pools(name), LiveFacts())
    chains = [chain for chain in (found.asr, found.llm, found.tts) if chain]
    assert any(member.engine in ACCOUNTS for chain in chains for member in chain)
    assert all(chain[-1].engine in EMBEDDED for chain in chains)


def test_no_account_is_hedged_into_an_engine_of_another_quality() -> None:
    found = live_providers(agent("pools-cloud.yaml"), pools("pools-cloud.yaml"), LiveFacts())
    assert {chain[0].hedge_percentile for chain in (found.llm, found.tts)} == {99}


def test_the_hybrid_fleet_hedges_in_front_of_its_account() -> None:
    found = live_providers(agent("pools-hybrid.yaml"), pools("pools-hybrid.yaml"), LiveFacts())
    near, far, _ = found.llm
    assert (near.hedge_percentile, near.limits.gap_ms, far.engine) == (99, 700, Engine.OPENAI)
    assert far.budget is not None
