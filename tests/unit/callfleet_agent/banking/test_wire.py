"""The bank's JSON, and what its HTTP statuses stand for."""

from uuid import UUID

import pytest

from callfleet_agent.banking import (
    Authentication,
    AuthenticationError,
    AuthenticationRequest,
    AuthenticationStatus,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    CardDelivery,
    CardStatus,
    IntentNotFoundError,
    RequestRefusedError,
    TransactionReceipt,
    TransactionRequest,
    wire,
)

KEY = UUID(int=1)


def test_requests() -> None:
    by_number = AuthenticationRequest(
        idempotency_key=KEY, method="pin", credential="4271", customer_number="200417"
    )
    assert wire.authentication_body(by_number) == {
        "method": "pin", "credential": "4271", "customerNumber": "200417",
    }  # fmt: skip
    by_caller = AuthenticationRequest(
        idempotency_key=KEY, method="pin", credential="4271", caller_id="+1555"
    )
    assert wire.authentication_body(by_caller)["callerId"] == "+1555"
    transaction = TransactionRequest(
        idempotency_key=KEY, customer_id="c", kind="CARD_INQUIRY", parameters={"a": "b"}
    )
    assert wire.transaction_body(transaction) == {"type": "CARD_INQUIRY", "parameters": {"a": "b"}}


def test_the_wish_for_a_code_has_no_credential() -> None:
    wish = AuthenticationRequest(
        idempotency_key=KEY, method="one-time-code", credential=None, customer_number="200417"
    )
    assert wire.authentication_body(wish) == {
        "method": "one-time-code", "customerNumber": "200417",
    }  # fmt: skip
    sent = wire.read_authentication({"status": "pending", "expiresInSeconds": 300}, of_a_wish=True)
    assert sent == Authentication(AuthenticationStatus.PENDING, None, 300)
    expired = wire.read_authentication({"status": "expired"})
    assert expired.status is AuthenticationStatus.EXPIRED


@pytest.mark.parametrize(
    ("answer", "of_a_wish"),
    [
        ({"status": "verified", "customerId": "c"}, True),
        ({"status": "refused"}, True),
        ({"status": "expired"}, True),
        ({"status": "pending"}, False),
        ({"status": "not_sent"}, False),
        ({"status": "pending", "expiresInSeconds": 0}, True),
        ({"status": "pending", "expiresInSeconds": 86_401}, True),
        ({"status": "pending", "expiresInSeconds": "300"}, True),
        ({"status": "pending", "expiresInSeconds": True}, True),
    ],
)
def test_what_answers_another_question_is_no_answer(
    answer: dict[str, object], *, of_a_wish: bool
) -> None:
    with pytest.raises(BankProtocolError):
        wire.read_authentication(answer, of_a_wish=of_a_wish)


def test_no_secret_is_in_a_repr() -> None:
    request = AuthenticationRequest(
        idempotency_key=KEY, method="pin", credential="4271", customer_number="200417"
    )
    assert "4271" not in repr(request)
    assert "200417" not in repr(request)


def test_answers() -> None:
    assert wire.read_authentication({"status": "refused"}) == Authentication(
        AuthenticationStatus.REFUSED
    )
    assert wire.read_card_delivery({"status": None}) == CardDelivery(status=None)
    assert wire.read_card_delivery({"status": "lost", "carrier": "DHL"}) == CardDelivery(
        status=CardStatus.LOST, carrier="DHL"
    )
    assert wire.read_receipt({"transactionId": "t", "type": "X", "result": {"a": 1}}) == (
        TransactionReceipt(transaction_id="t", kind="X", result={"a": "1"})
    )


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (wire.read_authentication, {"status": "maybe"}),
        (wire.read_authentication, {"status": "verified"}),
        (wire.read_authentication, []),
        (wire.read_authentication, {}),
        (wire.read_card_delivery, {"status": "eaten"}),
        (wire.read_card_delivery, {"status": "lost", "carrier": 5}),
        (wire.read_receipt, {"transactionId": "t", "type": "X", "result": []}),
    ],
)
def test_what_is_no_answer(read: object, answer: object) -> None:
    assert callable(read)
    with pytest.raises(BankProtocolError):
        read(answer)


@pytest.mark.parametrize(
    ("status", "error", "retry"),
    [
        (401, AuthenticationError, False),
        (403, AuthenticationError, False),
        (404, IntentNotFoundError, False),
        (501, IntentNotFoundError, False),
        (400, RequestRefusedError, False),
        (302, RequestRefusedError, False),
        (429, BankUnavailableError, True),
        (503, BankUnavailableError, True),
    ],
)
def test_statuses(status: int, error: type[BankingError], retry: bool) -> None:
    found = wire.error_of(status)
    assert isinstance(found, error)
    assert found.retry is retry


def test_success_is_no_error() -> None:
    assert wire.error_of(201) is None
