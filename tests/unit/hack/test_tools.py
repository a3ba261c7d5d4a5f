"""Which tools and packages there are, and how they are built."""

from pathlib import Path

import pytest

from callfleet_hack import kind_cluster
from callfleet_hack.cache import cluster_dir
from callfleet_hack.cluster import package_groups
from callfleet_hack.errors import HackError
from callfleet_hack.packages import GROUPS, Package, ensure_packages, missing
from callfleet_hack.tools import TOOLS, ensure, go_command, source_hash


def test_every_tool_is_pinned_to_a_version() -> None:
    assert [tool.name for tool in TOOLS.values() if not tool.version] == []


def test_a_tool_of_ours_is_built_where_its_source_is() -> None:
    assert go_command(TOOLS["pause"], Path("/t")) == [
        "go", "build", "-trimpath", "-ldflags=-s -w", "-o", "/t/pause", ".",
    ]  # fmt: skip


def test_a_tool_of_others_is_built_at_its_version() -> None:
    command = go_command(TOOLS["kubeconform"], Path("/t"))

    assert command[:2] == ["go", "install"]
    assert command[-1] == f"{TOOLS['kubeconform'].package}@{TOOLS['kubeconform'].version}"


def test_kubernetes_says_which_version_it_is() -> None:
    assert any("gitVersion=v1.34.4" in word for word in go_command(TOOLS["kubernetes"], Path("/t")))


def test_each_tool_has_a_source_of_its_own() -> None:
    assert len({source_hash(tool) for tool in TOOLS.values()}) == len(TOOLS)


def test_an_unknown_tool_is_named_with_those_that_there_are() -> None:
    with pytest.raises(HackError, match=r"no tool is called nothing; there are: .*kubernetes"):
        ensure("nothing")


def test_a_package_is_there_when_its_program_or_file_is(tmp_path: Path) -> None:
    (tmp_path / "a1").touch()

    assert Package("sh", "sh").present
    assert Package("a", f"{tmp_path}/a*").present
    assert not Package("b", f"{tmp_path}/b*").present


def test_an_unknown_group_is_named_with_those_that_there_are() -> None:
    with pytest.raises(HackError, match="no group of packages is called nothing"):
        missing(["nothing"])


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(GROUPS, "empty", (Package("no-such", "no-such-program"),))

    with pytest.raises(HackError, match=r"apt-get install .* no-such"):
        ensure_packages(["empty"], install=False)


@pytest.mark.parametrize(
    ("chosen", "kubeconfig", "groups"),
    [
        ("kind", None, ["test"]),
        ("node", None, ["cluster", "images", "test"]),
        ("node", cluster_dir() / "kubeconfig", ["cluster", "images", "test"]),
        ("node", Path("/of/somebody"), ["test"]),
    ],
)
def test_docker_or_a_cluster_that_is_there_needs_no_packages_of_a_node(
    monkeypatch: pytest.MonkeyPatch, chosen: str, kubeconfig: Path | None, groups: list[str]
) -> None:
    monkeypatch.setenv("CALLFLEET_CLUSTER", chosen)

    assert package_groups(kubeconfig) == groups


def test_kind_takes_the_image_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND_NODE_IMAGE", "kindest/node:v1.28.15")
    named = kind_cluster.create_command(Path("kind"), Path("file"))
    monkeypatch.delenv("KIND_NODE_IMAGE")
    default = kind_cluster.create_command(Path("kind"), Path("file"))

    assert named == [*default, "--image", "kindest/node:v1.28.15"]
