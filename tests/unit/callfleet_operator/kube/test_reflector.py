"""A reflector keeps its cache equal to the server, whatever the connection does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from callfleet_operator.kube.cache import CacheSet
from callfleet_operator.kube.client import Selection, WatchEvent
from callfleet_operator.kube.projection import projection_of
from callfleet_operator.kube.reflector import Reflector, run_all
from callfleet_operator.ports.errors import ForbiddenError, GoneError, UnavailableError
from callfleet_operator.ports.kinds import CONFIG_MAP, NODE, Manifest
from callfleet_operator.ports.kube import Change, Ref
from fakes.kube import FakeKube
from fakes.virtual_time import FakeClock, in_virtual_time


def config(name: str, value: str = "1", namespace: str = "bank") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, "managedFields": [{"x": 1}]},
        "data": {"value": value},
    }


@dataclass
class Followed:
    kube: FakeKube
    caches: CacheSet
    reflector: Reflector
    changes: list[Change] = field(default_factory=list)

    def values(self) -> dict[str, str]:
        return {
            item["metadata"]["name"]: item["data"]["value"] for item in self.caches.list(CONFIG_MAP)
        }


@asynccontextmanager
async def following(kube: FakeKube, *, namespace: str = "") -> AsyncIterator[Followed]:
    changes: list[Change] = []
    caches = CacheSet([CONFIG_MAP], changes.append, (namespace,))
    reflector = Reflector(
        kube,
        Selection(CONFIG_MAP, namespace),
        caches.of(CONFIG_MAP),
        projection_of(CONFIG_MAP),
        FakeClock(),
        lambda: 0.5,
    )
    task = asyncio.create_task(run_all([reflector]))
    try:
        yield Followed(kube, caches, reflector, changes)
    finally:
        task.cancel()
        await asyncio.wait([task])


@in_virtual_time
async def test_lists_then_follows() -> None:
    kube = FakeKube(page_limit=2)
    for number in range(5):
        kube.put(config(f"c{number}"))
    async with following(kube) as followed:
        assert not followed.caches.synced
        await asyncio.wait_for(followed.caches.wait_synced(), 1)
        assert len(followed.values()) == 5
        kube.put(config("c9", "9"))
        kube.update(CONFIG_MAP, "bank", "c0", data={"value": "2"})
        kube.remove(CONFIG_MAP, "bank", "c1")
        await asyncio.sleep(0.1)
        assert followed.values() == {"c0": "2", "c2": "1", "c3": "1", "c4": "1", "c9": "9"}
        assert kube.requests == {"LIST": 3, "WATCH": 1}
        assert "managedFields" not in next(iter(followed.caches.list(CONFIG_MAP)))["metadata"]


@in_virtual_time
async def test_changes_tell_old_and_new() -> None:
    kube = FakeKube()
    async with following(kube) as followed:
        await followed.caches.wait_synced()
        kube.put(config("a"))
        kube.update(CONFIG_MAP, "bank", "a", data={"value": "2"})
        kube.remove(CONFIG_MAP, "bank", "a")
        await asyncio.sleep(0.1)
    seen = [
        (change.old and change.old["data"]["value"], change.new and change.new["data"]["value"])
        for change in followed.changes
    ]
    assert seen == [(None, "1"), ("1", "2"), ("2", None)]


@in_virtual_time
async def test_an_error_is_never_an_empty_list() -> None:
    kube = FakeKube(page_limit=1)
    kube.put(config("a"))
    kube.put(config("b"))
    failing = iter([True, False, True, True])

    def before(verb: str, ref: Ref) -> None:
        if verb == "LIST" and next(failing, False):
            raise ForbiddenError(403, "Forbidden", "no list for you")

    kube.before = before
    async with following(kube) as followed:
        await asyncio.sleep(0.2)
        assert not followed.caches.synced
        assert followed.reflector.last_error is not None
        await asyncio.wait_for(followed.caches.wait_synced(), 10)
        assert set(followed.values()) == {"a", "b"}
        assert followed.reflector.last_error is None


@in_virtual_time
async def test_a_broken_connection_goes_on_where_it_was() -> None:
    kube = FakeKube()
    async with following(kube) as followed:
        await followed.caches.wait_synced()
        await asyncio.sleep(1)
        kube.break_watches()
        kube.put(config("meanwhile"))
        await asyncio.sleep(2)
        assert set(followed.values()) == {"meanwhile"}
        assert kube.requests == {"LIST": 1, "WATCH": 2}


@in_virtual_time
async def test_a_version_that_is_too_old_leads_to_a_new_list() -> None:
    kube = FakeKube()
    kube.put(config("a"))
    async with following(kube) as followed:
        await followed.caches.wait_synced()
        await asyncio.sleep(1)
        kube.break_watches(GoneError(410, "Expired", "too old"))
        kube.remove(CONFIG_MAP, "bank", "a")
        kube.put(config("b"))
        kube.compact()
        await asyncio.sleep(3)
        assert set(followed.values()) == {"b"}
        assert kube.requests["LIST"] == 2


@in_virtual_time
async def test_an_error_event_of_the_server_ends_neither_watch_nor_process() -> None:
    kube = FakeKube()
    async with following(kube) as followed:
        await followed.caches.wait_synced()
        for fault in (
            UnavailableError(500, "InternalError", "etcd"),
            ForbiddenError(403, "Forbidden", "rights were taken"),
        ):
            await asyncio.sleep(1)
            kube.break_watches(fault)
            await asyncio.sleep(3)
        kube.put(config("after"))
        await asyncio.sleep(3)
        assert set(followed.values()) == {"after"}
        assert followed.reflector.counters.errors == 2


@in_virtual_time
async def test_three_failures_in_a_row_lead_to_a_new_list() -> None:
    kube = FakeKube()
    refused = 0

    def before(verb: str, ref: Ref) -> None:
        nonlocal refused
        if verb == "WATCH" and refused < 3:
            refused += 1
            raise UnavailableError(500, "InternalError", "no watch")

    kube.before = before
    async with following(kube) as followed:
        await asyncio.sleep(10)
        assert kube.requests["LIST"] == 2
        kube.put(config("a"))
        await asyncio.sleep(1)
        assert set(followed.values()) == {"a"}


@in_virtual_time
async def test_delays_grow_and_have_a_limit() -> None:
    kube = FakeKube()

    def before(verb: str, ref: Ref) -> None:
        raise UnavailableError(0, "Unreachable", "nobody there")

    kube.before = before
    async with following(kube):
        await asyncio.sleep(60)
        early = kube.requests["LIST"]
        await asyncio.sleep(600)
        late = kube.requests["LIST"] - early
    assert early < 10
    assert 20 <= late <= 40


@in_virtual_time
async def test_the_servers_wish_to_wait_is_followed() -> None:
    kube = FakeKube()

    def before(verb: str, ref: Ref) -> None:
        raise UnavailableError(429, "TooManyRequests", "later", retry_after_s=50)

    kube.before = before
    async with following(kube):
        await asyncio.sleep(49)
    assert kube.requests["LIST"] == 1


@in_virtual_time
async def test_a_list_from_time_to_time_heals_what_a_watch_missed() -> None:
    kube = FakeKube()
    kube.put(config("a"))
    async with following(kube) as followed:
        await followed.caches.wait_synced()
        followed.caches.of(CONFIG_MAP).remove("bank", "a")
        await asyncio.sleep(700)
        assert set(followed.values()) == {"a"}
        assert kube.requests["LIST"] == 2


@in_virtual_time
async def test_a_server_that_ends_every_watch_is_not_asked_in_a_busy_loop() -> None:
    class Ending(FakeKube):
        async def watch(
            self, selection: Selection, resource_version: str, *, timeout_s: float
        ) -> AsyncIterator[WatchEvent]:
            async for event in super().watch(selection, resource_version, timeout_s=0.0):
                yield event

    kube = Ending()
    async with following(kube):
        await asyncio.sleep(60)
    assert kube.requests["WATCH"] < 200


@in_virtual_time
async def test_one_namespace_of_several() -> None:
    kube = FakeKube()
    kube.put(config("here"))
    kube.put(config("elsewhere", namespace="other"))
    async with following(kube, namespace="bank") as followed:
        await followed.caches.wait_synced()
        assert set(followed.values()) == {"here"}


@in_virtual_time
async def test_kinds_without_a_namespace_are_synced_by_one_list() -> None:
    caches = CacheSet([NODE, CONFIG_MAP], lambda _: None, ("a", "b"))
    caches.of(NODE).replace([])
    assert caches.unsynced() == ["ConfigMap"]
    caches.of(CONFIG_MAP).replace([], "a")
    assert not caches.synced
    caches.of(CONFIG_MAP).replace([], "b")
    assert caches.synced
