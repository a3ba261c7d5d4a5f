"""Leadership: one writer at a time, whatever clocks and networks do."""

import asyncio

import pytest

from callfleet_operator.kube.fenced import FencedWriter
from callfleet_operator.kube.lease import Lease, LeaseTerms
from callfleet_operator.ports.errors import ConflictError, NotLeaderError, UnavailableError
from callfleet_operator.ports.kinds import CONFIG_MAP, LEASE, Manifest
from callfleet_operator.ports.kube import Ref
from fakes.kube import FakeKube
from fakes.virtual_time import FakeClock, in_virtual_time

# Minutes from EPOCH_ZERO to the beginning of virtual time.
FIRST = 1_666_666
TERMS = {"duration_s": 15.0, "renew_s": 4.0}


def lease(kube: FakeKube, holder: str) -> Lease:
    terms = LeaseTerms("callfleet-system", "callfleet-operator", holder, **TERMS)
    return Lease(kube, terms, FakeClock(), lambda: 0.5)


def spec(kube: FakeKube) -> Manifest:
    found = kube.peek(LEASE, "callfleet-system", "callfleet-operator")
    assert found is not None
    return dict(found["spec"])


CONFIG: Manifest = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"namespace": "bank", "name": "a"},
    "data": {},
}


@in_virtual_time
async def test_the_first_leads_in_an_epoch_that_no_former_lease_can_have_had() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    assert first.remaining_s() == 0
    assert await first.acquire() == FIRST
    assert first.epoch == FIRST
    assert 14 < first.remaining_s() <= 15
    assert spec(kube)["holderIdentity"] == "a"
    assert spec(kube)["leaseDurationSeconds"] == 15


@in_virtual_time
async def test_the_second_waits_while_the_first_renews() -> None:
    kube = FakeKube()
    first, second = lease(kube, "a"), lease(kube, "b")
    await first.acquire()
    hold = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(600)
    assert not waiting.done()
    assert first.epoch == FIRST
    for task in (hold, waiting):
        task.cancel()
    await asyncio.wait([hold, waiting])


@in_virtual_time
async def test_a_released_lease_is_taken_at_once_in_the_next_epoch() -> None:
    kube = FakeKube()
    first, second = lease(kube, "a"), lease(kube, "b")
    await first.acquire()
    await first.release()
    assert first.epoch is None
    started = asyncio.get_running_loop().time()
    assert await second.acquire() == FIRST + 1
    assert asyncio.get_running_loop().time() - started < 1


@in_virtual_time
async def test_a_leader_that_hears_nothing_stops_before_another_starts() -> None:
    kube = FakeKube()
    first, second = lease(kube, "a"), lease(kube, "b")
    await first.acquire()
    hold = asyncio.create_task(first.hold())
    await asyncio.sleep(10)

    def before(verb: str, ref: Ref) -> float | None:
        if asyncio.current_task() is hold:
            raise UnavailableError(0, "Unreachable", "cut off")
        return None

    kube.before = before
    ended: list[float] = []
    hold.add_done_callback(lambda _: ended.append(asyncio.get_running_loop().time()))
    assert await second.acquire() == FIRST + 1
    taken = asyncio.get_running_loop().time()
    assert ended
    assert ended[0] < taken
    assert first.epoch is None


@in_virtual_time
async def test_a_leader_whose_requests_hang_stops_in_time() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    await first.acquire()
    kube.before = lambda _verb, _ref: 3600.0
    await asyncio.wait_for(first.hold(), 15.5)
    assert first.epoch is None


@in_virtual_time
async def test_a_renewal_whose_answer_was_lost_is_still_ours() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    await first.acquire()
    lost = iter([True])

    def after(verb: str, ref: Ref) -> None:
        if verb == "PUT" and next(lost, False):
            raise UnavailableError(0, "Unreachable", "the answer was lost")

    kube.after = after
    hold = asyncio.create_task(first.hold())
    await asyncio.sleep(60)
    assert first.epoch == FIRST
    hold.cancel()
    await asyncio.wait([hold])


@in_virtual_time
async def test_a_lease_that_somebody_took_is_lost() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    await first.acquire()
    kube.update(
        LEASE,
        "callfleet-system",
        "callfleet-operator",
        spec={"holderIdentity": "b", "leaseTransitions": FIRST + 1},
    )
    await asyncio.wait_for(first.hold(), 10)
    assert first.epoch is None


