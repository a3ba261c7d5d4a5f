"""Remote commands of both proxies: what is asked, and what is made of the answers."""

from collections.abc import Callable
from typing import Any

import pytest

from callfleet_operator.proxies.dialect import Commands
from callfleet_operator.proxies.errors import RpcError
from callfleet_operator.proxies.kamailio import Kamailio
from callfleet_operator.proxies.opensips import OpenSips
from callfleet_operator.proxies.rows import Columns, Held, MemoryRow, Stored

KEY = (1000, "sip:10.0.0.1:5060")


class FakeRpc:
    """Answers by method; an answer that is an error is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, object]] = []

    async def call(self, method: str, params: object = None) -> object:
        self.asked.append((method, params))
        answer = self.answers.get(method.replace(".", "_"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def kamailio(**answers: Any) -> tuple[FakeRpc, Commands]:
    rpc = FakeRpc(**answers)
    return rpc, Kamailio().commands(rpc)


def opensips(**answers: Any) -> tuple[FakeRpc, Commands]:
    rpc = FakeRpc(**answers)
    return rpc, OpenSips().commands(rpc)


def kamailio_list(flags: str) -> dict[str, Any]:
    dest = {"URI": KEY[1], "FLAGS": flags, "PRIORITY": 0, "ATTRS": {"BODY": "rweight=1;pod=p1"}}
    return {"NRSETS": 1, "RECORDS": [{"SET": {"ID": 1000, "TARGETS": [{"DEST": dest}]}}]}


def opensips_list(state: str) -> dict[str, Any]:
    dest = {"URI": KEY[1], "state": state, "weight": 1, "attr": "pod=p1"}
    return {"PARTITIONS": [{"name": "default", "SETS": [{"id": 1000, "Destinations": [dest]}]}]}


@pytest.mark.parametrize(
    ("flags", "held"),
    [("AP", Held.ACTIVE), ("TX", Held.ACTIVE), ("IP", Held.WAITING), ("DX", Held.DRAINED)],
)
async def test_kamailios_memory(flags: str, held: Held) -> None:
    _, commands = kamailio(dispatcher_list=kamailio_list(flags))

    assert await commands.memory() == {KEY: MemoryRow(held, "rweight=1;pod=p1")}


async def test_kamailio_without_any_set_refuses_to_list_nothing() -> None:
    empty = RpcError("dispatcher.list: 500 No Destination Sets", refused=True)
    _, commands = kamailio(dispatcher_list=empty)
    assert await commands.memory() == {}

    _, commands = kamailio(dispatcher_list=RpcError("dispatcher.list: 500 other", refused=True))
    with pytest.raises(RpcError, match="other"):
        await commands.memory()


async def test_a_foreign_row_of_kamailio_may_have_no_attributes() -> None:
    answer = kamailio_list("AX")
    del answer["RECORDS"][0]["SET"]["TARGETS"][0]["DEST"]["ATTRS"]
    _, commands = kamailio(dispatcher_list=answer)

    assert await commands.memory() == {KEY: MemoryRow(Held.ACTIVE, "")}


@pytest.mark.parametrize(
    ("state", "held"),
    [("Active", Held.ACTIVE), ("Probing", Held.WAITING), ("Inactive", Held.DRAINED)],
)
async def test_opensips_memory(state: str, held: Held) -> None:
    rpc, commands = opensips(ds_list=opensips_list(state))

    assert await commands.memory() == {KEY: MemoryRow(held, "weight=1;pod=p1")}
    assert rpc.asked == [("ds_list", {"full": 1})]


async def test_opensips_lists_an_empty_table_without_sets() -> None:
    _, commands = opensips(ds_list={"PARTITIONS": [{"name": "default"}]})

    assert await commands.memory() == {}


@pytest.mark.parametrize("make", [kamailio, opensips])
@pytest.mark.parametrize("answer", [None, {}, {"RECORDS": [{}]}, {"PARTITIONS": [{"SETS": [{}]}]}])
async def test_an_answer_that_is_not_understood_is_an_error(
    make: Callable[..., tuple[FakeRpc, Commands]], answer: object
) -> None:
    if make is opensips and answer == {"PARTITIONS": [{"SETS": [{}]}]}:
        answer = {"PARTITIONS": [{"SETS": [{"Destinations": [{"URI": "x"}]}]}]}
    _, commands = make(dispatcher_list=answer, ds_list=answer)

    with pytest.raises(RpcError, match="not understood"):
        await commands.memory()


@pytest.mark.parametrize(
    ("make", "attribute"), [(kamailio, "Attributes"), (opensips, "ATTRIBUTES")]
)
async def test_the_revision_of_the_numbers(
    make: Callable[..., tuple[FakeRpc, Commands]], attribute: str
) -> None:
    for text, revision in (("revision=12", 12), ("set=3", 0), (None, 0), ("revision=x", 0)):
        answer = {"Output": "", attribute: text}
        _, commands = make(dialplan_translate=answer, dp_translate=answer)
        assert await commands.revision() == revision

    refused = RpcError("no such plan", refused=True)
    _, commands = make(dialplan_translate=refused, dp_translate=refused)
    assert await commands.revision() == 0

    away = RpcError("away")
    _, commands = make(dialplan_translate=away, dp_translate=away)
    with pytest.raises(RpcError, match="away"):
        await commands.revision()


@pytest.mark.parametrize(
    ("held", "word"), [(Held.ACTIVE, "ap"), (Held.WAITING, "ip"), (Held.DRAINED, "d")]
)
async def test_kamailios_states(held: Held, word: str) -> None:
    rpc, commands = kamailio()

    await commands.set_state(KEY, held)

    assert rpc.asked == [("dispatcher.set_state", [word, 1000, KEY[1]])]


@pytest.mark.parametrize(
    ("held", "words"), [(Held.ACTIVE, "a"), (Held.WAITING, "pp"), (Held.DRAINED, "i")]
)
async def test_opensips_states(held: Held, words: str) -> None:
    rpc, commands = opensips()

    await commands.set_state(KEY, held)

    wanted = [{"state": word, "group": "1000", "address": KEY[1]} for word in words]
    assert [params for _, params in rpc.asked] == wanted


async def test_reloads() -> None:
    rpc, commands = kamailio()
    await commands.reload_destinations()
    await commands.reload_numbers()
    assert [method for method, _ in rpc.asked] == ["dispatcher.reload", "dialplan.reload"]

    rpc, commands = opensips()
    await commands.reload_destinations()
    await commands.reload_numbers()
    assert [method for method, _ in rpc.asked] == ["ds_reload", "dp_reload"]


@pytest.mark.parametrize("dialect", [Kamailio(), OpenSips()])
def test_what_is_written_is_read_back(dialect: Kamailio | OpenSips) -> None:
    for stored in Stored:
        columns = dialect.columns(stored, 7, "p1")
        assert dialect.stored(columns) is stored
        assert dialect.mark(columns) == dialect.mark(dialect.columns(Stored.NEW, 7, "p1"))
    assert dialect.stored(Columns(99, "", "")) is None


def test_a_share_of_nought_is_not_written_for_kamailio() -> None:
    assert Kamailio().columns(Stored.ACTIVE, 0, "p1").attrs == "pod=p1"


def test_drains_settle_after_a_probe_could_have_been_answered() -> None:
    assert Kamailio().settle_s(1.0) == 1.0
    assert OpenSips().settle_s(1.0) > 2.0
    assert OpenSips().settle_s(10.0) > 10.0
