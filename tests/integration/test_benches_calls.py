"""The benches of calls and voices work (see `benches`)."""

from shutil import which

import pytest

from benches import quick

pytestmark = [pytest.mark.slow, pytest.mark.timeout(960)]
STORES = which("redis-server") is not None


@pytest.mark.skipif(which("sipp") is None, reason="sipp is not on the PATH")
async def test_call_setup() -> None:
    found = await quick("call_setup")
    assert [row["failed"] for row in found["rows"]] == [0, 0]


@pytest.mark.drill
async def test_answer() -> None:
    found = await quick("answer", *(["--platform"] if STORES else []))
    unanswered = {row["what"]: row["unanswered"] for row in found["rows"]}
    assert unanswered == {
        "tone for a key": 0,
        "alone": 0,
        "2 calls at once, in step": 0,
        **({"card, with services, alone": 0} if STORES else {}),
    }
    assert not STORES or found["calls_kept"] == 1


STAGES = {
    "tts": {"none", "500", "cut in the answer"},
    "llm": {"none", "no first token", "cut in the first sentence"},
    "asr": {"none", "dies at the end", "stream: none", "stream: dies in the utterance"},
}
# Where hedging does not work the limit of a model's first token counts, which a quick run has at
# 10 s; where that does not either, the answer is lost. No measure of speed.
LONGEST_MS = {
    "ours": 9500,
    "ours, by default": 9500,
    "ours, no hedging": 9500,
    "ours, before an account": 15_000,
}


@pytest.mark.drill
async def test_failover() -> None:
    found = await quick("failover")
    rows = {(row["stage"], row["chain"], row["fault"]): row for row in found["rows"]}
    assert set(rows) == {
        (stage, chain, fault)
        for stage, faults in STAGES.items()
        for chain in (*LONGEST_MS, "stock Pipecat")
        for fault in faults
    }
    ours = {key: row for key, row in rows.items() if key[1] in LONGEST_MS}
    assert {key: row["lost"] for key, row in ours.items()} == dict.fromkeys(ours, 0)
    late = [key for key, row in ours.items() if row["more silence p95 ms"] > LONGEST_MS[key[1]]]
    assert late == []
    stock = {key: row["lost"] for key, row in rows.items() if key[1] == "stock Pipecat"}
    assert [stock[stage, "stock Pipecat", "none"] for stage in STAGES] == [0, 0, 0]
    cannot = {fault for (_, _, fault), lost in stock.items() if lost == "cannot"}
    assert cannot == {"stream: none", "stream: dies in the utterance"}


async def test_idle_call() -> None:
    found = await quick("idle_call")
    assert [row["pipeline"] for row in found["rows"]] == ["ours", "our connector", "stock Pipecat"]
    assert found["rows"][0]["ticks a second"] > 0
