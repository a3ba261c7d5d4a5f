"""The bank's OpenAPI description, the HTTP adapter and the fake bank say the same: each request and
each answer is looked at on the wire."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from bank_description import Checked, description, problems, resolved
from callfleet_agent.banking import (
    AuthenticationError,
    AuthenticationRequest,
    AuthenticationStatus,
    BankUnavailableError,
    CardDeliveryRequest,
    CardStatus,
    HttpBank,
    HttpBankSettings,
    IntentNotFoundError,
    Outcome,
    RequestRefusedError,
    TransactionRequest,
)
from callfleet_agent.services.inputs.banking import KINDS, METHODS
from fakes.bank import FakeBank, Fault

SCHEMAS = description()["components"]["schemas"]


@pytest.fixture
async def checked() -> AsyncIterator[tuple[FakeBank, Checked]]:
    looking = Checked()
    async with FakeBank(looker=looking.look) as bank:
        yield bank, looking


def proof(method: str, credential: str | None, **whose: str) -> AuthenticationRequest:
    return AuthenticationRequest(
        idempotency_key=uuid4(), method=method, credential=credential,
        **(whose or {"customer_number": "200417"}),  # type: ignore[arg-type]
    )  # fmt: skip


def transaction(kind: str, customer: str = "c-1001", **parameters: str) -> TransactionRequest:
    return TransactionRequest(
        idempotency_key=uuid4(), customer_id=customer, kind=kind, parameters=parameters
    )


async def test_every_operation_and_every_answer_is_as_it_is_described(
    checked: tuple[FakeBank, Checked],
) -> None:
    fake, looking = checked
    bank = HttpBank(HttpBankSettings(url=fake.url, timeout_s=60.0, retries=0))
    proofs = [
        proof("card-last-four", "4271"), proof("pin", "0000"),
        proof("pin", "4271", caller_id="+15550123"), proof("pin", "4271", caller_id="+19990000"),
        *(proof("pin", "0000") for _ in range(6)),
    ]  # fmt: skip
    early = (await bank.authenticate_customer(proof("one-time-code", "602214"))).status
    wishes = [await bank.authenticate_customer(proof("one-time-code", None)) for _ in range(2)]
    code = fake.state.outbox[-1][1]
    verdicts = {
        early,
        *(one.status for one in wishes),
        *[(await bank.authenticate_customer(one)).status
          for one in (proof("one-time-code", code), proof("date-of-birth", "1984-03-12"))],
    }  # fmt: skip
    assert verdicts >= {AuthenticationStatus.EXPIRED, AuthenticationStatus.PENDING}
    assert wishes[0].expires_in_s is not None
    while AuthenticationStatus.NOT_SENT not in verdicts:
        verdicts.add((await bank.authenticate_customer(proof("one-time-code", None))).status)
    verdicts |= {(await bank.authenticate_customer(one)).status for one in proofs}
    for status in CardStatus:
        fake.set_status(status)
        card = await bank.query_card_delivery(CardDeliveryRequest(customer_id="c-1001"))
        assert card.status is status
    earlier = CardDeliveryRequest(customer_id="c-1001", card_id="card-1")
    assert (await bank.query_card_delivery(earlier)).status is CardStatus.DELIVERED
    nothing = await bank.query_card_delivery(CardDeliveryRequest(customer_id="c-1002"))
    fake.set_status("shipped")
    done = [
        (await bank.process_transaction(transaction(kind, reason="lost"))).outcome
        for kind in ("CARD_INQUIRY", "CARD_BLOCK", "CARD_BLOCK")
    ]
    with pytest.raises(IntentNotFoundError):
        await bank.process_transaction(transaction("CARD_REPLACEMENT"))
    with pytest.raises(RequestRefusedError):
        await bank.query_card_delivery(CardDeliveryRequest(customer_id="nobody"))
    with pytest.raises(RequestRefusedError):
        await bank.process_transaction(transaction("CARD_BLOCK", "nobody"))
    fake.state.token = "wanted"
    for ask in (
        bank.authenticate_customer(proof("pin", "4271")),
        bank.query_card_delivery(CardDeliveryRequest(customer_id="c-1001")),
        bank.process_transaction(transaction("CARD_BLOCK")),
    ):
        with pytest.raises(AuthenticationError):
            await ask
    fake.state.token = None
    fake.fault = Fault.status(503, times=3)
    for ask in (
        bank.authenticate_customer(proof("pin", "4271")),
        bank.query_card_delivery(CardDeliveryRequest(customer_id="c-1001")),
        bank.process_transaction(transaction("CARD_BLOCK")),
    ):
        with pytest.raises(BankUnavailableError):
            await ask
    await bank.close()
    async with aiohttp.ClientSession(fake.url) as client:
        async with client.get("/healthz") as answer:
            assert answer.status == 200
        async with client.post("/v1/authentications", json={"method": "eyes"}) as answer:
            assert answer.status == 400

    assert looking.problems == []
    assert verdicts == set(AuthenticationStatus)
    assert nothing.status is None
    assert done == [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.DECLINED]
    described = {
        (operation["operationId"], int(status))
        for operations in description()["paths"].values()
        for operation in operations.values()
        for status in operation["responses"]
    }
    assert looking.seen == described  # nothing is described that nobody answers


async def test_the_check_sees_what_is_not_described() -> None:
    looking = Checked()
    good = b'{"method": "pin", "credential": "4271", "customerNumber": "200417"}'
    verdict = b'{"status": "refused"}'
    for method, path, headers, body, status, answer in (
        ("GET", "/v1/else", {}, b"", 200, b"{}"),
        ("POST", "/v1/authentications", {}, good, 200, verdict),
        ("POST", "/v1/authentications", {"Idempotency-Key": "k"}, b"{}", 200, verdict),
        ("POST", "/v1/authentications", {"Idempotency-Key": "k"}, good, 200, b'{"status": "x"}'),
        ("POST", "/v1/authentications", {"Idempotency-Key": "k"}, good, 299, verdict),
        ("GET", "/v1/customers/c/card-delivery", {}, b"", 200, b'{"status": "eaten"}'),
    ):
        before = len(looking.problems)
        looking.look(method, path, headers, body, status, answer)
        assert len(looking.problems) > before, path


def parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from parts(item)


def test_the_description_is_whole() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
    for part in parts(description()):
        if "$ref" in part:
            assert resolved({"$ref": part["$ref"]})
    assert set(AuthenticationStatus) == set(SCHEMAS["Verdict"]["properties"]["status"]["enum"])
    assert set(CardStatus) | {None} == set(SCHEMAS["CardDelivery"]["properties"]["status"]["enum"])
    assert set(SCHEMAS["Proof"]["properties"]["method"]["enum"]) == set(METHODS.values())
    assert set(SCHEMAS["Transaction"]["properties"]["type"]["enum"]) == {
        kind.value for kind in KINDS.values()
    }


@pytest.mark.parametrize(
    "proof",
    [
        {"method": "pin", "customerNumber": "1"},
        {"method": "pin", "credential": "4271"},
        {"method": "pin", "credential": "4271", "customerNumber": "1", "callerId": "+15550100"},
        {"method": "pin", "credential": "four", "customerNumber": "1"},
    ],
)
def test_what_is_no_proof(proof: dict[str, str]) -> None:
    assert problems({"schema": {"$ref": "#/components/schemas/Proof"}}, proof)
