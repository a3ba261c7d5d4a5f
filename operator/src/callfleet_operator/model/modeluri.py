"""What the address of a model may not say: rules in words, since a pattern explains nothing."""

import re
from collections.abc import Callable
from typing import Any

from .schema import Rule

_KNOWN = "^(hf|s3|oci|pvc|https|file)://"
_NAMES = "^((hf|s3|oci|pvc|https)://[A-Za-z0-9]|file:///.)"
_REVISION = "^(hf|oci)://[^@]*@[A-Za-z0-9._:-]+$"
_HF = "^hf://[A-Za-z0-9._-]+/[A-Za-z0-9._-]+"
_OCI = "^oci://[^/@]+/[A-Za-z0-9]"


def _uri(cel: str, message: str, holds: Callable[[str], bool]) -> Rule:
    """A rule for addresses of a source that is known: one mistake is told once."""
    return Rule(
        cel=f"!has(self.uri) || !self.uri.matches('{_KNOWN}') || {cel}",
        message=message,
        field_path=".uri",
        holds=lambda model: not _matches(_KNOWN, model) or holds(model.uri),
    )


def _matches(pattern: str, model: Any) -> bool:
    return model.uri is not None and re.search(pattern, model.uri) is not None


URI_RULES: tuple[Rule, ...] = (
    Rule(
        cel=f"!has(self.uri) || self.uri.matches('{_KNOWN}')",
        message="must begin with hf://, s3://, oci://, pvc://, https:// or file:///",
        field_path=".uri",
        holds=lambda model: model.uri is None or _matches(_KNOWN, model),
    ),
    _uri(
        f"self.uri.matches('{_NAMES}')",
        "must name something, for example hf://owner/repository, pvc://claim/folder or "
        "file:///folder",
        lambda uri: re.search(_NAMES, uri) is not None,
    ),
    _uri(
        r"!self.uri.matches('\\s')",
        "must not contain blanks",
        lambda uri: re.search(r"\s", uri, re.ASCII) is None,
    ),
    _uri(
        f"!self.uri.contains('@') || self.uri.matches('{_REVISION}')",
        "must hold no user and no password, and an @ only before the revision of hf or oci; what "
        "the source asks for belongs into the Secret of credentialsSecretName",
        lambda uri: "@" not in uri or re.search(_REVISION, uri) is not None,
    ),
    _uri(
        f"!self.uri.startsWith('hf://') || self.uri.matches('{_HF}')",
        "must name owner and repository, hf://owner/repository",
        lambda uri: not uri.startswith("hf://") or re.search(_HF, uri) is not None,
    ),
    _uri(
        f"!self.uri.startsWith('oci://') || self.uri.matches('{_OCI}')",
        "must name registry and repository, oci://registry/repository:tag",
        lambda uri: not uri.startswith("oci://") or re.search(_OCI, uri) is not None,
    ),
    _uri(
        "!self.uri.contains('..')",
        "must not contain two dots in a row",
        lambda uri: ".." not in uri,
    ),
)
