"""The client on a real kube-apiserver, and FakeKube by the same cases."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.kube.cache import CacheSet
from callfleet_operator.kube.client import KubeClient, Selection, list_all
from callfleet_operator.kube.connection import Connection, connect
from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.kube.events import EventRecorder
from callfleet_operator.kube.lease import Lease, LeaseTerms
from callfleet_operator.kube.projection import projection_of
from callfleet_operator.kube.reflector import Reflector, run_all
from callfleet_operator.kube.stored_identity import authority_form, kept
from callfleet_operator.main.clock import SystemClock
from callfleet_operator.ports.errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from callfleet_operator.ports.events import EventType
from callfleet_operator.ports.kinds import CONFIG_MAP, EVENT, LEASE, POD, VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Change, Ref
from fakes.kube import FakeKube

ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count(1)
LIMIT_S = 60.0

Client = KubeClient | FakeKube


@pytest.fixture(scope="session")
def with_crds(crds: None, apiserver: Path) -> Path:
    return apiserver


@pytest.fixture
async def real(with_crds: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient(await connect(with_crds), timeout_s=LIMIT_S) as client:
        yield client


@pytest.fixture(params=["fake", "real"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    if request.param == "fake":
        yield FakeKube()
        return
    async with KubeClient(
        await connect(request.getfixturevalue("with_crds")), timeout_s=LIMIT_S
    ) as client:
        yield client


@pytest.fixture
async def namespace(client: Client) -> str:
    return await new_namespace(client)


async def new_namespace(client: Client) -> str:
    name = f"case-{next(_numbers)}"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def config(namespace: str, name: str = "a", **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, "labels": {"case": "yes"}},
        "data": data,
    }


def voice_agent(namespace: str) -> Manifest:
    return {
        "apiVersion": VOICE_AGENT.api_version,
        "kind": "VoiceAgent",
        "metadata": {"namespace": namespace, "name": "a"},
        "spec": {"replicas": 1, "banking": {"url": "http://bank.example"}},
    }


def pod(namespace: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": "a"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }


def version(manifest: Manifest) -> str:
    return str(manifest["metadata"]["resourceVersion"])


# --- the contract of the client -------------------------------------------------------------------


async def test_what_is_not_there_is_none(client: Client, namespace: str) -> None:
    assert await client.get(CONFIG_MAP, namespace, "nothing") is None


async def test_create_refuses_what_is_there(client: Client, namespace: str) -> None:
    created = await client.create(config(namespace, x="1"))
    assert created["metadata"]["uid"]
    with pytest.raises(AlreadyExistsError):
        await client.create(config(namespace))


async def test_replace_needs_the_version_that_was_read(client: Client, namespace: str) -> None:
    read = await client.create(config(namespace, x="1"))
    written = await client.replace(read | {"data": {"x": "2"}})
    assert written["data"] == {"x": "2"}
    with pytest.raises(ConflictError):
        await client.replace(read | {"data": {"x": "3"}})


async def test_apply_makes_and_prunes_what_it_applied_before(
    client: Client, namespace: str
) -> None:
    first = await client.apply(config(namespace, x="1", y="2"))
    assert first["data"] == {"x": "1", "y": "2"}
    second = await client.apply(config(namespace, x="3"))
    assert second["data"] == {"x": "3"}


async def test_apply_leaves_what_others_own(client: Client, namespace: str) -> None:
    await client.apply(config(namespace, ours="1"))
    ref = Ref(CONFIG_MAP, namespace, "a")
    await client.patch(ref, {"metadata": {"annotations": {"theirs": "1"}}})
    again = await client.apply(config(namespace, ours="2"))
    assert again["metadata"]["annotations"]["theirs"] == "1"


async def test_an_apply_of_the_same_changes_no_version(client: Client, namespace: str) -> None:
    first = await client.apply(config(namespace, x="1"))
    assert version(await client.apply(config(namespace, x="1"))) == version(first)


async def test_an_apply_with_an_old_version_is_a_conflict(client: Client, namespace: str) -> None:
    first = await client.apply(config(namespace, x="1"))
    await client.apply(config(namespace, x="2"))
    stale = config(namespace, x="3")
    stale["metadata"]["resourceVersion"] = version(first)
    with pytest.raises(ConflictError):
        await client.apply(stale)


async def test_an_apply_with_a_version_of_what_is_gone_makes_it_anew(
    client: Client, namespace: str
) -> None:
    first = await client.apply(config(namespace, x="1"))
    await client.delete(Ref(CONFIG_MAP, namespace, "a"))
    stale = config(namespace, x="3")
    stale["metadata"]["resourceVersion"] = version(first)
    again = await client.apply(stale)
    assert again["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_merge_patch_removes_what_is_null(client: Client, namespace: str) -> None:
    await client.create(config(namespace, x="1", y="2"))
    patched = await client.patch(Ref(CONFIG_MAP, namespace, "a"), {"data": {"x": None, "z": "3"}})
    assert patched["data"] == {"y": "2", "z": "3"}


async def test_a_patch_of_what_is_not_there(client: Client, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        await client.patch(Ref(CONFIG_MAP, namespace, "a"), {"data": {"x": "1"}})


async def test_status_and_spec_are_apart(client: Client, namespace: str) -> None:
    created = await client.create(voice_agent(namespace))
    ref = Ref(VOICE_AGENT, namespace, "a")
    patch = {"status": {"replicas": 3}, "spec": {"replicas": 9}}
    answer = await client.patch(ref, patch, subresource="status")
    assert answer["status"]["replicas"] == 3
    assert answer["spec"]["replicas"] == 1
    assert answer["metadata"]["generation"] == created["metadata"]["generation"]
    answer = await client.patch(ref, {"spec": {"replicas": 2}, "status": {"replicas": 9}})
    assert answer["status"]["replicas"] == 3
    assert answer["spec"]["replicas"] == 2
    assert answer["metadata"]["generation"] == created["metadata"]["generation"] + 1


async def test_a_status_with_an_old_version_is_a_conflict(client: Client, namespace: str) -> None:
    created = await client.create(voice_agent(namespace))
    ref = Ref(VOICE_AGENT, namespace, "a")
    await client.patch(ref, {"spec": {"replicas": 2}})
    patch = {"metadata": {"resourceVersion": version(created)}, "status": {"replicas": 3}}
    with pytest.raises(ConflictError):
        await client.patch(ref, patch, subresource="status")


async def test_a_gate_is_a_condition_among_others(client: Client, namespace: str) -> None:
    created = await client.create(pod(namespace))
    ref = Ref(POD, namespace, "a")
    for kind, status in (("Ready", "False"), ("callfleet.io/in-dispatcher", "True")):
        patch = {
            "metadata": {"uid": created["metadata"]["uid"]},
            "status": {"conditions": [{"type": kind, "status": status}]},
        }
        answer = await client.patch(ref, patch, subresource="status", strategic=True)
    found = {item["type"]: item["status"] for item in answer["status"]["conditions"]}
    assert found["Ready"] == "False"
    assert found["callfleet.io/in-dispatcher"] == "True"


async def test_a_patch_of_another_pod_of_the_same_name_is_a_conflict(
    client: Client, namespace: str
) -> None:
    await client.create(pod(namespace))
    patch = {"metadata": {"uid": "00000000-0000-0000-0000-000000000000", "annotations": {"x": "y"}}}
    with pytest.raises(ConflictError):
        await client.patch(Ref(POD, namespace, "a"), patch, strategic=True)


async def test_delete_is_of_the_object_that_was_seen(client: Client, namespace: str) -> None:
    created = await client.create(config(namespace))
    ref = Ref(CONFIG_MAP, namespace, "a")
    with pytest.raises(ConflictError):
        await client.delete(ref, uid="00000000-0000-0000-0000-000000000000")
    await client.delete(ref, uid=created["metadata"]["uid"])
    assert await client.get(CONFIG_MAP, namespace, "a") is None
    await client.delete(ref)


async def test_a_finalizer_holds_an_object(client: Client, namespace: str) -> None:
    await client.create(voice_agent(namespace))
    ref = Ref(VOICE_AGENT, namespace, "a")
    held = await client.patch(ref, {"metadata": {"finalizers": ["callfleet.io/dispatcher"]}})
    await client.delete(ref)
    going = await client.get(VOICE_AGENT, namespace, "a")
    assert going is not None
    assert going["metadata"]["deletionTimestamp"]
    patch = {"metadata": {"resourceVersion": version(going), "finalizers": []}}
    await client.patch(ref, patch)
    assert await client.get(VOICE_AGENT, namespace, "a") is None
    assert held["metadata"]["finalizers"] == ["callfleet.io/dispatcher"]


async def test_lists_come_in_pages(client: Client, namespace: str) -> None:
    for number in range(5):
        await client.create(config(namespace, f"c{number}"))
    selection = Selection(CONFIG_MAP, namespace, labels="case=yes")
    page = await client.list_page(selection, limit=2)
    assert len(page.items) == 2
    names = [item["metadata"]["name"] for item in page.items]
    while page.continue_token:
        page = await client.list_page(selection, limit=2, continue_token=page.continue_token)
        names += [item["metadata"]["name"] for item in page.items]
    assert names == [f"c{number}" for number in range(5)]
    assert all(item["kind"] == "ConfigMap" for item in page.items)


async def test_a_watch_tells_what_happens_after_a_list(client: Client, namespace: str) -> None:
    selection = Selection(CONFIG_MAP, namespace, labels="case=yes")
    since = (await client.list_page(selection)).resource_version
    await client.create(config(namespace, x="1"))
    await client.apply(config(namespace, x="2"))
    await client.delete(Ref(CONFIG_MAP, namespace, "a"))
    seen = []
    async with asyncio.timeout(LIMIT_S):
        async for event in client.watch(selection, since, timeout_s=30):
            if event.type != "BOOKMARK":
                seen.append((event.type, event.object["data"]["x"]))
            if event.type == "DELETED":
                break
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


async def test_a_watch_ends_after_its_time(client: Client, namespace: str) -> None:
    selection = Selection(CONFIG_MAP, namespace)
    since = (await client.list_page(selection)).resource_version
    async with asyncio.timeout(LIMIT_S):
        async for event in client.watch(selection, since, timeout_s=1):
            assert event.type == "BOOKMARK"


# --- on the real one only -------------------------------------------------------------------------


async def test_what_the_schema_refuses_is_invalid_and_names_the_field(real: KubeClient) -> None:
    bad = voice_agent(await new_namespace(real))
    bad["spec"]["replicas"] = -1
    with pytest.raises(InvalidError, match="replicas"):
        await real.create(bad)


async def test_metadata_alone(real: KubeClient) -> None:
    namespace = await new_namespace(real)
    await real.create(config(namespace, secret="1"))
    page = await list_all(real, Selection(CONFIG_MAP, namespace, metadata_only=True))
    assert page.items
    assert all("data" not in item for item in page.items)


async def test_a_version_from_the_future_or_the_past_is_an_error_and_not_silence(
    real: KubeClient,
) -> None:
    namespace = await new_namespace(real)
    with pytest.raises((GoneError, UnavailableError, InvalidError)):
        await exhaust(real, Selection(CONFIG_MAP, namespace), "not-a-version")


async def exhaust(client: KubeClient, selection: Selection, since: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        async for event in client.watch(selection, since, timeout_s=2):
            raise AssertionError(event.type)


async def test_nobody_there_is_unavailable() -> None:
    async def nobody() -> str:
        return ""

    async with KubeClient(Connection("http://127.0.0.1:1", None, nobody), timeout_s=2) as client:
        with pytest.raises(UnavailableError):
            await client.get(CONFIG_MAP, "a", "b")
        with pytest.raises(UnavailableError):
            await exhaust(client, Selection(CONFIG_MAP), "1")


async def test_a_closed_client_leaves_no_connection_open(with_crds: Path) -> None:
    client = KubeClient(await connect(with_crds), timeout_s=LIMIT_S)
    namespace = await new_namespace(client)
    selection = Selection(CONFIG_MAP, namespace)
    since = (await client.list_page(selection)).resource_version
    await client.create(config(namespace, x="1"))
    async for event in client.watch(selection, since, timeout_s=30):
        assert event.type == "ADDED"
        break  # left in the middle of the answer
    cancelled = asyncio.create_task(client.list_page(selection))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert client.sockets.open > 0

    await client.close()

    assert client.sockets.open == 0


async def test_a_kubeconfig_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\nkind: Config\n")
    with pytest.raises(ConfigurationError, match="kubeconfig"):
        await connect(path)
    with pytest.raises(ConfigurationError, match="service account"):
        await connect(None)


async def test_a_reflector_follows_the_real_server(real: KubeClient) -> None:
    namespace = await new_namespace(real)
    changes: asyncio.Queue[Change] = asyncio.Queue()
    caches = CacheSet([CONFIG_MAP], changes.put_nowait, (namespace,))
    reflector = Reflector(
        real,
        Selection(CONFIG_MAP, namespace),
        caches.of(CONFIG_MAP),
        projection_of(CONFIG_MAP),
        SystemClock(),
        lambda: 0.5,
    )
    task = asyncio.create_task(run_all([reflector]))
    try:
        async with asyncio.timeout(LIMIT_S):
            await caches.wait_synced()
            await real.create(config(namespace, x="1"))
            assert (await changes.get()).old is None
            assert caches.get(CONFIG_MAP, namespace, "a") is not None
            await real.delete(Ref(CONFIG_MAP, namespace, "a"))
            assert (await changes.get()).new is None
            assert caches.get(CONFIG_MAP, namespace, "a") is None
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_of_two_candidates_for_the_real_lease_one_leads(real: KubeClient) -> None:
    namespace = await new_namespace(real)
    both = [
        Lease(
            real,
            LeaseTerms(namespace, "operator", holder, duration_s=LIMIT_S, renew_s=1.0),
            SystemClock(),
            lambda: 0.5,
        )
        for holder in ("a", "b")
    ]
    tasks = [asyncio.create_task(each.acquire()) for each in both]
    await asyncio.wait(tasks, timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
    done, waiting = await asyncio.wait(tasks, timeout=3)
    assert (len(done), len(waiting)) == (1, 1)
    winner = next(each for each in both if each.epoch is not None)
    await winner.release()
    async with asyncio.timeout(LIMIT_S):
        epochs = await asyncio.gather(*tasks)
    assert abs(epochs[0] - epochs[1]) == 1
    lease = await real.get(LEASE, namespace, "operator")
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == max(epochs)


async def test_two_operators_make_one_real_ca(real: KubeClient) -> None:
    namespace = await new_namespace(real)
    form = authority_form("callfleet", Lifetimes())
    made = await asyncio.gather(*(kept(form, real, namespace, SystemClock()) for _ in range(4)))
    assert len({each.ca.fingerprint for each in made}) == 1


async def test_events_are_what_the_real_server_takes(real: KubeClient) -> None:
    namespace = await new_namespace(real)
    agent = await real.create(voice_agent(namespace))
    recorder = EventRecorder(real, SystemClock(), "operator-1")
    task = asyncio.create_task(recorder.run())
    for _ in range(3):
        recorder.emit(agent, EventType.WARNING, "PoolNotFound", "ProvidersReady", "no such pool")
    async with asyncio.timeout(LIMIT_S):
        while True:
            events = (await list_all(real, Selection(EVENT, namespace))).items
            if events and (events[0].get("series") or {}).get("count") == 2:
                break
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert recorder.dropped == 0
    assert len(events) == 1
