"""Certificates and keys of a cluster, made with openssl: two authorities and what they sign."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.cache import write_atomically
from callfleet_hack.command import output, required

DAYS = "3650"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Identity:
    """Someone who talks to the API server with a token."""

    name: str
    user: str
    groups: tuple[str, ...] = ()


def make_authority(folder: Path, name: str) -> None:
    """`name`.crt and `name`.key, with the key usage that newer Pythons insist on."""
    _request(
        folder,
        name,
        subject=f"/CN=callfleet-{name}",
        extensions=("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"),
        signer=None,
    )


def make_certificate(
    folder: Path, name: str, *, signer: str, subject: str, alternatives: tuple[str, ...] = ()
) -> None:
    """`name`.crt and `name`.key for server and client alike; `alternatives` as `IP:…`, `DNS:…`."""
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=serverAuth,clientAuth",
    ]
    if alternatives:
        extensions.append(f"subjectAltName={','.join(alternatives)}")
    _request(folder, name, subject=subject, extensions=tuple(extensions), signer=signer)


def make_signing_key(folder: Path, name: str) -> None:
    """`name`.key and `name`.pub, for service account tokens."""
    key, public = folder / f"{name}.key", folder / f"{name}.pub"
    if public.exists():
        return
    openssl = required("openssl")
    output([openssl, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key])
    output([openssl, "ec", "-in", key, "-pubout", "-out", public])


def make_tokens(folder: Path, identities: tuple[Identity, ...]) -> dict[str, str]:
    """A token for each identity, kept in `tokens.csv` as the API server reads it."""
    path = folder / "tokens.csv"
    known = {}
    if path.exists():
        for line in path.read_text().splitlines():
            token, _, name = line.split(",")[:3]
            known[name] = token
    tokens = {one.name: known.get(one.name) or secrets.token_hex(24) for one in identities}
    lines = [
        f'{tokens[one.name]},{one.user},{one.name},"{",".join(one.groups)}"' for one in identities
    ]
    write_atomically(path, "\n".join(lines) + "\n")
    return tokens


def _request(
    folder: Path, name: str, *, subject: str, extensions: tuple[str, ...], signer: str | None
) -> None:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if certificate.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{name}.crt.new"
    command: list[str | Path] = [required("openssl"), "req", "-x509", *_NEW_KEY]
    command += ["-days", DAYS, "-subj", subject]
    command += ["-config", "/dev/null", "-keyout", key, "-out", draft]
    if signer:
        command += ["-CA", folder / f"{signer}.crt", "-CAkey", folder / f"{signer}.key"]
    for extension in extensions:
        command += ["-addext", extension]
    output(command)
    key.chmod(0o600)
    draft.replace(certificate)
