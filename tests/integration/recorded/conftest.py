"""One world for the tests of a file: real stores, services, agent and phone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recorded_rig import World, world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def w(running: World) -> AsyncIterator[World]:
    """The world, all of it up; a test leaves it so."""
    running.fresh_tokens()
    if running.agent.process is None:
        await running.agent.start()
    running.bank.requests.clear()
    yield running
