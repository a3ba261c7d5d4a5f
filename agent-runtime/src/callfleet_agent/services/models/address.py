"""Where a model comes from, taken apart."""

from dataclasses import dataclass

from callfleet_agent.services.models.errors import ModelError


@dataclass(frozen=True, slots=True)
class Address:
    """`scheme://host/path[@revision]`; for hf the host is `owner/repository`."""

    scheme: str
    host: str
    path: str = ""
    revision: str = ""

    def below(self, name: str) -> str | None:
        """Where a file of the source lies in the model: the rest after the path; None when it is
        no part of it. A path that names one file keeps the file's own name, as does what describes
        that file (`.json` behind its name, which a voice of Piper is nothing without).
        """
        if not self.path:
            return name
        if name in (self.path, f"{self.path}.json"):
            return name.rpartition("/")[2]
        prefix = f"{self.path}/"
        return name[len(prefix) :] if name.startswith(prefix) else None


def parse(uri: str) -> Address:
    """Raises ModelError(Invalid)."""
    scheme, sign, rest = uri.partition("://")
    if not sign or not rest or ".." in rest:
        raise ModelError("Invalid", "the model's address is none; write for example hf://a/b")
    revision = ""
    if scheme in ("hf", "oci"):
        rest, _, revision = rest.partition("@")
    parts = rest.strip("/").split("/")
    size = 2 if scheme == "hf" else 1
    if len(parts) < size:
        raise ModelError("Invalid", "hf:// must name owner and repository")
    return Address(scheme, "/".join(parts[:size]), "/".join(parts[size:]), revision)
