"""The chains of an agent as its pods read them."""

from typing import Any

import pytest

from callfleet_operator.model import (
    ChainMember,
    LiveProviders,
    ProviderPool,
    ProviderPoolStatus,
    load_provider_pool,
    load_voice_agent,
)
from callfleet_operator.resources.chains import LiveFacts, live_providers, member
from vectors.manifests.table import SMALLEST, merged


def pool(name: str = "pool", status: Any = None, **spec: Any) -> ProviderPool:
    change: dict[str, Any] = {"metadata": {"name": name, "namespace": "bank"}, "spec": spec}
    if status is not None:
        ready = {"type": "Ready", "status": status, "reason": "R", "lastTransitionTime": "t"}
        change["status"] = {"conditions": [{"type": "Other", **ready} | {"type": "Other"}, ready]}
    return load_provider_pool(merged(SMALLEST["ProviderPool"], change))


CLOUD: dict[str, Any] = {
    "engine": "openai",
    "model": {"name": "gpt-4o"},
    "external": {
        "baseUrl": "https://api.example/v1",
        "secretRef": {"name": "key"},
        "caSecretName": "ca",
        "timeoutSeconds": 8,
    },
}
POOLS = {
    found.metadata.name: found
    for found in (
        pool("local"),
        pool("cloud", **CLOUD),
        pool("voices", engine="espeak", voice="en-gb", language="en-GB", speed=1.2),
        pool("whisper", engine="whisper", model={"uri": "hf://a/b"}),
    )
}


def live(facts: LiveFacts | None = None, **chains: list[str]) -> LiveProviders:
    providers = {stage: [{"pool": name} for name in chain] for stage, chain in chains.items()}
    agent = load_voice_agent(merged(SMALLEST["VoiceAgent"], {"spec": {"providers": providers}}))
    return live_providers(agent, POOLS, facts or LiveFacts())


def test_without_chains_the_embedded_engines_serve() -> None:
    found = live()
    assert (found.generation, found.asr, found.llm, found.tts) == (1, (), (), ())


def test_chains_keep_their_order_and_leave_out_what_cannot_be_used() -> None:
    found = live(asr=["whisper", "nowhere", "cloud", "local"])
    assert [item.pool for item in found.asr] == ["whisper", "local"]


def test_the_generation_grows_when_something_changes_and_only_then() -> None:
    first = live(asr=["local"])
    assert live(LiveFacts(first), asr=["local"]) == first
    second = live(LiveFacts(first), asr=["whisper"])
    assert second.generation == 2


def test_an_embedded_engine_needs_no_address() -> None:
    found = member(POOLS["voices"])
    assert (found.endpoints, found.key_file, found.model) == ((), None, None)
    assert (found.voice, found.language, found.speed) == ("en-gb", "en-GB", 1.2)


def test_a_service_is_reached_with_files_for_its_secrets() -> None:
    found = member(POOLS["cloud"])
    assert found.endpoints == ("https://api.example/v1",)
    assert found.model == "gpt-4o"
    assert found.key_file == "/etc/callfleet/providers/cloud"
    assert found.ca_file == "/etc/callfleet/providers/cloud.ca.crt"
    assert found.limits.total_ms == 8000


def test_a_server_of_ours_is_reached_by_its_service_and_named_like_its_pool() -> None:
    found = member(POOLS["whisper"])
    assert found.endpoints == ("grpcs://whisper-pool.bank.svc:9443",)
    assert found.model == "whisper"
    vllm = {"engine": "vllm", "stage": "llm", "model": {"uri": "hf://a/b", "name": "b"}}
    found = member(pool("big", **vllm))
    assert found.endpoints == ("http://big-pool.bank.svc:8000/v1",)
    assert found.model == "b"


SECURE, PLAIN = "grpcs://whisper-pool.bank.svc:9443", "grpc://whisper-pool.bank.svc:9090"


