"""A model brought into its folder: once, whole, checked, or not at all."""

import asyncio
import errno
import fcntl
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import aiohttp

from callfleet_agent.services.models.checksum import MARKER, digest
from callfleet_agent.services.models.errors import ModelError, of_status
from callfleet_agent.services.models.fitting import fit
from callfleet_agent.services.models.sources import RemoteFile, Source

_BLOCK = 256 * 1024
_ATTEMPTS = 4
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass
class Progress:
    """Bytes that are there, and of the whole (0: not known yet)."""

    done: int = 0
    total: int = 0

    def as_json(self) -> dict[str, int]:
        return {"bytes": self.done, "totalBytes": self.total}


@dataclass(frozen=True)
class Fetch:
    """Brings what `source` has into `folder`, whose parent is on the cache's volume.

    `engine` opens it, or `file` in it; a model that does not fit stays, not to be brought again
    each time that somebody tries.
    """

    source: Source
    folder: Path
    checksum: str | None = None
    engine: str | None = None
    file: str = ""
    progress: Progress = field(default_factory=Progress)
    pause_s: float = 1.0
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Raises ModelError. What was brought before, by us or by another pod, is not brought
        again.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            async with self._alone():
                if not self._there():
                    await self._bring(session)
            if self.engine is not None:
                fit(self.folder / self.file, self.engine)
        except OSError as error:
            raise _of_system(error) from error

    def _there(self) -> bool:
        marker = self.folder / MARKER
        return marker.is_file() and marker.read_text(encoding="utf-8") == (self.checksum or "")

    async def _bring(self, session: aiohttp.ClientSession) -> None:
        files = await _patiently(lambda: self.source.files(session), self.pause_s)
        if not files:
            raise ModelError("NotFound", "there is no file at the model's address")
        self._make_room(files)
        part = self.folder.with_name(f".{self.folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for file in files:
            await _patiently(lambda file=file: self._one(session, file, part), self.pause_s)  # type: ignore[misc]
        await asyncio.to_thread(self._check, part)
        (part / MARKER).write_text(self.checksum or "", encoding="utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        part.replace(self.folder)

    def _make_room(self, files: Sequence[RemoteFile]) -> None:
        """Asked for before the first byte: a full volume would hurt others, too."""
        self.progress.total = sum(file.size for file in files)
        archives = sum(file.size for file in files if file.archive)
        needed, free = self.progress.total + archives, self.free_bytes(self.folder.parent)
        if needed > free:
            told = f"{_gib(needed)} GiB are needed, {_gib(free)} GiB are free"
            raise ModelError("NoRoom", told)

    async def _one(self, session: aiohttp.ClientSession, file: RemoteFile, part: Path) -> None:
        """A try that fails takes its bytes back from what is counted."""
        target = _inside(part, file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        before = self.progress.done
        try:
            await self._download(session, file, target)
        except BaseException:
            self.progress.done = before
            raise
        if file.archive:
            await asyncio.to_thread(_unpack, target, part)

    async def _download(
        self, session: aiohttp.ClientSession, file: RemoteFile, target: Path
    ) -> None:
        async with session.get(file.url, headers=file.headers()) as response:
            if response.status != 200:
                raise of_status(response.status, f"file {file.name}")
            size = 0
            with target.open("wb") as written:
                async for block in response.content.iter_chunked(_BLOCK):
                    written.write(block)
                    size += len(block)
                    self.progress.done += len(block)
        if file.size and size != file.size:
            raise ModelError("Unreachable", f"file {file.name} came in part only")

    def _check(self, part: Path) -> None:
        if self.checksum is None:
            return
        found = digest(part)
        if found != self.checksum:
            raise ModelError("Checksum", f"the model has {found}, wanted is {self.checksum}")

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Of several pods one brings the model; the lock ends with its process, however it ends."""
        path = self.folder.with_name(f".{self.folder.name}.lock")
        with path.open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(self.pause_s)
            yield


def verify(path: Path, checksum: str | None, engine: str | None = None) -> None:
    """Raises ModelError when nothing is at the path, something else than wanted, or nothing that
    the engine opens.
    """
    try:
        if not path.exists():
            raise ModelError("NotFound", f"there is nothing at {path.name} in the volume")
        if path.is_dir() and not any(path.iterdir()):
            raise ModelError("NotFound", f"folder {path.name} of the volume is empty")
        if checksum is not None and digest(path) != checksum:
            raise ModelError("Checksum", f"the model has {digest(path)}, wanted is {checksum}")
        if engine is not None:
            fit(path, engine)
    except OSError as error:
        raise _of_system(error) from error


async def _patiently(work: Callable[[], object], pause_s: float) -> Sequence[RemoteFile]:
    """Tries what may succeed later again, with a growing pause."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await work()  # type: ignore[misc, no-any-return]
        except ModelError as error:
            if not error.retry or attempt == _ATTEMPTS:
                raise
        except (aiohttp.ClientError, TimeoutError) as error:
            if attempt == _ATTEMPTS:
                told = f"the model's source does not answer ({type(error).__name__})"
                raise ModelError("Unreachable", told) from error
        await asyncio.sleep(pause_s * 2**attempt)
    raise AssertionError


def _unpack(archive: Path, folder: Path) -> None:
    """Regular files only, inside the folder only: whoever made the image need not be trusted."""
    try:
        with tarfile.open(archive) as layer:
            for member in layer:
                if not member.isreg() or PurePosixPath(member.name).name.startswith(".wh."):
                    continue
                target = _inside(folder, member.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                content = layer.extractfile(member)
                assert content is not None  # noqa: S101 - it is a regular file
                with target.open("wb") as written:
                    shutil.copyfileobj(content, written)
    except tarfile.TarError as error:
        raise ModelError("Unsupported", "a layer of the image is no archive") from error
    archive.unlink()


def _inside(folder: Path, name: str) -> Path:
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
    if not parts or ".." in parts:
        raise ModelError("Unsupported", "the source names a file outside of the model")
    return folder.joinpath(*parts)


def _of_system(error: OSError) -> ModelError:
    if error.errno in _FULL:
        return ModelError("NoRoom", "the volume is full")
    if isinstance(error, PermissionError):
        return ModelError("NoAccess", "the volume may not be written, or read")
    return ModelError("Unreachable", f"the volume does not work ({error.strerror})")


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"
