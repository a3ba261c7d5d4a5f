"""What is known of rows while a proxy's database does not say whether it wrote them."""

from collections.abc import Sequence

import pytest

from callfleet_operator.ports.proxy import (
    AgentRows,
    ProxyDatabaseUnavailable,
    RowState,
    SeenState,
    SyncOutcome,
    WantedRow,
)
from callfleet_operator.reconcile.dispatcher import DispatcherSync, RowMemory
from fakes.proxy import FakeProxy
from fakes.virtual_time import FakeClock, in_virtual_time

URI, OTHER = "sip:10.0.0.1:5060", "sip:10.0.0.2:5060"
ROW = WantedRow(URI, "p1")
OUT = WantedRow(OTHER, "p2", RowState.INACTIVE)


class LosesAnswers(FakeProxy):
    """The transaction commits, and the connection breaks before that is told."""

    broken = False

    async def sync(self, agents: Sequence[AgentRows], *, epoch: int) -> SyncOutcome:
        outcome = await super().sync(agents, epoch=epoch)
        if self.broken:
            raise ProxyDatabaseUnavailable("the answer was lost")
        return outcome


@in_virtual_time
async def test_a_row_that_may_have_been_written_is_not_known_to_be_absent() -> None:
    proxy = LosesAnswers()
    rows: list[WantedRow] = []

    def wanted(_proxy: str) -> Sequence[AgentRows]:
        return [AgentRows("uid-a", "bank", "a", rows=tuple(rows))]

    sync = DispatcherSync({"default": proxy}, wanted, lambda *_: None, FakeClock(), epoch=1)
    memory = sync.memory("default").agent("uid-a")
    memory.pods = {URI: "p1"}
    await sync.round("default")
    assert memory.seen == {URI: SeenState.ABSENT}

    rows.append(ROW)
    proxy.broken = True
    with pytest.raises(ProxyDatabaseUnavailable):
        await sync.round("default")

    assert memory.seen == {URI: SeenState.UNKNOWN}
    assert memory.out_since == {}


def test_rows_that_are_to_stay_out_are_as_they_were_seen() -> None:
    memory = RowMemory(
        seen={URI: SeenState.ACTIVE, OTHER: SeenState.INACTIVE}, out_since={(OTHER, "p2"): 5.0}
    )
    memory.doubt((ROW, OUT))
    assert memory.seen == {URI: SeenState.ACTIVE, OTHER: SeenState.INACTIVE}
    assert memory.out_since == {(OTHER, "p2"): 5.0}


def test_a_pod_at_another_ones_address_is_out_since_it_was_seen_out_itself() -> None:
    memory = RowMemory(pods={URI: "p1"})
    memory.take({URI: SeenState.ABSENT}, 5.0)
    memory.pods = {URI: "p2"}
    memory.take({URI: SeenState.ABSENT}, 9.0)
    assert memory.out_since[URI, "p2"] == 9.0


def test_what_was_confirmed_of_a_pod_is_not_inherited_after_its_row_was_given_up() -> None:
    memory = RowMemory(pods={URI: "p1"})
    memory.take({URI: SeenState.ACTIVE}, 5.0)
    memory.pods = {}
    memory.take({URI: SeenState.UNKNOWN}, 6.0)
    assert memory.confirmed == {URI: SeenState.ACTIVE}
    memory.forget_others({URI: "p2"})
    assert memory.confirmed == {}


def test_what_nobody_asks_about_any_more_is_forgotten() -> None:
    memory = RowMemory(pods={URI: "p1", OTHER: "p2"})
    memory.take({URI: SeenState.ABSENT, OTHER: SeenState.INACTIVE}, 5.0)
    memory.take({URI: SeenState.ABSENT}, 6.0)
    assert memory.out_since == {(URI, "p1"): 5.0}


IN_AND_OUT = AgentRows("uid-a", "bank", "a", rows=(ROW, OUT))


@pytest.mark.parametrize(
    ("row", "other", "undone"),
    [
        (SeenState.ACTIVE, SeenState.INACTIVE, False),
        (SeenState.PROBING, SeenState.ABSENT, False),  # a dead pod is no reason to write
        (SeenState.UNKNOWN, SeenState.UNKNOWN, False),
        (SeenState.ACTIVE, SeenState.ACTIVE, True),
        (SeenState.ACTIVE, SeenState.PROBING, True),
        (SeenState.INACTIVE, SeenState.INACTIVE, True),
        (SeenState.ABSENT, SeenState.INACTIVE, True),
    ],
)
def test_what_is_seen_otherwise_than_it_was_told(
    row: SeenState, other: SeenState, undone: bool
) -> None:
    memory = RowMemory(synced=IN_AND_OUT, seen={URI: row, OTHER: other})
    assert memory.undone is undone


@in_virtual_time
async def test_a_drain_that_a_late_answer_undid_is_done_again_at_once() -> None:
    clock, proxy = FakeClock(), FakeProxy(settle_s=1.0)
    sync = DispatcherSync({"default": proxy}, lambda _: [IN_AND_OUT], lambda *_: None, clock, 1)
    await sync.round("default")
    await clock.sleep(2.0)
    await sync.round("default")
    (instance,) = proxy.instances.values()
    back = instance.rows[1000, OTHER]
    back.state = SeenState.ACTIVE
    syncs = proxy.syncs

    again = await sync.round("default")
    assert proxy.syncs == syncs  # seen now, and no longer waited with
    assert again is not None
    assert again <= 2.0
    await sync.round("default")
    assert proxy.syncs == syncs + 1


@in_virtual_time
async def test_a_round_that_failed_is_not_known_to_be_in_sync() -> None:
    """It may have been written; who changes his mind and wants what was before is written too."""
    proxy = LosesAnswers()
    wanted = [AgentRows("uid-a", "bank", "a", rows=(ROW,))]
    sync = DispatcherSync({"default": proxy}, lambda _: wanted, lambda *_: None, FakeClock(), 1)
    before = list(wanted)
    await sync.round("default")
    wanted[:], proxy.broken = [AgentRows("uid-a", "bank", "a", rows=(ROW, OUT))], True
    with pytest.raises(ProxyDatabaseUnavailable):
        await sync.round("default")

    wanted[:], proxy.broken = before, False
    await sync.round("default")

    assert {uri for _, uri in proxy.rows} == {URI}
