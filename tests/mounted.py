"""Secrets and ConfigMaps as a kubelet mounts them: late, all files at once, by a swapped link."""

import asyncio
import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

from callfleet_operator.kube.client import KubeClient
from callfleet_operator.ports.kinds import CONFIG_MAP, SECRET, Kind


@dataclass
class Mount:
    """A projected volume: objects of a namespace in one folder. `lag_s` after a change is seen."""

    client: KubeClient
    namespace: str
    folder: Path
    secrets: tuple[str, ...] = ()
    config_maps: tuple[str, ...] = ()
    lag_s: float = 0.0
    seen: list[dict[str, bytes]] = field(default_factory=list)

    async def there(self) -> None:
        """Until every object is there, and mounted."""
        files = await self._read()
        while files is None:
            await asyncio.sleep(0.2)
            files = await self._read()
        self._swap(files)

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(0.3)
            files = await self._read()
            if files is not None and files != self.seen[-1]:
                await asyncio.sleep(self.lag_s)
                self._swap(files)

    async def _read(self) -> dict[str, bytes] | None:
        files: dict[str, bytes] = {}
        wanted: list[tuple[Kind, str]] = [
            *((SECRET, name) for name in self.secrets),
            *((CONFIG_MAP, name) for name in self.config_maps),
        ]
        for kind, name in wanted:
            found = await self.client.get(kind, self.namespace, name)
            if found is None:
                return None
            for key, value in found["data"].items():
                files[key] = base64.b64decode(value) if kind == SECRET else value.encode()
        return files

    def _swap(self, files: dict[str, bytes]) -> None:
        self.seen.append(files)
        fresh = self.folder / f"..{len(self.seen)}"
        fresh.mkdir(parents=True)
        for name, content in files.items():
            (fresh / name).write_bytes(content)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        (self.folder / "..new").symlink_to(fresh.name)
        os.replace(self.folder / "..new", self.folder / "..data")  # noqa: PTH105 - a link, not a file
