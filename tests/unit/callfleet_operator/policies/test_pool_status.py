"""What people read of a ProviderPool."""

from typing import Any

import pytest

from callfleet_operator.model import load_provider_pool
from callfleet_operator.policies.pool_status import PoolView, ProbeView, SecretView, pool_status
from vectors.manifests.table import SMALLEST, merged

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"
EXTERNAL = {"engine": "openai", "external": {"baseUrl": "https://api.example/v1?key=abc"}}
WITH_KEY = merged(EXTERNAL, {"external": {"secretRef": {"name": "llm", "key": "token"}}})
WITH_CA = merged(EXTERNAL, {"external": {"caSecretName": "llm-ca"}})
MANAGED = {"engine": "vosk", "model": {"uri": "hf://org/model"}}
FOUND = SecretView(found=True, key_found=True)
ANSWERS = ProbeView(ok=True)


def view(spec: dict[str, Any], **more: Any) -> PoolView:
    pool = load_provider_pool(merged(SMALLEST["ProviderPool"], {"spec": spec}))
    return PoolView(generation=3, spec=pool.spec, **more)


CASES = [
    # what is seen, then Ready, Progressing, Degraded, and why
    (view({}), "True", "False", "False", "Embedded", "inside the agent"),
    (view(MANAGED), "False", "False", "True", "ImageNotSet", "set spec.image, or pools.images"),
    (view(EXTERNAL), "Unknown", "True", "False", "NotProbed", "not tried yet"),
    (view(EXTERNAL, probe=ANSWERS), "True", "False", "False", "Reachable", "it answers"),
    (
        view(EXTERNAL, probe=ProbeView(ok=False, message="it refused the key (401)")),
        "False",
        "False",
        "True",
        "Unreachable",
        "it refused the key (401)",
    ),
    (
        view(EXTERNAL, probe=ProbeView(ok=False)),
        "False",
        "False",
        "True",
        "Unreachable",
        "it does not answer",
    ),
    (view(WITH_KEY), "Unknown", "True", "False", "SecretNotRead", "not read yet"),
    (
        view(WITH_KEY, secret=SecretView(found=False), probe=ANSWERS),
        "False",
        "False",
        "True",
        "SecretNotFound",
        "there is no Secret llm in this namespace; create it",
    ),
    (
        view(WITH_KEY, secret=SecretView(found=True), probe=ANSWERS),
        "False",
        "False",
        "True",
        "SecretKeyNotFound",
        "Secret llm has no key token; add it or set another key",
    ),
    (
        view(WITH_CA, probe=ANSWERS),
        "False",
        "False",
        "True",
        "CANotFound",
        "spec.external.caSecretName names llm-ca",
    ),
    (
        view(WITH_CA, ca=SecretView(found=True), probe=ANSWERS),
        "False",
        "False",
        "True",
        "CANotFound",
        "with a key ca.crt",
    ),
    (view(WITH_CA, ca=FOUND, probe=ANSWERS), "True", "False", "False", "Reachable", "answers"),
    (
        view(EXTERNAL, probe=ANSWERS, deleting=True, users=("a", "b")),
        "True",
        "True",
        "False",
        "DeletionWaits",
        "until no VoiceAgent names it in spec.providers: a, b",
    ),
    (
        view({}, deleting=True, users=tuple("abcdefghijkl")),
        "True",
        "True",
        "False",
        "DeletionWaits",
        "i, j, …",
    ),
    (view({}, deleting=True), "True", "False", "False", "Embedded", "inside the agent"),
    (view(WITH_KEY, secret=FOUND), "Unknown", "True", "False", "NotProbed", "not tried yet"),
    (view(WITH_KEY, secret=FOUND, probe=ANSWERS), "True", "False", "False", "Reachable", "answers"),
]


@pytest.mark.parametrize(
    ("seen", "ready", "progressing", "degraded", "reason", "message"),
    CASES,
    ids=[f"{case[4]} {number}" for number, case in enumerate(CASES)],
)
def test_the_conditions_of_a_pool(
    seen: PoolView, ready: str, progressing: str, degraded: str, reason: str, message: str
) -> None:
    conditions = {item.type: item for item in pool_status(seen, None, NOW).conditions}
    assert list(conditions) == ["Ready", "Progressing", "Degraded", "ModelCached"]
    assert conditions["Ready"].status == ready
    assert conditions["Progressing"].status == progressing
    assert conditions["Degraded"].status == degraded
    assert conditions["Ready"].reason == reason
    assert message in conditions["Ready"].message


@pytest.mark.parametrize(
    ("spec", "status", "reason"),
    [
        ({}, "True", "Bundled"),
        (EXTERNAL, "True", "NotNeeded"),
        (MANAGED, "Unknown", "NotLookedAt"),
    ],
)
def test_where_the_model_is(spec: dict[str, Any], status: str, reason: str) -> None:
    cached = pool_status(view(spec), None, NOW).conditions[-1]
    assert (cached.status, cached.reason) == (status, reason)


def test_the_figures() -> None:
    status = pool_status(view(EXTERNAL, users=("a", "b")), None, NOW)
    assert (status.observed_generation, status.used_by, status.users) == (3, 2, ("a", "b"))
    assert status.endpoint == "https://api.example/v1"  # a key may follow the question mark
    assert pool_status(view({}), None, NOW).endpoint == ""


def test_the_time_of_a_condition_changes_with_its_status_only() -> None:
    first = pool_status(view(EXTERNAL, probe=ANSWERS), None, NOW)
    assert pool_status(view(EXTERNAL, probe=ANSWERS), first, LATER) == first
    broken = pool_status(view(EXTERNAL, probe=ProbeView(ok=False)), first, LATER)
    assert [item.last_transition_time for item in broken.conditions] == [LATER, NOW, LATER, NOW]
