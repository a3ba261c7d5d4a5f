"""ProviderPools: status, keys, probes, and who uses them."""

import base64

from callfleet_operator.ports.kinds import PROVIDER_POOL, SECRET, Manifest
from callfleet_operator.ports.probe import ProbeOutcome
from fakes.fleet import NAMESPACE, FakeFleet
from fakes.virtual_time import in_virtual_time

EXTERNAL = {
    "engine": "openai",
    "model": {"name": "gpt-4o"},
    "external": {"baseUrl": "https://api.example", "secretRef": {"name": "openai"}},
}


def condition(fleet: FakeFleet, kind: str, name: str = "pool") -> tuple[str, str]:
    pool = fleet.kube.peek(PROVIDER_POOL, NAMESPACE, name) or {}
    for item in (pool.get("status") or {}).get("conditions", ()):
        if item["type"] == kind:
            return item["status"], item["reason"]
    return "", ""


def secret(key: str, name: str = "apiKey") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": NAMESPACE, "name": "openai"},
        "data": {name: base64.b64encode(key.encode()).decode()},
    }


@in_virtual_time
async def test_an_embedded_pool_is_ready_and_knows_its_users() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", engine="sphinx")
        await fleet.until(lambda: condition(fleet, "Ready") == ("True", "Embedded"))
        fleet.apply_agent(providers={"asr": [{"pool": "pool"}]})
        await fleet.until(lambda: used_by(fleet) == 1)
        fleet.change(providers={"asr": []})
        await fleet.until(lambda: used_by(fleet) == 0)


def used_by(fleet: FakeFleet) -> int:
    pool = fleet.kube.peek(PROVIDER_POOL, NAMESPACE, "pool") or {}
    return int((pool.get("status") or {}).get("usedBy", -1))


@in_virtual_time
async def test_an_external_pool_needs_its_secret_and_its_key_and_an_answer() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", **EXTERNAL)
        await fleet.until(lambda: condition(fleet, "Ready") == ("False", "SecretNotFound"))
        fleet.kube.put(secret("k", name="other"))
        await fleet.until(lambda: condition(fleet, "Ready") == ("False", "SecretKeyNotFound"), 90)
        # Nobody was asked without the key that they want to see.
        assert fleet.probe.keys == []
        fleet.probe.outcome = ProbeOutcome(ok=False, message="the engine answers HTTP 500")
        fleet.kube.put(secret("sk-secret"))
        await fleet.until(lambda: bool(fleet.probe.keys), 90)
        await fleet.settle(1)
        assert condition(fleet, "Ready")[0] == "False"
        fleet.probe.outcome = ProbeOutcome(ok=True, message="")
        await fleet.until(lambda: condition(fleet, "Ready")[0] == "True", 90)
        assert fleet.probe.keys[-1] == "sk-secret"


@in_virtual_time
async def test_keys_reach_the_agents_secret_and_nothing_else() -> None:
    async with FakeFleet().running() as fleet:
        fleet.kube.put(secret("sk-secret"))
        fleet.apply_pool("pool", **EXTERNAL)
        fleet.apply_agent(providers={"llm": [{"pool": "pool"}]})
        await fleet.until(
            lambda: fleet.kube.peek(SECRET, NAMESPACE, "card-line-providers") is not None
        )
        await fleet.until(fleet.is_ready)
        encoded = base64.b64encode(b"sk-secret").decode()
        for verb, ref in fleet.kube.log:
            assert "sk-secret" not in f"{verb}{ref}"
        for kind in {ref.kind for _, ref in fleet.kube.log}:
            for item in fleet.kube.all(kind):
                if item["kind"] != "Secret":
                    assert "sk-secret" not in str(item)
                    assert encoded not in str(item)
        assert "sk-secret" not in str(fleet.events.seen)
        assert "sk-secret" not in repr(fleet.core.pools.keys)
        fleet.kube.put(secret("sk-new"))
        await fleet.settle(90)
        live = fleet.kube.peek(SECRET, NAMESPACE, "card-line-providers")
        assert live is not None
        assert base64.b64decode(live["data"]["pool"]) == b"sk-new"


@in_virtual_time
async def test_a_pool_that_is_deleted_is_told_to_its_users() -> None:
    async with FakeFleet().running() as fleet:
        fleet.apply_pool("pool", engine="sphinx")
        fleet.apply_agent(providers={"asr": [{"pool": "pool"}]})
        await fleet.until(fleet.is_ready)
        fleet.kube.remove(PROVIDER_POOL, NAMESPACE, "pool")
        await fleet.until(lambda: fleet.condition("ProvidersReady") == ("False", "PoolNotFound"))
