"""What every proxy promises: the same cases on FakeProxy, on Kamailio and on OpenSIPS."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from callfleet_operator.ports.proxy import (
    AgentProblem,
    AgentRows,
    ProxyDatabaseUnavailable,
    Refusal,
    RefusalReason,
    SeenState,
    StaleEpoch,
    WantedRow,
)
from proxy_rigs import (
    ALLOWED,
    INACTIVE,
    LIMIT_S,
    SHORT,
    Rig,
    agent,
    number,
    until,
    with_state,
)

MakeRig = Callable[..., Awaitable[Rig]]


async def test_a_new_row_is_active_once_a_probe_was_answered(rig: Rig) -> None:
    alive, dead = await rig.pod(), await rig.pod()
    await rig.kill(dead)
    line = number()
    wanted = agent("card", alive, dead, numbers=[line])

    outcome = await rig.proxy.sync([wanted], epoch=1)

    found = outcome.agents[wanted.uid]
    assert outcome.in_sync
    assert outcome.look_again_s is not None
    assert found.set_id is not None
    assert 1000 <= found.set_id <= 1999
    assert found.accepted == (line,)
    assert not found.refused
    await until(rig, wanted, SeenState.ACTIVE, alive)
    assert (await rig.proxy.observe()).state_of(wanted.uid, dead.uri) is SeenState.PROBING
    assert await rig.reached(line, 4) == {alive.uri}


async def test_a_drain_is_confirmed_and_taken_back(rig: Rig) -> None:
    stays, goes = await rig.pod(), await rig.pod()
    line = number()
    wanted = agent("card", stays, goes, numbers=[line])
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, stays, goes)

    drained = with_state(wanted, INACTIVE, goes)
    outcome = await rig.proxy.sync([drained], epoch=1)

    assert outcome.in_sync
    assert outcome.state_of(wanted.uid, stays.uri) is SeenState.ACTIVE
    await until(rig, drained, SeenState.INACTIVE, goes)
    assert await rig.reached(line, 6) == {stays.uri}

    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, goes)
    assert await rig.reached(line, 6) == {stays.uri, goes.uri}


async def test_a_drain_outlives_other_syncs_and_a_restart(rig: Rig) -> None:
    stays, goes, later = await rig.pod(), await rig.pod(), await rig.pod()
    wanted = with_state(agent("card", stays, goes, numbers=[number()]), INACTIVE, goes)
    await rig.proxy.sync([agent("card", stays, goes)], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, stays, goes)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.INACTIVE, goes)

    await rig.proxy.sync([wanted, agent("other", later)], epoch=1)
    assert (await rig.proxy.observe()).state_of(wanted.uid, stays.uri) is SeenState.ACTIVE
    assert (await rig.proxy.observe()).state_of(wanted.uid, goes.uri) is SeenState.INACTIVE

    await rig.restart(rig.endpoints[0])
    await until(rig, wanted, SeenState.INACTIVE, goes)
    await until(rig, wanted, SeenState.ACTIVE, stays)
    assert (await rig.proxy.sync([wanted, agent("other", later)], epoch=1)).in_sync


async def test_weight_nought_is_a_drain(rig: Rig) -> None:
    pod = await rig.pod()
    rows = (WantedRow(pod.uri, "uid", weight=0),)
    wanted = AgentRows("uid-card", ALLOWED, "card", (), rows)

    await rig.proxy.sync([wanted], epoch=1)

    await until(rig, wanted, SeenState.INACTIVE, pod)


async def test_deleting_an_agent_leaves_nothing(rig: Rig) -> None:
    pod, other = await rig.pod(), await rig.pod()
    line, kept = number(), number()
    stays = agent("stays", other, numbers=[kept])
    wanted = agent("card", pod, numbers=[line])
    await rig.proxy.sync([wanted, stays], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    outcome = await rig.proxy.sync([replace(wanted, gone=True), stays], epoch=1)

    assert outcome.in_sync
    assert outcome.agents[wanted.uid].set_id is None
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.ABSENT
    assert pod.uri not in {uri for _, uri in await rig.rows()}
    assert line not in await rig.numbers()
    assert other.uri in {uri for _, uri in await rig.rows()}
    assert kept in await rig.numbers()


async def test_an_agent_that_is_not_listed_is_gone(rig: Rig) -> None:
    pod = await rig.pod()
    line = number()
    await rig.proxy.sync([agent("card", pod, numbers=[line])], epoch=1)

    await rig.proxy.sync([], epoch=1)

    assert pod.uri not in {uri for _, uri in await rig.rows()}
    assert line not in await rig.numbers()


async def test_a_set_id_rests_before_it_is_given_again(rig: Rig) -> None:
    first = await rig.proxy.sync([agent("one")], epoch=1)
    second = await rig.proxy.sync([agent("two")], epoch=1)

    assert first.agents["uid-one"].set_id != second.agents["uid-two"].set_id


async def test_a_removed_row_is_absent_and_the_rest_stays(rig: Rig) -> None:
    stays, goes = await rig.pod(), await rig.pod()
    wanted = agent("card", stays, goes)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, stays, goes)

    outcome = await rig.proxy.sync([agent("card", stays)], epoch=1)

    assert outcome.state_of(wanted.uid, goes.uri) is SeenState.ABSENT
    assert outcome.state_of(wanted.uid, stays.uri) is SeenState.ACTIVE


async def test_foreign_rows_are_never_touched(make_rig: MakeRig) -> None:
    rig = await make_rig(set_ids=(7000, 7009))
    pod, foreign = await rig.pod(), await rig.pod()
    await rig.add_foreign_row(7000, foreign.uri)
    await rig.add_foreign_row(6999, foreign.uri)

    outcome = await rig.proxy.sync([agent("card", pod, numbers=[number()])], epoch=1)
    assert outcome.agents["uid-card"].set_id == 7001
    await rig.proxy.sync([], epoch=1)

    assert {(7000, foreign.uri), (6999, foreign.uri)} <= await rig.rows()


async def test_a_foreign_row_in_the_way_is_a_problem_of_that_agent_only(rig: Rig) -> None:
    pod, other = await rig.pod(), await rig.pod()
    outcome = await rig.proxy.sync([agent("card")], epoch=1)
    set_id = outcome.agents["uid-card"].set_id
    assert set_id is not None
    await rig.add_foreign_row(set_id, pod.uri)

    wanted = agent("other", other)
    outcome = await rig.proxy.sync([agent("card", pod), wanted], epoch=1)

    assert outcome.agents["uid-card"].problem is AgentProblem.FOREIGN_ROW
    assert outcome.agents["uid-other"].problem is None
    assert not outcome.in_sync
    assert (set_id, pod.uri) in await rig.rows()
    await until(rig, wanted, SeenState.ACTIVE, other)


async def test_a_foreign_row_beside_ours_takes_calls_and_is_told(rig: Rig) -> None:
    pod, stranger = await rig.pod(), await rig.pod()
    line = number()
    wanted, other = agent("card", pod, numbers=[line]), agent("other")
    outcome = await rig.proxy.sync([wanted, other], epoch=1)
    set_id = outcome.agents[wanted.uid].set_id
    assert set_id is not None
    await rig.add_foreign_row(set_id, stranger.uri)
    await rig.restart(rig.endpoints[0])
    await until(rig, wanted, SeenState.ACTIVE, pod)

    outcome = await rig.proxy.sync([wanted, other], epoch=1)

    assert outcome.agents[wanted.uid].problem is AgentProblem.FOREIGN_ROW_BESIDE
    assert outcome.agents[other.uid].problem is None
    assert outcome.in_sync
    assert set(outcome.agents[wanted.uid].seen) == {pod.uri}
    assert set((await rig.proxy.observe()).agents[wanted.uid]) == {pod.uri}
    assert stranger.uri in await rig.reached(line, 6)

    outcome = await rig.proxy.sync([replace(wanted, gone=True), other], epoch=1)
    assert outcome.in_sync
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.ABSENT
    assert stranger.uri not in outcome.agents[wanted.uid].seen
    assert (set_id, stranger.uri) in await rig.rows()


async def test_a_foreign_row_that_its_owner_deletes_takes_no_calls_after_the_next_sync(
    rig: Rig,
) -> None:
    pod, stranger = await rig.pod(), await rig.pod()
    line = number()
    wanted = agent("card", pod, numbers=[line])
    outcome = await rig.proxy.sync([wanted], epoch=1)
    set_id = outcome.agents[wanted.uid].set_id
    assert set_id is not None
    await rig.add_foreign_row(set_id, stranger.uri)
    await rig.restart(rig.endpoints[0])
    await until(rig, wanted, SeenState.ACTIVE, pod)

    await rig.remove_foreign_row(set_id, stranger.uri)
    outcome = await rig.proxy.sync([wanted], epoch=1)

    assert outcome.in_sync
    assert outcome.agents[wanted.uid].problem is None
    assert await rig.reached(line, 6) == {pod.uri}


async def test_set_ids_can_run_out(make_rig: MakeRig) -> None:
    rig = await make_rig(set_ids=(7100, 7101))
    agents = [agent(name, numbers=[number()]) for name in ("one", "two", "three")]

    outcome = await rig.proxy.sync(agents, epoch=1)

    assert outcome.agents["uid-one"].set_id == 7100
    assert outcome.agents["uid-two"].set_id == 7101
    assert outcome.agents["uid-three"].problem is AgentProblem.SET_IDS_EXHAUSTED
    assert outcome.agents["uid-three"].accepted == ()


async def test_the_first_claim_of_a_number_wins_until_it_is_given_back(rig: Rig) -> None:
    line, own = number(), number()
    first = agent("first", numbers=[line])
    second = agent("second", numbers=[line, own])

    outcome = await rig.proxy.sync([first, second], epoch=1)
    assert outcome.agents[first.uid].accepted == (line,)
    assert outcome.agents[second.uid].accepted == (own,)
    refused = {line: Refusal(RefusalReason.CLAIMED, f"{ALLOWED}/first")}
    assert outcome.agents[second.uid].refused == refused

    outcome = await rig.proxy.sync([second, first], epoch=1)
    assert outcome.agents[second.uid].refused == refused

    outcome = await rig.proxy.sync([second, agent("first")], epoch=1)
    assert outcome.agents[second.uid].accepted == (line, own)


async def test_a_number_needs_a_policy_that_allows_it(rig: Rig) -> None:
    wanted = replace(agent("card", numbers=["+4930123", "+15550100"]), namespace="guest")

    outcome = await rig.proxy.sync([wanted], epoch=1)

    assert outcome.agents[wanted.uid].accepted == ("+15550100",)
    refusal = Refusal(RefusalReason.NOT_ALLOWED)
    assert outcome.agents[wanted.uid].refused == {"+4930123": refusal}


async def test_a_foreign_number_is_claimed(rig: Rig) -> None:
    line = number()
    await rig.add_foreign_number(line)

    outcome = await rig.proxy.sync([agent("card", numbers=[line])], epoch=1)

    assert outcome.agents["uid-card"].refused == {line: Refusal(RefusalReason.CLAIMED)}
    await rig.proxy.sync([], epoch=1)
    assert line in await rig.numbers()


async def test_an_older_epoch_writes_nothing(rig: Rig) -> None:
    pod, late = await rig.pod(), await rig.pod()
    newer = await rig.another_leader()
    await newer.sync([agent("card", pod)], epoch=7)

    with pytest.raises(StaleEpoch) as caught:
        await rig.proxy.sync([agent("card", pod, late)], epoch=6)

    assert (caught.value.given, caught.value.newest) == (6, 7)
    assert late.uri not in {uri for _, uri in await rig.rows()}
    await rig.proxy.sync([agent("card", pod, late)], epoch=8)
    await newer.close()


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_a_database_that_is_away_or_hangs_is_told_in_time(
    make_rig: MakeRig, how: str
) -> None:
    rig = await make_rig(timing=SHORT)
    pod, late = await rig.pod(), await rig.pod()
    wanted = agent("card", pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    await rig.database(how)
    async with asyncio.timeout(LIMIT_S):
        for _ in range(2):
            with pytest.raises(ProxyDatabaseUnavailable):
                await rig.proxy.sync([agent("card", pod, late)], epoch=1)
        with pytest.raises(ProxyDatabaseUnavailable):
            await rig.proxy.observe()

    await rig.database("back")
    outcome = await rig.proxy.sync([agent("card", pod, late)], epoch=1)
    assert outcome.in_sync
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.ACTIVE
    await until(rig, wanted, SeenState.ACTIVE, late)


@pytest.mark.parametrize("fault", ["rpc_away", "rpc_hangs"])
async def test_an_instance_that_is_away_confirms_nothing(make_rig: MakeRig, fault: str) -> None:
    rig = await make_rig(timing=SHORT)
    pod, late = await rig.pod(), await rig.pod()
    wanted = agent("card", pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    await getattr(rig, fault)(rig.endpoints[0])
    wanted = with_state(agent("card", pod, late), INACTIVE, pod)
    async with asyncio.timeout(LIMIT_S):
        outcome = await rig.proxy.sync([wanted], epoch=1)
    assert not outcome.in_sync
    assert outcome.instances[rig.endpoints[0]]
    assert outcome.look_again_s is not None
    for found in (pod, late):
        assert outcome.state_of(wanted.uid, found.uri) is SeenState.UNKNOWN
    assert outcome.state_of(wanted.uid, "sip:127.9.9.9:5060") is SeenState.UNKNOWN

    await rig.rpc_back(rig.endpoints[0])
    assert (await rig.proxy.sync([wanted], epoch=1)).in_sync
    await until(rig, wanted, SeenState.ACTIVE, late)
    await until(rig, wanted, SeenState.INACTIVE, pod)


async def test_a_new_pod_at_an_old_address_inherits_nothing(rig: Rig) -> None:
    pod = await rig.pod()
    wanted = agent("card", pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    await rig.kill(pod)
    successor = replace(wanted, rows=(WantedRow(pod.uri, "uid-of-the-next"),))
    outcome = await rig.proxy.sync([successor], epoch=1)
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.PROBING

    await rig.revive(pod)
    await until(rig, wanted, SeenState.ACTIVE, pod)


async def test_a_new_pod_at_a_drained_address_takes_calls(rig: Rig) -> None:
    pod = await rig.pod()
    wanted = with_state(agent("card", pod), INACTIVE, pod)
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.INACTIVE, pod)

    successor = replace(wanted, rows=(WantedRow(pod.uri, "uid-of-the-next"),))
    await rig.proxy.sync([successor], epoch=1)

    await until(rig, wanted, SeenState.ACTIVE, pod)


async def test_many_agents_change_in_one_sync(rig: Rig) -> None:
    pods = [await rig.pod() for _ in range(4)]
    lines = [number() for _ in range(30)]
    agents = [agent(f"a{i}", *pods, numbers=[line]) for i, line in enumerate(lines)]

    outcome = await rig.proxy.sync(agents, epoch=1)
    assert outcome.in_sync
    assert len({found.set_id for found in outcome.agents.values()}) == 30
    for wanted in agents:
        await until(rig, wanted, SeenState.ACTIVE, *pods)

    changed = [
        *(with_state(wanted, INACTIVE, pods[0]) for wanted in agents[:10]),
        *(replace(wanted, rows=wanted.rows[1:]) for wanted in agents[10:20]),
    ]
    outcome = await rig.proxy.sync(changed, epoch=1)
    assert outcome.in_sync
    for wanted in agents[:10]:
        assert outcome.state_of(wanted.uid, pods[1].uri) is SeenState.ACTIVE
        await until(rig, wanted, SeenState.INACTIVE, pods[0])
    for wanted in agents[10:20]:
        assert outcome.state_of(wanted.uid, pods[0].uri) is SeenState.ABSENT
        assert outcome.state_of(wanted.uid, pods[2].uri) is SeenState.ACTIVE
    assert not set(lines[20:]) & await rig.numbers()


async def test_a_sync_that_changes_nothing_disturbs_nothing(rig: Rig) -> None:
    pod = await rig.pod()
    wanted = agent("card", pod, numbers=[number()])
    await rig.proxy.sync([wanted], epoch=1)
    await until(rig, wanted, SeenState.ACTIVE, pod)

    for _ in range(3):
        outcome = await rig.proxy.sync([wanted], epoch=1)
        assert outcome.in_sync
        assert outcome.look_again_s is None
        assert outcome.state_of(wanted.uid, pod.uri) is SeenState.ACTIVE


async def test_what_one_instance_says_is_not_enough(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(instances=2)
    pod, goes = await rig.pod(), await rig.pod()
    wanted = agent("card", pod, goes)
    assert (await rig.proxy.sync([wanted], epoch=1)).in_sync
    await until(rig, wanted, SeenState.ACTIVE, pod, goes)

    await rig.rpc_away(rig.endpoints[1])
    drained = with_state(wanted, INACTIVE, goes)
    outcome = await rig.proxy.sync([drained], epoch=1)
    assert outcome.instances[rig.endpoints[0]] is None
    assert outcome.instances[rig.endpoints[1]]
    assert outcome.state_of(wanted.uid, goes.uri) is SeenState.UNKNOWN
    assert outcome.state_of(wanted.uid, pod.uri) is SeenState.UNKNOWN

    await rig.rpc_back(rig.endpoints[1])
    assert (await rig.proxy.sync([drained], epoch=1)).in_sync
    await until(rig, wanted, SeenState.INACTIVE, goes)
    await until(rig, wanted, SeenState.ACTIVE, pod)
