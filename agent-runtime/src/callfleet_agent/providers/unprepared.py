"""Voices that load nothing ahead of being needed."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from callfleet_agent.providers.settings import EngineSettings


class Connection(Protocol):
    """What a voice is reached over."""

    async def warm(self) -> None: ...

    async def close(self) -> None: ...


C = TypeVar("C", bound=Connection)


class Unprepared(Generic[C]):
    """The part of a synthesiser that such voices share. The connection is made when it is used."""

    def __init__(self, settings: EngineSettings, connection: C) -> None:
        self._settings = settings
        self._connection = connection

    async def start(self, sentences: Sequence[str]) -> None:
        """Nothing to load; nothing is paid for ahead of being needed."""

    async def warm(self) -> None:
        await self._connection.warm()

    async def stop(self) -> None:
        await self._connection.close()