@in_virtual_time
async def test_of_two_candidates_one_wins() -> None:
    kube = FakeKube()
    kube.before = lambda _verb, _ref: 0.1
    both = [lease(kube, name) for name in ("a", "b")]
    tasks = [asyncio.create_task(each.acquire()) for each in both]
    await asyncio.sleep(2)
    assert [task.done() for task in tasks].count(True) == 1
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@in_virtual_time
async def test_a_candidate_goes_on_when_the_server_is_away() -> None:
    kube = FakeKube()
    away = iter([True] * 3)

    def before(verb: str, ref: Ref) -> float | None:
        if next(away, False):
            raise UnavailableError(0, "Unreachable", "away")
        return None

    kube.before = before
    assert await asyncio.wait_for(lease(kube, "a").acquire(), 60) == FIRST


@in_virtual_time
async def test_a_lease_whose_last_renewal_was_not_heard_of_is_released_too() -> None:
    kube = FakeKube()
    first, second = lease(kube, "a"), lease(kube, "b")
    await first.acquire()
    lost: list[Ref] = []

    def lose(verb: str, ref: Ref) -> None:
        if verb == "PUT" and not lost:
            lost.append(ref)
            raise UnavailableError(0, "Unreachable", "the answer was lost")

    kube.after = lose
    hold = asyncio.create_task(first.hold())
    await asyncio.sleep(5)
    hold.cancel()
    assert lost
    await first.release()
    assert spec(kube)["holderIdentity"] == ""
    began = asyncio.get_running_loop().time()
    assert await second.acquire() == FIRST + 1
    assert asyncio.get_running_loop().time() - began < 1


@in_virtual_time
async def test_release_of_what_was_taken_by_another_changes_nothing() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    await first.acquire()
    kube.update(LEASE, "callfleet-system", "callfleet-operator", spec={"holderIdentity": "b"})
    await first.release()
    assert spec(kube)["holderIdentity"] == "b"
    await first.release()


# --- the writer of a term -------------------------------------------------------------------------


@in_virtual_time
async def test_a_leader_writes() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    writer = FencedWriter(kube, first, await first.acquire())
    await writer.create(CONFIG)
    await writer.apply(CONFIG | {"data": {"x": "1"}})
    ref = Ref(CONFIG_MAP, "bank", "a")
    await writer.patch(ref, {"data": {"y": "2"}})
    assert kube.all(CONFIG_MAP)[0]["data"] == {"x": "1", "y": "2"}
    await writer.delete(ref)
    assert kube.all(CONFIG_MAP) == []


@in_virtual_time
async def test_a_former_leader_writes_nothing() -> None:
    kube = FakeKube()
    first, second = lease(kube, "a"), lease(kube, "b")
    writer = FencedWriter(kube, first, await first.acquire())
    # The process is frozen: it renews nothing, and does not know.
    await second.acquire()
    sent = len(kube.log)
    with pytest.raises(NotLeaderError):
        await writer.apply(CONFIG)
    with pytest.raises(NotLeaderError):
        await writer.delete(Ref(CONFIG_MAP, "bank", "a"))
    assert len(kube.log) == sent


@in_virtual_time
async def test_a_writer_of_a_former_term_writes_nothing_in_the_next() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    former = FencedWriter(kube, first, await first.acquire())
    await first.release()
    await first.acquire()
    with pytest.raises(NotLeaderError):
        await former.apply(CONFIG)


@in_virtual_time
async def test_a_write_is_given_up_before_the_lease_ends() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    writer = FencedWriter(kube, first, await first.acquire(), timeout_s=60)
    kube.before = lambda _verb, _ref: 3600.0
    with pytest.raises(UnavailableError):
        await writer.apply(CONFIG)
    assert asyncio.get_running_loop().time() <= 15


@in_virtual_time
async def test_a_write_on_its_way_is_refused_by_its_resource_version() -> None:
    kube = FakeKube()
    seen = kube.put(CONFIG)
    first, second = lease(kube, "a"), lease(kube, "b")
    await first.acquire()
    # Sent while leading; the network delivers it when another leads and has written.
    kube.before = lambda verb, ref: 12.0 if ref.kind == CONFIG_MAP else None
    late = asyncio.create_task(
        kube.apply(CONFIG | {"metadata": seen["metadata"], "data": {"by": "a"}})
    )
    await asyncio.sleep(0)
    kube.before = None
    await first.release()
    new = FencedWriter(kube, second, await second.acquire())
    await new.apply(CONFIG | {"data": {"by": "b"}})
    with pytest.raises(ConflictError):
        await late
    assert kube.all(CONFIG_MAP)[0]["data"] == {"by": "b"}


@in_virtual_time
async def test_a_lease_that_somebody_deleted_begins_with_a_higher_epoch() -> None:
    kube = FakeKube()
    first = lease(kube, "a")
    await first.acquire()
    kube.remove(LEASE, "callfleet-system", "callfleet-operator")
    await asyncio.sleep(120)
    assert await lease(kube, "b").acquire() > FIRST
