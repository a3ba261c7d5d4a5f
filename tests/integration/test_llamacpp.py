"""llama-server with the command line that pools give it, on a model of a few kilobytes.

What it says is nonsense; its flags, health, metrics, streams and how it fails are its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from callfleet_agent.chain import Fault
from callfleet_agent.providers import Message, Prompt, ProviderError
from callfleet_agent.services.engine_probe import EngineProbe, Pace, Target
from fakes.model_server import collected
from integration.real_engines import LOOPBACK
from integration.real_llama import NAME, SLOTS, Llama, built, program, serving
from ports import free_port

pytestmark = pytest.mark.slow
SECRET = "nasturtium"


def nothing() -> None:
    """A connection stands."""


@pytest.fixture
async def llama(tmp_path: Path) -> AsyncIterator[Llama]:
    async with serving(tmp_path) as running:
        yield running


def asking(max_tokens: int) -> Prompt:
    return Prompt((Message("user", f"Hello? {SECRET}"),), max_tokens=max_tokens)


async def test_it_takes_the_command_line_and_becomes_healthy(llama: Llama) -> None:
    assert set(llama.health) <= {503, 200}  # 503 while it loads, which no probe takes for ready
    status, props = await llama.get("/props")
    assert status == 200
    assert json.loads(props)["total_slots"] == SLOTS


async def test_a_conversation_has_the_whole_context_and_nobody_can_read_along(
    llama: Llama,
) -> None:
    _, props = await llama.get("/props")
    assert json.loads(props)["default_generation_settings"]["n_ctx"] == 2048  # the model's own
    engine = llama.engine()
    await collected(engine.answer(asking(4), nothing))
    await engine.stop()
    assert (await llama.get("/slots"))[0] == 501  # it would tell what runs
    assert (await llama.get("/"))[0] == 404
    assert SECRET not in llama.log.read_text()


async def test_it_answers_in_a_stream(llama: Llama) -> None:
    engine = llama.engine()
    pieces = await collected(engine.answer(asking(16), nothing))
    await engine.stop()
    assert len(pieces) > 1


async def test_answers_in_a_row_are_all_whole(llama: Llama) -> None:
    """It promises to keep connections and closes each one behind a stream."""
    engine = llama.engine()
    for _ in range(20):
        assert await collected(engine.answer(asking(2), nothing))
    await engine.stop()


async def test_its_metrics_have_the_names_that_scaling_reads(llama: Llama) -> None:
    metrics = llama.server.metrics

    async def gauges() -> tuple[float, float]:
        _, text = await llama.get("/metrics")
        lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
        found = {line[0]: float(line[1]) for line in lines if len(line) == 2}
        return found[metrics.running], found[metrics.waiting]

    async def until(wanted: Callable[[tuple[float, float]], bool]) -> None:
        async with asyncio.timeout(60):
            while not wanted(await gauges()):  # noqa: ASYNC110 - asked over the network
                await asyncio.sleep(0.01)

    assert await gauges() == (0, 0)
    engine = llama.engine()
    running = [
        asyncio.create_task(collected(engine.answer(asking(1000), nothing)))
        for _ in range(SLOTS + 2)
    ]
    await until(all)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await until(lambda told: not any(told))  # nobody works for a caller who has hung up
    await engine.stop()


async def test_the_probe_beside_it_becomes_ready_and_measures(llama: Llama) -> None:
    async with aiohttp.ClientSession() as session:
        target = Target(
            engine="llamacpp",
            stage="llm",
            url=f"{llama.root}/v1",
            model=NAME,
            running_metric=llama.server.metrics.running,
            drain_s=5,
        )
        probe = EngineProbe(target, session, Pace(retry_s=0.1, routes_s=0.0, drain_every_s=0.02))
        task = asyncio.create_task(probe.run())
        async with asyncio.timeout(60):
            while not probe.ready:  # noqa: ASYNC110 - it asks over the network
                await asyncio.sleep(0.01)
        task.cancel()
        figures: dict[str, Any] = probe.figures()
        assert figures["firstResultMs"] > 0
        assert figures["engineVersion"]
        async with asyncio.timeout(60):
            await probe.drain()  # nothing runs


async def test_one_that_dies_in_an_answer_is_known_to_have_died(llama: Llama) -> None:
    engine = llama.engine()
    answer = engine.answer(asking(1500), nothing)
    assert await anext(answer)
    llama.process.kill()
    with pytest.raises(ProviderError) as caught:
        await collected(answer)
    assert caught.value.fault in {Fault.TRUNCATED, Fault.REFUSED}
    await llama.process.wait()
    with pytest.raises(ProviderError) as caught:
        await collected(engine.answer(asking(4), nothing))
    assert caught.value.fault is Fault.REFUSED
    await engine.stop()


async def test_a_prompt_that_is_too_long_is_the_requests_fault(llama: Llama) -> None:
    engine = llama.engine()
    long = Prompt((Message("user", "a" * 6000),), max_tokens=4)
    with pytest.raises(ProviderError) as caught:
        await collected(engine.answer(long, nothing))
    await engine.stop()
    assert caught.value.fault is Fault.BAD_REQUEST


async def test_it_ends_when_it_is_told_to(llama: Llama) -> None:
    llama.process.terminate()
    async with asyncio.timeout(60):
        await llama.process.wait()


async def test_told_to_end_in_an_answer_it_cuts_the_answer_and_ends(llama: Llama) -> None:
    engine = llama.engine()
    answer = engine.answer(asking(1500), nothing)
    assert await anext(answer)
    llama.process.terminate()
    async with asyncio.timeout(8):  # less than a pod has left when its drain is over
        with pytest.raises(ProviderError) as caught:
            await collected(answer)
        await llama.process.wait()
    await engine.stop()
    assert caught.value.fault is Fault.TRUNCATED


async def test_conversations_that_have_no_room_together_are_the_servers_fault(
    llama: Llama,
) -> None:
    engine = llama.engine()
    long = Prompt((Message("user", "a" * 900),), max_tokens=400)  # three of 2048
    together = (collected(engine.answer(long, nothing)) for _ in range(SLOTS))
    said = await asyncio.gather(*together, return_exceptions=True)
    faults = [one.fault for one in said if isinstance(one, ProviderError)]
    assert faults
    assert set(faults) <= {Fault.SERVER_ERROR}  # so the next of the chain is asked
    assert await collected(engine.answer(long, nothing))  # one has room
    await engine.stop()


async def test_a_file_that_is_no_model_ends_it_with_its_reason(tmp_path: Path) -> None:
    found = program()
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"no model")
    process = await asyncio.create_subprocess_exec(
        found, *built(model).args, "--host", LOOPBACK, "--port", str(free_port(LOOPBACK)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode != 0
    assert b"load model" in said
