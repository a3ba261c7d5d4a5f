"""The models refuse what the API server refuses, and say where and what to do."""

from typing import Any

import pytest

from callfleet_operator.model import (
    ManifestError,
    ProviderPool,
    VoiceAgent,
    load_provider_pool,
    load_voice_agent,
)
from vectors.manifests.table import Bad, bad_manifests, good_manifests

BAD = bad_manifests()
GOOD = good_manifests()


def load_any(manifest: dict[str, Any]) -> VoiceAgent | ProviderPool:
    load = load_voice_agent if manifest["kind"] == "VoiceAgent" else load_provider_pool
    return load(manifest)


@pytest.mark.parametrize("bad", BAD, ids=[bad.case for bad in BAD])
def test_a_bad_manifest_is_refused_with_its_field_and_what_to_do(bad: Bad) -> None:
    with pytest.raises(ManifestError) as refusal:
        load_any(bad.manifest)
    told = [(problem.path, problem.advice) for problem in refusal.value.problems]
    assert any(
        (path == bad.field or path.startswith(f"{bad.field}.")) and bad.model in advice
        for path, advice in told
    ), told


@pytest.mark.parametrize("good", GOOD, ids=[f"{m['kind']} {m['metadata']['name']}" for m in GOOD])
def test_a_good_manifest_survives_a_round_trip(good: dict[str, Any]) -> None:
    loaded = load_any(good)
    assert load_any(loaded.to_manifest()) == loaded


def test_the_table_covers_both_kinds_widely() -> None:
    kinds = [bad.manifest["kind"] for bad in BAD]
    assert (kinds.count("VoiceAgent"), kinds.count("ProviderPool")) >= (30, 20)
    assert len({bad.case for bad in BAD}) == len(BAD)
