"""The bank for one conversation."""

from uuid import uuid4

import pytest

from callfleet_agent.banking import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    CardDeliveryRequest,
    TransactionRequest,
)
from callfleet_agent.banking.bound import BoundBank
from callfleet_agent.banking.errors import NotVerifiedError
from injection_rig import DIGITS, NUMBER, OWN, WatchedBank

OTHER = "c-200418"


def proof(digits: str) -> AuthenticationRequest:
    return AuthenticationRequest(
        idempotency_key=uuid4(), method="card-last-four", credential=digits, customer_number=NUMBER
    )


async def refuses(bound: BoundBank, customer: str) -> None:
    request = TransactionRequest(idempotency_key=uuid4(), customer_id=customer, kind="CARD_INQUIRY")
    with pytest.raises(NotVerifiedError):
        await bound.query_card_delivery(CardDeliveryRequest(customer_id=customer))
    with pytest.raises(NotVerifiedError):
        await bound.process_transaction(request)


async def test_nobody_is_asked_about_before_a_proof() -> None:
    bank = WatchedBank()
    bound = BoundBank(bank)
    await refuses(bound, OWN)
    assert (await bound.authenticate_customer(proof("0000"))).status is AuthenticationStatus.REFUSED
    await refuses(bound, OWN)
    assert bank.asked == []


async def test_who_proved_it_is_asked_about_and_nobody_else() -> None:
    bank = WatchedBank()
    bound = BoundBank(bank)
    await bound.authenticate_customer(proof(DIGITS))
    await bound.query_card_delivery(CardDeliveryRequest(customer_id=OWN))
    await bound.process_transaction(
        TransactionRequest(idempotency_key=uuid4(), customer_id=OWN, kind="CARD_INQUIRY")
    )
    await refuses(bound, OTHER)
    await bound.close()
    assert (bank.asked, len(bank.transactions)) == ([OWN], 1)


async def test_a_conversation_that_goes_on_brings_its_customer() -> None:
    bound = BoundBank(WatchedBank(), OWN)
    await bound.query_card_delivery(CardDeliveryRequest(customer_id=OWN))
    await refuses(bound, OTHER)


async def test_a_verdict_without_a_reference_verifies_nobody() -> None:
    class Odd(WatchedBank):
        async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
            return Authentication(AuthenticationStatus.VERIFIED)

    bound = BoundBank(Odd())
    await bound.authenticate_customer(proof(DIGITS))
    await refuses(bound, "")
