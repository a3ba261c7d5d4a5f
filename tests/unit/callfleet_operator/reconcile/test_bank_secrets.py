"""Secrets that prove an agent to its bank: what is missing is said, and when it is there, too."""

import base64
from typing import Any

import pytest

from callfleet_operator.model import load_voice_agent
from callfleet_operator.ports.errors import UnavailableError
from callfleet_operator.ports.kinds import SECRET, Kind, Manifest
from callfleet_operator.reconcile.bank_secrets import LOOK_AGAIN_S, MISSING_AGAIN_S, BankSecrets
from fakes.fleet import NAMESPACE, FakeFleet
from fakes.virtual_time import in_virtual_time
from vectors.manifests.table import SMALLEST, merged

OAUTH: dict[str, Any] = {
    "url": "https://bank.example",
    "credentialsSecretName": "client",
    "oauth": {"tokenUrl": "https://login.bank.example/token"},
}
PAIR = {"certificateSecretName": "pair"}


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Reader:
    """Secrets by name, each a list of keys."""

    def __init__(self, **secrets: list[str]) -> None:
        self.secrets = secrets
        self.asked = 0
        self.away = False

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        assert (kind, namespace) == (SECRET, "bank")
        self.asked += 1
        if self.away:
            raise UnavailableError(0, "Timeout", "away")
        keys = self.secrets.get(name)
        return None if keys is None else {"data": dict.fromkeys(keys, "")}

    async def list(self, kind: Kind, namespace: str | None = None) -> list[Manifest]:
        raise AssertionError("Secrets are never listed")


def missing(reader: Reader, clock: Clock | None = None) -> BankSecrets:
    return BankSecrets(reader, clock or Clock())


def agent(**banking: Any) -> Any:
    change = {"metadata": {"namespace": "bank"}, "spec": {"banking": banking}}
    return load_voice_agent(merged(SMALLEST["VoiceAgent"], change))


@pytest.mark.parametrize(
    ("banking", "secrets", "says"),
    [
        ({}, {}, ""),
        (OAUTH, {"client": ["clientId", "clientSecret"]}, ""),
        (OAUTH, {}, "spec.banking.credentialsSecretName names client, and there is no such Secret"),
        (OAUTH, {"client": ["token"]}, "names client, which has no key clientId; add it"),
        (OAUTH, {"client": ["clientId"]}, "names client, which has no key clientSecret; add it"),
        ({**OAUTH, **PAIR}, {"client": ["clientId"], "pair": ["tls.crt", "tls.key"]}, ""),
        ({**OAUTH, **PAIR}, {"client": ["clientId"], "pair": ["tls.crt"]},
         "spec.banking.certificateSecretName names pair, which has no key tls.key"),
        ({"url": "https://b.example", "caSecretName": "ca"}, {"ca": []},
         "spec.banking.caSecretName names ca, which has no key ca.crt"),
        ({"url": "https://b.example", "credentialsSecretName": "t"}, {"t": ["token"]}, ""),
    ],
)  # fmt: skip
async def test_what_is_missing_is_named_with_its_field(
    banking: dict[str, Any], secrets: dict[str, list[str]], says: str
) -> None:
    told = await missing(Reader(**secrets)).missing(agent(**banking))
    assert told.startswith(says) if says.startswith("spec") else says in told
    assert bool(told) is bool(says)


async def test_what_is_there_is_not_asked_for_again_for_a_while() -> None:
    reader, clock = Reader(), Clock()
    secrets = missing(reader, clock)
    for _ in range(3):
        assert await secrets.missing(agent(**OAUTH))
    assert reader.asked == 1
    reader.secrets["client"] = ["clientId", "clientSecret"]
    clock.now += MISSING_AGAIN_S
    for _ in range(3):
        assert not await secrets.missing(agent(**OAUTH))
    assert reader.asked == 2  # one Secret as two sources: all of its keys are known by the first
    clock.now += LOOK_AGAIN_S - 1
    await secrets.missing(agent(**OAUTH))
    assert reader.asked == 2


async def test_a_server_that_does_not_tell_is_no_missing_secret() -> None:
    reader = Reader()
    reader.away = True
    assert await missing(reader).missing(agent(**OAUTH)) == ""


@in_virtual_time
async def test_an_agent_says_it_until_the_secret_is_there() -> None:
    async with FakeFleet().running() as fleet:
        fleet.controllers.stuck = {f"x{number}" for number in range(10)}
        fleet.apply_agent(replicas=1, banking=OAUTH)
        await fleet.until(lambda: fleet.condition("Ready") == ("False", "BankSecretNotFound"))
        data = {key: base64.b64encode(b"x").decode() for key in ("clientId", "clientSecret")}
        fleet.kube.put(
            {"apiVersion": "v1", "kind": "Secret",
             "metadata": {"namespace": NAMESPACE, "name": "client"}, "data": data}
        )  # fmt: skip
        await fleet.until(lambda: fleet.condition("Ready")[1] != "BankSecretNotFound")
