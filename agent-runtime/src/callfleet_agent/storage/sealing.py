"""AES-256-GCM for what belongs to a customer, with the key's id beside it.

A sealed value is bound to its place (table, column, row) by the associated data, so that it cannot
be moved to another row. Keys are files of a folder, 32 bytes in base64 each, named by their id; the
file `current` holds the id that new values are sealed with, `index` the key of fingerprints. A key
is retired by sealing again what it sealed (`callfleet storage reseal`), then deleting its file.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callfleet_agent.storage.errors import KeyFilesError, SealError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
CURRENT: Final = "current"
INDEX: Final = "index"


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals with the current key, opens with any of them."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    index_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise KeyFilesError("the current key is not among the keys")
        if any(len(key) != KEY_BYTES for key in (*self.keys.values(), self.index_key)):
            raise KeyFilesError(f"a key has not {KEY_BYTES} bytes")

    def seal(self, value: object, place: str) -> dict[str, str]:
        """A JSON value as {"key", "sealed"}; `place` says where it belongs."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.keys[self.current]).encrypt(
            nonce, orjson.dumps(value), _associated(self.current, place)
        )
        return {"key": self.current, "sealed": base64.b64encode(nonce + sealed).decode()}

    def open(self, sealed: object, place: str) -> Any:
        """The value.

        Raises:
            SealError: the key is gone, the value was changed, or it belongs elsewhere.
        """
        if not isinstance(sealed, Mapping):
            raise SealError("what is stored is not sealed")
        name, text = sealed.get("key"), sealed.get("sealed")
        key = self.keys.get(name) if isinstance(name, str) else None
        if key is None or not isinstance(text, str):
            raise SealError("the key of what is stored is not there")
        try:
            data = base64.b64decode(text, validate=True)
            clear = AESGCM(key).decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], _associated(str(name), place)
            )
        except (binascii.Error, ValueError, InvalidTag):
            raise SealError("what is stored was changed, or belongs elsewhere") from None
        return orjson.loads(clear)

    def is_current(self, sealed: object) -> bool:
        """Whether the value was sealed with the current key."""
        return isinstance(sealed, Mapping) and sealed.get("key") == self.current

    def digest(self, use: str, text: str) -> bytes:
        """A keyed digest, by which two texts can be compared without keeping either."""
        return hmac.new(self.index_key, f"{use}|{text}".encode(), hashlib.sha256).digest()

    def fingerprint(self, text: str, length: int) -> str:
        """What stands for the text where it is searched for: always the same, never turned back."""
        digest = hmac.new(self.index_key, text.encode(), hashlib.sha256).digest()
        return base64.b32encode(digest).decode().lower().rstrip("=")[:length]


def _associated(key: str, place: str) -> bytes:
    return f"{key}|{place}".encode()


def read_keys(folder: Path) -> Sealer:
    """The keys of a folder, as a Secret is mounted.

    Raises:
        KeyFilesError: the folder is not as described.
    """
    try:
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        current = (folder / CURRENT).read_text(encoding="ascii").strip()
        index_key = _key(folder / INDEX)
        keys = {name: _key(folder / name) for name in names if name not in {CURRENT, INDEX}}
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFilesError("the folder of the sealing keys cannot be read") from error
    return Sealer(current, keys, index_key)


def _key(path: Path) -> bytes:
    try:
        return base64.b64decode(path.read_bytes().strip(), validate=True)
    except binascii.Error:
        raise KeyFilesError(f"{path.name} is no key in base64") from None


def make_keys(folder: Path, name: str) -> None:
    """Write a new key and make it the current one; the index key is made when there is none.

    Raises:
        KeyFilesError: there is such a key already.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if name in {CURRENT, INDEX} or (folder / name).exists():
        raise KeyFilesError(f"there is a key {name} already")
    _write(folder / name)
    if not (folder / INDEX).exists():
        _write(folder / INDEX)
    (folder / CURRENT).write_text(name, encoding="ascii")


def _write(path: Path) -> None:
    path.touch(mode=0o600)
    path.write_bytes(base64.b64encode(os.urandom(KEY_BYTES)))