@pytest.mark.parametrize(
    ("endpoint", "plaintext", "told"),
    [
        (None, False, (SECURE,)),
        (SECURE, False, (SECURE,)),
        (SECURE, True, (PLAIN, SECURE)),  # former versions ask the first one
        (PLAIN, False, (PLAIN,)),
        (PLAIN, True, (PLAIN,)),
    ],
)
def test_agents_and_pools_of_two_versions_understand_each_other(
    endpoint: str | None, plaintext: bool, told: tuple[str, ...]
) -> None:
    """`endpoint`: what the pool's status says; `plaintext`: there are pods of a former version."""
    found = pool("whisper", engine="whisper", model={"uri": "hf://a/b"})
    if endpoint is not None:
        status = ProviderPoolStatus(endpoint=endpoint)
        found = found.model_copy(update={"status": status})
    assert member(found, plaintext=plaintext).endpoints == told
    assert member(POOLS["cloud"], plaintext=plaintext).endpoints == ("https://api.example/v1",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("http://asr.example:9090", "grpc://asr.example:9090"),
        ("https://a.example", "grpcs://a.example"),
    ],
)
def test_our_servers_speak_grpc_wherever_they_are(given: str, told: str) -> None:
    assert member(pool(engine="vosk", external={"baseUrl": given})).endpoints == (told,)


def test_time_limits_are_complete() -> None:
    limits = member(POOLS["local"]).limits
    assert (limits.connect_ms, limits.first_byte_ms, limits.gap_ms) == (500, 1500, 1500)
    assert member(POOLS["cloud"]).limits.first_byte_ms == 2000
    calling = {
        "connectMilliseconds": 100,
        "firstByteMilliseconds": 700,
        "gapMilliseconds": 300,
        "concurrency": 4,
        "hedgePercentile": 95,
    }
    found = member(pool(calling=calling))
    assert (found.limits.connect_ms, found.limits.first_byte_ms, found.limits.gap_ms) == (
        100,
        700,
        300,
    )
    assert (found.concurrency, found.hedge_percentile) == (4, 95)


BUDGET: dict[str, Any] = {"budget": {"requestsPerDay": 10}}
ACCOUNT: dict[str, Any] = {**CLOUD, "model": {"name": "tts-1"}, "stage": "tts", "voice": "nova"}
PIPER: dict[str, Any] = {"engine": "piper", "external": {"baseUrl": "http://a.example:9090"}}


@pytest.mark.parametrize(
    ("others", "hedges"),
    [
        ({"b": {"engine": "espeak"}}, [99, 99]),
        ({"b": ACCOUNT}, [0, 99]),
        ({"b": PIPER | BUDGET}, [0, 99]),
        ({"b": {"engine": "espeak"}, "c": ACCOUNT}, [0, 0, 99]),
        ({"b": ACCOUNT, "c": PIPER | BUDGET}, [0, 0, 0]),
    ],
)
def test_what_is_silent_is_hedged_where_that_costs_nothing(
    others: dict[str, dict[str, Any]], hedges: list[int]
) -> None:
    pools = {name: pool(name, **spec) for name, spec in ({"a": PIPER} | others).items()}
    chain = [{"pool": name} for name in pools]
    agent = load_voice_agent(
        merged(SMALLEST["VoiceAgent"], {"spec": {"providers": {"tts": chain}}})
    )
    found = live_providers(agent, pools, LiveFacts())
    assert [item.hedge_percentile for item in found.tts] == hedges


@pytest.mark.parametrize("asked", [0, 50, 95])
def test_what_a_pool_asks_for_stands(asked: int) -> None:
    given = pool("a", calling={"hedgePercentile": asked})
    assert member(given, usual_hedge=99).hedge_percentile == asked


@pytest.mark.parametrize(
    ("sharers", "per_minute", "per_day"), [(0, 60, 10), (4, 15, 2), (100, 1, 1)]
)
def test_a_budget_is_shared_by_the_pods(sharers: int, per_minute: int, per_day: int) -> None:
    budget = {"requestsPerMinute": 60, "requestsPerDay": 10}
    found: ChainMember = member(pool(**CLOUD, budget=budget), sharers)
    assert found.budget is not None
    assert found.budget.requests_per_minute == per_minute
    assert found.budget.requests_per_day == per_day
    assert found.budget.units_per_day is None


@pytest.mark.parametrize(
    ("status", "available"), [(None, True), ("True", True), ("Unknown", True), ("False", False)]
)
def test_what_was_last_seen_is_a_hint(status: str | None, available: bool) -> None:
    assert member(pool(status=status)).available is available
