"""What images are made of, and how they get to the node."""

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from callfleet_hack import stored_image
from callfleet_hack.cache import REPOSITORY
from callfleet_hack.errors import HackError
from callfleet_hack.image_store import reference
from callfleet_hack.images.base import sources_of
from callfleet_hack.images.context import IMAGES, Image, lay_out, requirements
from callfleet_hack.node.archive import write_image

AGENT = Image("agent", "python", (("proto", ()), ("operator", ("controller",))))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("agent", "localhost/callfleet/agent:dev"),
        ("agent:v1", "localhost/callfleet/agent:v1"),
        ("registry.example/agent:v1", "registry.example/agent:v1"),
    ],
)
def test_short_names_are_ours(image: str, expected: str) -> None:
    assert reference(image) == expected


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    files = {
        "images/agent/Dockerfile": "FROM scratch\n",
        "images/build.lock": "pip==1\n",
        "requirements.lock": "grpcio==1\n",
        "proto/pyproject.toml": '[project]\nname = "callfleet-proto"\ndependencies = ["grpcio>=1"]',
        "proto/src/callfleet/v1/x.py": "X = 1\n",
        "proto/src/callfleet/__pycache__/x.pyc": "no source",
        "operator/pyproject.toml": (
            '[project]\nname = "callfleet-operator"\ndependencies = ["pydantic>=2"]\n'
            '[project.optional-dependencies]\ncontroller = ["callfleet-proto", "kopf>=1"]'
        ),
        "operator/src/callfleet_operator/main.py": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def _lay_out(repository: Path, target: Path) -> str:
    target.mkdir()
    return lay_out(AGENT, target, repository)


def test_an_image_requires_what_its_members_and_their_extras_require(repository: Path) -> None:
    assert requirements(AGENT, repository) == ["grpcio>=1", "kopf>=1", "pydantic>=2"]


def test_a_context_has_sources_and_nothing_that_was_compiled(
    repository: Path, tmp_path: Path
) -> None:
    _lay_out(repository, tmp_path / "context")

    files = [path for path in (tmp_path / "context").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "context")) for path in files) == [
        "Dockerfile",
        "build.lock",
        "members/operator/pyproject.toml",
        "members/operator/src/callfleet_operator/main.py",
        "members/proto/pyproject.toml",
        "members/proto/src/callfleet/v1/x.py",
        "requirements.in",
        "requirements.lock",
    ]


def test_the_hash_of_a_context_changes_with_its_contents_only(
    repository: Path, tmp_path: Path
) -> None:
    first = _lay_out(repository, tmp_path / "first")
    (repository / "operator/src/callfleet_operator/main.py").touch()
    same = _lay_out(repository, tmp_path / "same")
    (repository / "operator/src/callfleet_operator/main.py").write_text("x = 1\n")
    other = _lay_out(repository, tmp_path / "other")

    assert first == same
    assert first != other


def test_an_image_may_be_a_stage_of_anothers_dockerfile(repository: Path, tmp_path: Path) -> None:
    engines = Image("engines", "python", AGENT.members, folder="agent", target="engines")
    (tmp_path / "engines").mkdir()
    assert lay_out(engines, tmp_path / "engines", repository) == _lay_out(
        repository, tmp_path / "agent"
    )


def test_every_target_is_a_stage_of_its_dockerfile() -> None:
    for image in IMAGES.values():
        file = REPOSITORY / "images" / (image.folder or image.name) / "Dockerfile"
        stages = re.findall(r"^FROM \S+ AS (\S+)$", file.read_text(), re.MULTILINE)
        assert image.target in {*stages, ""}


def test_what_shares_the_agents_python_has_the_agents_versions() -> None:
    agents = _pinned(REPOSITORY / "requirements.lock")
    engines = _pinned(REPOSITORY / "images" / "agent" / "recognition.lock")
    shared = engines.keys() & agents.keys()
    assert "numpy" in shared
    assert {name: engines[name] for name in shared} == {name: agents[name] for name in shared}
    # These are under the GPL, or hold what is.
    assert not any(name.startswith("piper") or name == "av" for name in engines)


