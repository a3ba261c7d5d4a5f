"""`callfleet model`: from real servers into real folders, by the command itself and beside it."""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from callfleet_agent.services.models.address import parse
from callfleet_agent.services.models.checksum import MARKER, digest
from callfleet_agent.services.models.errors import ModelError
from callfleet_agent.services.models.fetch import Fetch, verify
from callfleet_agent.services.models.loader import Wanted, load, progress_app
from callfleet_agent.services.models.registry import Registry
from callfleet_agent.services.models.sources import Bucket, Credentials, Hub, Web, source

FILES = {"config.json": b"{}", "weights/a.bin": os.urandom(300_000), "weights/b.bin": b"b" * 1000}


class FakeSource:
    """The hub, a bucket, a registry and a web server in one, with faults."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.token = ""
        self.login = ""
        self.basic = False
        self.requests: list[str] = []
        self.fail: Callable[[web.Request], web.StreamResponse | None] = lambda _: None
        self.slow_s = 0.0
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeSource"]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path_qs)
        fault = self.fail(request)
        if fault is not None:
            return fault
        path = request.path
        if self.basic and request.headers.get("Authorization") != self.login:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            if path.startswith("/v2/") and not request.headers.get("Authorization"):
                challenge = f'Bearer realm="{self.url}/token",service="s"'
                return web.Response(status=401, headers={"WWW-Authenticate": challenge})
            if path != "/token":
                return web.Response(status=401)
        for start, handler in self.handlers().items():
            if path.startswith(start):
                found: web.StreamResponse = await handler(request, path.removeprefix(start))
                return found
        return web.Response(status=404)

    def handlers(self) -> dict[str, Any]:
        return {
            "/api/models/org/repo/tree/main": self.tree,
            "/org/repo/resolve/main/": self.file,
            "/token": self.give_token,
            "/v2/m/": self.registry,
            "/bucket/": self.bucket,
            "/web/": self.file,
        }

    async def tree(self, request: web.Request, _: str) -> web.Response:
        """Two pages."""
        names = list(self.files)
        page = names[1:] if request.query.get("cursor") else names[:1]
        found = [{"type": "file", "path": name, "size": len(self.files[name])} for name in page]
        found.append({"type": "directory", "path": "weights"})
        headers = {}
        if not request.query.get("cursor"):
            headers["Link"] = f'<{self.url}{request.path}?recursive=true&cursor=1>; rel="next"'
        return web.json_response(found, headers=headers)

    async def file(self, _: web.Request, name: str) -> web.Response:
        await asyncio.sleep(self.slow_s)
        if name not in self.files:
            return web.Response(status=404)
        return web.Response(body=self.files[name])

    async def bucket(self, request: web.Request, key: str) -> web.Response:
        if "list-type" not in request.query:
            return await self.file(request, key)
        prefix = request.query["prefix"]
        names = [name for name in self.files if name.startswith(prefix)]
        page = names[1:] if request.query.get("continuation-token") else names[:1]
        entries = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(self.files[name])}</Size></Contents>"
            for name in page
        )
        last = len(names) == 1 or bool(request.query.get("continuation-token"))
        more = "" if last else "<NextContinuationToken>t=</NextContinuationToken>"
        return web.Response(text=f"<ListBucketResult>{entries}{more}</ListBucketResult>")

    async def give_token(self, request: web.Request, _: str) -> web.Response:
        if self.login and request.headers.get("Authorization") != self.login:
            return web.Response(status=401)
        return web.json_response({"token": self.token})

    def layer(self) -> bytes:
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w") as archive:
            for name, content in self.files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        return gzip.compress(written.getvalue())

    async def registry(self, _: web.Request, rest: str) -> web.Response:
        layer = self.layer()
        name = f"sha256:{hashlib.sha256(b'layer').hexdigest()}"
        if rest == "manifests/1":
            return web.json_response({"manifests": INDEX})
        if rest == "manifests/sha256:inner":
            media = "application/vnd.oci.image.layer.v1.tar+gzip"
            entry = {"mediaType": media, "digest": name, "size": 0}
            return web.json_response({"layers": [entry]})
        if rest == f"blobs/{name}":
            return web.Response(body=layer)
        return web.json_response({"tags": []})


HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
INDEX = [  # what builders write: attestations, other machines' images, and this one's
    {"digest": "sha256:attested", "platform": {"architecture": "unknown", "os": "unknown"}},
    {"digest": "sha256:other", "platform": {"architecture": "s390x", "os": "linux"}},
    {"digest": "sha256:inner", "platform": {"architecture": HERE, "os": "linux"}},
]


@pytest.fixture
async def fake() -> AsyncIterator[FakeSource]:
    async with FakeSource().serving() as serving:
        yield serving


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def hub(fake: FakeSource, uri: str = "hf://org/repo", token: str = "") -> Hub:
    return Hub(parse(uri), Credentials({"token": token}), endpoint=fake.url)


def content(folder: Path) -> dict[str, bytes]:
    return {
        item.relative_to(folder).as_posix(): item.read_bytes()
        for item in folder.rglob("*")
        if item.is_file() and item.name != MARKER
    }


async def refused(fetch: Fetch, session: aiohttp.ClientSession) -> ModelError:
    with pytest.raises(ModelError) as refusal:
        await fetch.run(session)
    return refusal.value


def fetching(made: Any, folder: Path, **more: Any) -> Fetch:
    return Fetch(made, folder, pause_s=0.01, **more)


# --- sources -----------------------------------------------------------------------------------
async def test_from_the_hub(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fake.token = "hf_secret"
    fetch = fetching(hub(fake, token="hf_secret"), tmp_path / "m")
    await fetch.run(session)
    assert content(tmp_path / "m") == FILES
    assert fetch.progress.done == fetch.progress.total == sum(map(len, FILES.values()))


async def test_one_file_of_the_hub(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await fetching(hub(fake, "hf://org/repo/weights/b.bin"), tmp_path / "m").run(session)
    assert content(tmp_path / "m") == {"b.bin": FILES["weights/b.bin"]}


async def test_from_a_bucket(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    keys = {"endpoint": fake.url, "accessKeyId": "A", "secretAccessKey": "s", "region": "r"}
    bucket = Bucket(parse("s3://bucket/weights"), Credentials(keys))
    await fetching(bucket, tmp_path / "m").run(session)
    assert content(tmp_path / "m") == {
        "a.bin": FILES["weights/a.bin"],
        "b.bin": FILES["weights/b.bin"],
    }
    open_to_all = Bucket(parse("s3://bucket/config.json"), Credentials({"endpoint": fake.url}))
    await fetching(open_to_all, tmp_path / "n").run(session)
    assert content(tmp_path / "n") == {"config.json": b"{}"}


async def test_from_a_web_server(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    host = fake.url.removeprefix("http://")
    made = Web(parse(f"https://{host}/web/weights/b.bin"), Credentials(), scheme="http")
    await fetching(made, tmp_path / "m").run(session)
    assert content(tmp_path / "m") == {"b.bin": FILES["weights/b.bin"]}
    gone = Web(parse(f"https://{host}/web/nothing"), Credentials(), scheme="http")
    assert (await refused(fetching(gone, tmp_path / "n"), session)).reason == "NotFound"


async def test_from_a_registry(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """An index, a manifest, a layer that is unpacked: regular files and nothing else."""
    fake.token = "t"
    host = fake.url.removeprefix("http://")
    image = Registry(parse(f"oci://{host}/m:1"), Credentials(), scheme="http")
    await fetching(image, tmp_path / "m").run(session)
    assert content(tmp_path / "m") == FILES
    assert not (tmp_path / "m" / "link").exists()


@pytest.mark.parametrize("basic", [False, True], ids=["token", "password"])
@pytest.mark.parametrize("form", ["username", ".dockerconfigjson"])
async def test_from_a_registry_that_wants_a_login(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path, form: str, basic: bool
) -> None:
    fake.login = f"Basic {base64.b64encode(b'me:secret').decode()}"
    fake.basic, fake.token = basic, "" if basic else "t"
    host = fake.url.removeprefix("http://")
    told = {"username": "me", "password": "secret"}
    secret = told if form == "username" else {form: json.dumps({"auths": {host: told}})}
    folder = tmp_path / "secret"
    folder.mkdir()
    for name, text in secret.items():
        (folder / name).write_text(text)
    image = Registry(parse(f"oci://{host}/m:1"), Credentials.read(folder), scheme="http")
    await fetching(image, tmp_path / "m").run(session)
    assert content(tmp_path / "m") == FILES

    for wrong in ({}, told | {"password": "guessed"}):
        nobody = Registry(parse(f"oci://{host}/m:1"), Credentials(wrong), scheme="http")
        error = await refused(fetching(nobody, tmp_path / "n"), session)
        assert (error.reason, "guessed" in str(error)) == ("NoAccess", False)


def test_what_can_be_fetched() -> None:
    assert isinstance(source(parse("s3://a/b"), Credentials()), Bucket)
    with pytest.raises(ModelError, match="nothing that can be fetched"):
        source(parse("ftp://a/b"), Credentials())


# --- what goes wrong ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "reason"), [(401, "NoAccess"), (404, "NotFound"), (500, "Unreachable")]
)
async def test_what_the_source_says(
    fake: FakeSource,
    session: aiohttp.ClientSession,
    tmp_path: Path,
    status: int,
    reason: str,
) -> None:
    fake.fail = lambda _: web.Response(status=status)
    error = await refused(fetching(hub(fake, token="hf_secret"), tmp_path / "m"), session)
    assert error.reason == reason
    assert "hf_secret" not in str(error)
    assert not (tmp_path / "m").exists()
    assert len(fake.requests) == (4 if reason == "Unreachable" else 1)  # trying again may help


async def test_a_source_that_does_not_answer(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    nobody = Hub(parse("hf://org/repo"), Credentials(), endpoint="http://127.0.0.1:9")
    error = await refused(fetching(nobody, tmp_path / "m"), session)
    assert error.reason == "Unreachable"


async def test_a_fault_that_passes_is_waited_for(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    faults = iter([500, 503])

    def fail(request: web.Request) -> web.Response | None:
        status = next(faults, None) if "resolve" in request.path else None
        return web.Response(status=status) if status else None

    fake.fail = fail
    fetch = fetching(hub(fake), tmp_path / "m")
    await fetch.run(session)
    assert content(tmp_path / "m") == FILES
    assert fetch.progress.done == fetch.progress.total


async def test_a_file_that_comes_in_part_is_no_file(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    def short(request: web.Request) -> web.Response | None:
        return web.Response(body=b"x") if "resolve" in request.path else None

    fake.fail = short
    assert (await refused(fetching(hub(fake), tmp_path / "m"), session)).reason == "Unreachable"
    assert not (tmp_path / "m").exists()


async def test_room_is_asked_for_before_the_first_byte(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fetch = fetching(hub(fake), tmp_path / "m", free_bytes=lambda _: 1000)
    error = await refused(fetch, session)
    assert error.reason == "NoRoom"
    assert not [request for request in fake.requests if "resolve" in request]


async def test_a_folder_that_cannot_be_written(
    fake: FakeSource, session: aiohttp.ClientSession
) -> None:
    error = await refused(fetching(hub(fake), Path("/proc/callfleet/m")), session)
    assert error.reason in ("NoAccess", "Unreachable")


async def test_another_model_than_wanted(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    wanted = "sha256:" + "0" * 64
    error = await refused(fetching(hub(fake), tmp_path / "m", checksum=wanted), session)
    assert error.reason == "Checksum"
    assert not (tmp_path / "m").exists()


async def test_nothing_at_the_address(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    error = await refused(fetching(hub(fake, "hf://org/repo/none"), tmp_path / "m"), session)
    assert error.reason == "NotFound"


async def test_a_source_that_leaves_the_folder(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fake.files = {"../evil": b"x"}
    error = await refused(fetching(hub(fake), tmp_path / "m"), session)
    assert error.reason == "Unsupported"
    assert not (tmp_path / "evil").exists()


# --- once --------------------------------------------------------------------------------------
async def test_of_several_pods_one_brings_the_model(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fake.slow_s = 0.05
    checksum = await _digest_of(fake, session, tmp_path / "other")
    fake.requests.clear()
    fetches = [fetching(hub(fake), tmp_path / "m", checksum=checksum) for _ in range(5)]
    await asyncio.gather(*(fetch.run(session) for fetch in fetches))
    assert sum("resolve" in request for request in fake.requests) == len(FILES)
    assert digest(tmp_path / "m") == checksum
    await fetching(hub(fake), tmp_path / "m", checksum=checksum).run(session)
    assert sum("resolve" in request for request in fake.requests) == len(FILES)


async def _digest_of(fake: FakeSource, session: aiohttp.ClientSession, folder: Path) -> str:
    await fetching(hub(fake), folder).run(session)
    return digest(folder)


async def test_what_a_killed_loader_left_is_begun_anew(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    part = tmp_path / ".m.part"
    part.mkdir()
    (part / "config.json").write_bytes(b"half")
    await fetching(hub(fake), tmp_path / "m").run(session)
    assert content(tmp_path / "m") == FILES
    assert not part.exists()


# --- what is there already ---------------------------------------------------------------------
def test_a_volume_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as missing:
        verify(tmp_path / "none", None)
    assert missing.value.reason == "NotFound"
    with pytest.raises(ModelError) as empty:
        verify(tmp_path, None)
    assert empty.value.reason == "NotFound"
    (tmp_path / "x").write_text("x")
    verify(tmp_path, digest(tmp_path))
    with pytest.raises(ModelError) as other:
        verify(tmp_path, "sha256:" + "0" * 64)
    assert other.value.reason == "Checksum"


# --- what an engine opens ----------------------------------------------------------------------
FORMS = {
    "whisper": {
        "model.bin": b"x",
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "vocabulary.txt": b"a",
    },
    "vosk": {"am/final.mdl": b"x", "conf/model.conf": b"x", "graph/HCLr.fst": b"x"},
    "llamacpp": {"q4.gguf": b"GGUF\x03"},
    "piper": {"en.onnx": b"x", "en.onnx.json": b"{}"},
    "vllm": {"config.json": b"{}"},
}
OPENED = {"llamacpp": "q4.gguf", "piper": "en.onnx"}


@pytest.mark.parametrize("engine", FORMS)
async def test_a_model_in_the_form_that_its_engine_opens(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path, engine: str
) -> None:
    fake.files = FORMS[engine]
    file = OPENED.get(engine, "")
    await fetching(hub(fake), tmp_path / "m", engine=engine, file=file).run(session)
    verify(tmp_path / "m" / file, None, engine)


@pytest.mark.parametrize(
    ("engine", "lacks", "says"),
    [
        ("whisper", "model.bin", "CTranslate2's form, and model.bin is not in it"),
        ("whisper", "config.json", "config.json is not in it"),
        ("whisper", "tokenizer.json", "tokenizer.json is not in it"),
        ("whisper", "vocabulary.txt", "vocabulary.json or vocabulary.txt is not in it"),
        ("vosk", "am/final.mdl", "Kaldi's form, and am/final.mdl is not in it"),
        ("vosk", "conf/model.conf", "conf/model.conf is not in it"),
        ("vosk", "graph/HCLr.fst", "graph/HCLG.fst or graph/HCLr.fst is not in it"),
        ("piper", "en.onnx.json", "en.onnx.json is not beside en.onnx"),
        ("vllm", "config.json", "Hugging Face's form, and config.json is not in it"),
    ],
)
async def test_a_model_that_does_not_fit_its_engine_is_brought_once(
    fake: FakeSource,
    session: aiohttp.ClientSession,
    tmp_path: Path,
    engine: str,
    lacks: str,
    says: str,
) -> None:
    others = {name: text for name, text in FORMS[engine].items() if name != lacks}
    fake.files = {"README.md": b"x", **others}
    fetch = fetching(hub(fake), tmp_path / "m", engine=engine, file=OPENED.get(engine, ""))
    error = await refused(fetch, session)
    assert error.reason == "Unfit"
    assert str(error).startswith(f"{engine} opens")
    assert says in str(error)
    asked = len(fake.requests)
    assert (await refused(fetch, session)).reason == "Unfit"
    assert len(fake.requests) == asked


def test_a_file_with_another_name_than_content(tmp_path: Path) -> None:
    model = tmp_path / "q4.gguf"
    model.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    for engine, path in (("llamacpp", model), ("llamacpp", tmp_path), ("piper", tmp_path)):
        with pytest.raises(ModelError) as unfit:
            verify(path, None, engine)
        assert unfit.value.reason == "Unfit"
    model.write_bytes(b"GGUF\x03")
    for engine in ("llamacpp", "vllm"):
        verify(model, None, engine)
    (tmp_path / "final.mdl").write_bytes(b"x")  # an older model of Kaldi
    verify(tmp_path, None, "vosk")


async def test_a_file_that_the_model_does_not_have(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fetch = fetching(hub(fake), tmp_path / "m", engine="llamacpp", file="q5.gguf")
    error = await refused(fetch, session)
    assert (error.reason, str(error)) == ("NotFound", "the model has no q5.gguf")


async def test_a_voice_comes_with_what_describes_it(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fake.files = {"a/en.onnx": b"x", "a/en.onnx.json": b"{}", "a/de.onnx": b"x"}
    made = hub(fake, "hf://org/repo/a/en.onnx")
    await fetching(made, tmp_path / "m", engine="piper", file="en.onnx").run(session)
    assert content(tmp_path / "m") == {"en.onnx": b"x", "en.onnx.json": b"{}"}


# --- the command -------------------------------------------------------------------------------
def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "callfleet_agent.main", "model", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, **environment},
    )


async def test_the_command_brings_a_model_and_tells_its_digest(
    fake: FakeSource, tmp_path: Path
) -> None:
    wanted = ("--for", "vllm", "--to", tmp_path / "m")
    done = await asyncio.to_thread(run, "fetch", "hf://org/repo", *wanted, HF_ENDPOINT=fake.url)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "m") == FILES
    told = await asyncio.to_thread(run, "checksum", tmp_path / "m")
    assert told.stdout.strip() == digest(tmp_path / "m")


async def test_the_commands_last_words_are_for_the_operator(
    fake: FakeSource, tmp_path: Path
) -> None:
    last, keys = tmp_path / "termination", tmp_path / "keys"
    last.touch()
    keys.mkdir()
    (keys / "token").write_text("hf_secret\n")
    fake.fail = lambda _: web.Response(status=403)
    arguments = ("--to", tmp_path / "m", "--termination", last, "--credentials", keys)
    done = await asyncio.to_thread(run, "fetch", "hf://org/repo", *arguments, HF_ENDPOINT=fake.url)
    assert done.returncode == 1
    assert json.loads(last.read_text())["reason"] == "NoAccess"
    assert "hf_secret" not in done.stderr + last.read_text()
    other = await asyncio.to_thread(run, "verify", keys, "--for", "vosk", "--termination", last)
    assert other.returncode == 1
    assert json.loads(last.read_text())["reason"] == "Unfit"
    gone = await asyncio.to_thread(run, "verify", tmp_path / "none", "--termination", last)
    assert gone.returncode == 1
    assert json.loads(last.read_text())["reason"] == "NotFound"


async def test_progress_is_told_on_a_port(
    fake: FakeSource, session: aiohttp.ClientSession, tmp_path: Path, monkeypatch: Any
) -> None:
    fetch = fetching(hub(fake), tmp_path / "m")
    fetch.progress.done, fetch.progress.total = 3, 4
    runner = web.AppRunner(progress_app(fetch))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with session.get(f"http://127.0.0.1:{port}/progress") as response:
        assert await response.json() == {"bytes": 3, "totalBytes": 4}
    await runner.cleanup()
    monkeypatch.setenv("HF_ENDPOINT", fake.url)
    await load(Wanted("hf://org/repo"), tmp_path / "n", None, "127.0.0.1:0")
    assert content(tmp_path / "n") == FILES
