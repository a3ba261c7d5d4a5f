"""Addresses, digests and signatures of models."""

import base64
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callfleet_agent.services.models.address import Address, parse
from callfleet_agent.services.models.checksum import MARKER, digest
from callfleet_agent.services.models.errors import ModelError, of_status
from callfleet_agent.services.models.pull_secret import login
from callfleet_agent.services.models.sigv4 import Signer


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("hf://org/repo", Address("hf", "org/repo")),
        ("hf://org/repo/a/b.gguf@v1", Address("hf", "org/repo", "a/b.gguf", "v1")),
        ("s3://bucket/a/b/", Address("s3", "bucket", "a/b")),
        ("oci://r.example:5000/m:1", Address("oci", "r.example:5000", "m:1")),
        ("oci://r.example/m@sha256:ab", Address("oci", "r.example", "m", "sha256:ab")),
        ("https://m.example/x.onnx", Address("https", "m.example", "x.onnx")),
    ],
)
def test_an_address_is_taken_apart(uri: str, address: Address) -> None:
    assert parse(uri) == address


@pytest.mark.parametrize("uri", ["model", "hf://", "hf://org", "s3://a/../b"])
def test_an_address_that_is_none(uri: str) -> None:
    with pytest.raises(ModelError) as refusal:
        parse(uri)
    assert refusal.value.reason == "Invalid"


@pytest.mark.parametrize(
    ("path", "name", "place"),
    [
        ("", "a/b", "a/b"),
        ("a", "a/b", "b"),
        ("a/b", "a/b", "b"),
        ("a/b.onnx", "a/b.onnx.json", "b.onnx.json"),
        ("a/b", "a/b.onnx", None),
        ("a", "ab", None),
        ("x", "a/b", None),
    ],
)
def test_where_a_file_lies_in_the_model(path: str, name: str, place: str | None) -> None:
    assert Address("s3", "b", path).below(name) == place


MINE = {"auth": base64.b64encode(b"me:a:b").decode()}
YOURS = {"username": "you", "password": "s"}


@pytest.mark.parametrize(
    ("key", "entry", "found"),
    [
        ("r.example:5000", MINE, ("me", "a:b")),
        ("r.example:5000", YOURS, ("you", "s")),
        ("r.example:5000/", YOURS, ("you", "s")),
        ("https://r.example:5000/v1/", YOURS, ("you", "s")),
        ("https://r.example:5000/v2", YOURS, ("you", "s")),
        ("r.example:5000/models", YOURS, ("you", "s")),
        ("r.example:5000/models/llm", YOURS, ("you", "s")),
        ("r.example:5000/mod", YOURS, None),
        ("r.example:5000/models/llm/small", YOURS, None),
        ("r.example", YOURS, None),
        ("sub.r.example:5000", YOURS, None),
        ("r.example:5000", {}, None),
    ],
)
def test_whose_login_a_pull_secret_has(
    key: str, entry: dict[str, str], found: tuple[str, str] | None
) -> None:
    text = json.dumps({"auths": {key: entry}})
    assert login(text, "r.example:5000", "models/llm") == found


def test_the_longest_path_that_fits_wins() -> None:
    text = json.dumps({"auths": {"https://r.example/v2/": MINE, "r.example/models": YOURS}})
    assert login(text, "r.example", "models/llm") == ("you", "s")
    assert login(text, "r.example", "other") == ("me", "a:b")
    assert login("{}", "r.example", "other") is None


@pytest.mark.parametrize(
    "text",
    ["secret", "[]", '{"auths": "secret"}', '{"auths": {"r.example": "secret"}}',
     '{"auths": {"r.example": {"auth": "sec ret"}}}', '{"auths": {"r.example": {"auth": "/w=="}}}'],
)  # fmt: skip
def test_a_pull_secret_in_another_form_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ModelError) as refusal:
        login(text, "r.example", "m")
    assert refusal.value.reason == "NoAccess"
    assert str(refusal.value) == "the Secret's .dockerconfigjson cannot be read"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "NoAccess"),
        (403, "NoAccess"),
        (404, "NotFound"),
        (429, "Unreachable"),
        (503, "Unreachable"),
        (418, "Unsupported"),
    ],
)
def test_what_a_status_means(status: int, reason: str) -> None:
    error = of_status(status, "file x")
    assert error.reason == reason
    assert error.retry is (reason == "Unreachable")


def test_the_digest_of_a_folder_is_that_of_its_sha256sum(tmp_path: Path) -> None:
    for name, text in (("b.bin", "two"), ("a/c.txt", "one"), (MARKER, "not counted")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    shell = "LC_ALL=C; find a b.bin -type f | sort | xargs sha256sum | sha256sum | cut -c1-64"
    told = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True)
    assert digest(tmp_path) == f"sha256:{told.stdout.strip()}"


def test_a_folder_with_one_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    assert digest(tmp_path) == digest(tmp_path / "x")


class TestSignatures:
    """The examples of "Signature Calculations for the Authorization Header"."""

    SIGNER = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    HOST = "examplebucket.s3.amazonaws.com"
    NOW = datetime(2013, 5, 24, tzinfo=UTC)

    def test_an_object(self) -> None:
        made = self.SIGNER.headers(self.HOST, "/test.txt", {}, self.NOW, {"Range": "bytes=0-9"})
        assert made["Authorization"] == (
            "AWS4-HMAC-SHA256 "
            "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        )

    def test_a_list(self) -> None:
        made = self.SIGNER.headers(self.HOST, "/", {"max-keys": "2", "prefix": "J"}, self.NOW)
        assert made["Authorization"].endswith(
            "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        )

    def test_the_secret_is_not_shown(self) -> None:
        assert "wJalr" not in repr(self.SIGNER)