def _pinned(lock: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_the_mirror_of_the_main_release_comes_first() -> None:
    listed = (
        "Debian https://security.example/ bookworm-security\n"
        "Other https://other.example/ bookworm\n"
        "Debian https://mirror.example/debian/ bookworm\n"
        "Debian https://mirror.example/debian/ bookworm\n"
        "Debian https://mirror.example/debian/ trixie\n"
    )

    assert sources_of(listed) == [
        ("https://mirror.example/debian/", "bookworm"),
        ("https://security.example/", "bookworm-security"),
    ]


def test_a_machine_without_the_release_is_told_what_to_set() -> None:
    with pytest.raises(HackError, match="CALLFLEET_DEBIAN_MIRROR"):
        sources_of("Ubuntu https://mirror.example/ noble\n")


def test_a_program_becomes_an_image_with_itself_as_the_entry_point(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF")

    write_image(tmp_path / "pause.tar", reference="localhost/pause:1", program=program)

    with tarfile.open(tmp_path / "pause.tar") as archive:
        (manifest,) = json.loads(_read(archive, "manifest.json"))
        config = json.loads(_read(archive, manifest["Config"]))
        layer = _read(archive, manifest["Layers"][0])
    assert manifest["RepoTags"] == ["localhost/pause:1"]
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert config["rootfs"]["diff_ids"] == [_digest(layer)]


@pytest.fixture
def layer() -> bytes:
    """A tar stream with a file longer than one chunk, an empty one and a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(_entry("folder", 0, tarfile.DIRTYPE))
        archive.addfile(_entry("folder/empty", 0), io.BytesIO())
        content = bytes(range(256)) * 5000
        archive.addfile(_entry("folder/big", len(content)), io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path, layer: bytes) -> Path:
    """As containers-storage keeps one image of one layer."""
    root = tmp_path / "store"
    config = json.dumps({"rootfs": {"diff_ids": [_digest(layer)]}}).encode()
    manifest = json.dumps(
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": _digest(config)},
            "layers": [{"digest": _digest(layer)}],
        }
    ).encode()
    image = {"id": "i", "names": ["localhost/a:1"], "digest": _digest(manifest), "layer": "l"}
    record = {"id": "l", "diff-digest": _digest(layer), "diff-size": len(layer)}
    key = base64.b64encode(_digest(config).encode()).decode()
    files = {
        "overlay-images/images.json": json.dumps([image]).encode(),
        "overlay-images/i/manifest": manifest,
        f"overlay-images/i/={key}": config,
        "overlay-layers/layers.json": json.dumps([record]).encode(),
        "overlay-layers/l.tar-split.gz": gzip.compress(_split(layer, root / "overlay/l/diff")),
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_a_layer_of_the_store_is_given_octet_for_octet(store: Path, layer: bytes) -> None:
    image = stored_image.find(store, "localhost/a:1")
    target = io.BytesIO()

    stored_image.write_archive(image, "localhost/a:1", target, present=set())

    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        assert _read(archive, f"blobs/{_digest(layer).replace(':', '/')}") == layer
        (entry,) = json.loads(_read(archive, "index.json"))["manifests"]
    assert entry["annotations"] == {"io.containerd.image.name": "localhost/a:1"}


def test_a_layer_that_the_node_has_is_left_out(store: Path, layer: bytes) -> None:
    image = stored_image.find(store, "localhost/a:1")
    target = io.BytesIO()

    stored_image.write_archive(image, "localhost/a:1", target, present={_digest(layer)})

    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        assert len(archive.getnames()) == 4


def test_an_image_that_the_store_lacks_is_an_error_of_the_store(store: Path) -> None:
    with pytest.raises(stored_image.StoredImageError):
        stored_image.find(store, "localhost/b:1")


def _split(stream: bytes, files: Path) -> bytes:
    """The stream's tar-split: contents of files go to `files`, the rest stays."""
    lines, position = [], 0
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        for member in archive:
            lines.append(_segment(stream[position : member.offset_data]))
            position = member.offset_data + member.size
            file = {"type": 1, "name": member.name}
            if member.size:
                (files / member.name).parent.mkdir(parents=True, exist_ok=True)
                (files / member.name).write_bytes(stream[member.offset_data : position])
                file["size"] = member.size
            lines.append(file)
    lines.append(_segment(stream[position:]))
    return "\n".join(json.dumps(line) for line in lines).encode()


def _segment(content: bytes) -> dict[str, object]:
    return {"type": stored_image.SEGMENT, "payload": base64.b64encode(content).decode()}


def _entry(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
