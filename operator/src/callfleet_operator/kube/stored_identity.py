"""The Secrets of the CA and of the token keys: made once, however many operators start, and
followed by changes before they end.
"""

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from callfleet_operator.identity.authority import Authority, make_authority, read_authority
from callfleet_operator.identity.certificates import KeyPair
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.tokens import KeyRing, read_ring
from callfleet_operator.kube.certificates import FINGERPRINT, NOT_AFTER, rfc3339, secret
from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import AlreadyExistsError, ConflictError
from callfleet_operator.ports.kinds import SECRET, Kind, Manifest
from callfleet_operator.ports.kube import Ref

_log = logging.getLogger(__name__)

CA_SECRET: Final = "callfleet-ca"  # noqa: S105 - the name of an object
KEYS_SECRET: Final = "callfleet-token-keys"  # noqa: S105 - the name of an object
TAKES_OVER: Final = "callfleet.io/takes-over"
ROTATE: Final = "callfleet.io/rotate"
_TRIES: Final = 10
T = TypeVar("T", Authority, KeyRing)


class SecretClient(Protocol):
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...
    async def create(self, manifest: Manifest) -> Manifest: ...
    async def patch(self, ref: Ref, patch: Manifest) -> Manifest: ...


@dataclass(frozen=True)
class Form(Generic[T]):
    """One kind of stored identity: its name, how it is read and written, and how it is tended.

    `tend` gets None where there is none yet, the time, and whether a person asked for a change.
    """

    name: str
    read: Callable[[Manifest], T]
    write: Callable[[T, str], Manifest]
    tend: Callable[[T | None, float, bool], T]


async def kept(form: Form[T], client: SecretClient, namespace: str, clock: Clock) -> T:
    """What is stored, made or changed if need be.

    Two operators never make two: it is created, never overwritten, and changed only as long as it
    is what was read; both then use what is there. A damaged Secret is a person's business
    (ConfigurationError): a new CA would cut off every pod. Raises KubeError.
    """
    for _ in range(_TRIES):
        found = await client.get(SECRET, namespace, form.name)
        if found is None:
            made = form.tend(None, clock.wall(), False)
            try:
                await client.create(form.write(made, namespace))
                _log.info("an identity was made", extra={"secret": form.name})
            except AlreadyExistsError:
                _log.info("another operator made the identity", extra={"secret": form.name})
            continue
        state = _read(form, found)
        annotations = found["metadata"].get("annotations") or {}
        wanted = form.tend(state, clock.wall(), ROTATE in annotations)
        if wanted == state and ROTATE not in annotations:
            return state
        await _change(form, client, found, form.write(wanted, namespace))
    raise ConfigurationError(f"Secret {namespace}/{form.name}: somebody else keeps changing it")


def _read(form: Form[T], found: Manifest) -> T:
    try:
        return form.read(found)
    except (KeyError, ValueError, TypeError) as error:
        where = f"{found['metadata']['namespace']}/{form.name}"
        raise ConfigurationError(
            f"Secret {where}: {error}; restore it, or delete it for a new one"
        ) from error


async def _change(form: Form[T], client: SecretClient, found: Manifest, wanted: Manifest) -> None:
    gone: dict[str, None] = {
        key: None for key in found.get("data") or {} if key not in wanted["data"]
    }
    metadata = wanted["metadata"]
    metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
    notes = {TAKES_OVER: None, **metadata["annotations"], ROTATE: None}
    patch = {"data": wanted["data"] | gone, "metadata": metadata | {"annotations": notes}}
    ref = Ref(SECRET, found["metadata"]["namespace"], form.name)
    try:
        await client.patch(ref, patch)
        _log.info("an identity was changed", extra={"secret": form.name})
    except ConflictError:
        _log.info("another operator changed the identity", extra={"secret": form.name})


def authority_form(installation: str, lifetimes: Lifetimes) -> Form[Authority]:
    def tend(state: Authority | None, now: float, rotate: bool) -> Authority:
        if state is None:
            return make_authority(installation, lifetimes, now)
        return state.tended(installation, lifetimes, now, rotate=rotate)

    return Form(CA_SECRET, authority_of, authority_secret, tend)


def authority_secret(authority: Authority, namespace: str) -> Manifest:
    ca, coming = authority.ca, authority.successor
    data = {"tls.crt": ca.certificate, "tls.key": ca.key, "ca.crt": authority.bundle}
    notes = {FINGERPRINT: ca.fingerprint, NOT_AFTER: rfc3339(ca.not_after)}
    if coming is not None:
        data |= {"next.crt": coming.ca.certificate, "next.key": coming.ca.key}
        notes[TAKES_OVER] = rfc3339(coming.takes_over)
    return secret(namespace, CA_SECRET, data, notes)


def authority_of(found: Manifest) -> Authority:
    """ValueError when it is damaged."""
    data = found.get("data") or {}
    ca = _pair(data, "tls")
    bundle = base64.b64decode(data.get("ca.crt") or "")
    if "next.crt" not in data:
        return read_authority(ca, bundle, None, 0.0)
    at = str((found["metadata"].get("annotations") or {}).get(TAKES_OVER))
    return read_authority(ca, bundle, _pair(data, "next"), datetime.fromisoformat(at).timestamp())


def _pair(data: Manifest, name: str) -> KeyPair:
    try:
        return KeyPair(base64.b64decode(data[f"{name}.crt"]), base64.b64decode(data[f"{name}.key"]))
    except KeyError as error:
        raise ValueError(f"no readable {name}.crt and {name}.key") from error


def ring_form(lifetimes: Lifetimes) -> Form[KeyRing]:
    def tend(state: KeyRing | None, now: float, rotate: bool) -> KeyRing:
        return (state or KeyRing()).tended(lifetimes, now, rotate=rotate)

    return Form(KEYS_SECRET, _ring_of, _ring_secret, tend)


def _ring_secret(ring: KeyRing, namespace: str) -> Manifest:
    return secret(namespace, KEYS_SECRET, {"keys.json": ring.stored().encode()}, {})


def _ring_of(found: Manifest) -> KeyRing:
    text = base64.b64decode((found.get("data") or {}).get("keys.json") or "")
    return read_ring(text.decode())
