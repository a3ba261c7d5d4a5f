"""Tries and lock-out, and which arguments a transaction takes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from callfleet_agent.banking.errors import ParametersError
from callfleet_agent.banking.parameters import checked
from callfleet_agent.banking.record import (
    LOCKED_FOR,
    BankingTransaction,
    ProofStatus,
    TransactionKind,
    tries_of,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
PENDING, VERIFIED, FAILED = ProofStatus.PENDING, ProofStatus.VERIFIED, ProofStatus.FAILED


def attempt(proof: ProofStatus, seconds_ago: float) -> BankingTransaction:
    return BankingTransaction(
        transaction_id=UUID(int=1),
        session_id=UUID(int=2),
        customer_id="200417",
        kind=TransactionKind.AUTHENTICATION,
        proof=proof,
        created_at=NOON - timedelta(seconds=seconds_ago),
    )


@pytest.mark.parametrize(
    ("past", "left"),
    [
        ([], 3),
        ([(FAILED, 60)], 2),
        ([(FAILED, 60), (FAILED, 50), (FAILED, 40)], 0),
        ([(FAILED, 60), (FAILED, 50), (VERIFIED, 40)], 3),
        ([(FAILED, 60), (VERIFIED, 50), (FAILED, 40)], 2),
        ([(FAILED, 901), (FAILED, 50)], 2),
        ([(FAILED, 60), (FAILED, 50), (PENDING, 5)], 0),
        ([(FAILED, 60), (FAILED, 50), (PENDING, 45)], 1),
    ],
)
def test_tries(past: list[tuple[ProofStatus, float]], left: int) -> None:
    tries = tries_of(tuple(attempt(*one) for one in past), NOON)
    assert tries.left == left
    assert (tries.locked_until is None) == (left > 0)


def test_the_lock_out_ends_a_quarter_of_an_hour_after_the_last_try() -> None:
    tries = tries_of(tuple(attempt(FAILED, ago) for ago in (60, 50, 40)), NOON)
    assert tries.locked_until == NOON - timedelta(seconds=40) + LOCKED_FOR


def test_known_arguments_pass_and_nothing_else_does() -> None:
    kind = TransactionKind.CARD_BLOCK
    assert checked(kind, {"cardId": "c1", "reason": "lost"}) == {"cardId": "c1", "reason": "lost"}
    for given, field in (
        ({"accountId": "a"}, "query_parameters.*"),
        ({"reason": "bored"}, "query_parameters.reason"),
        ({"cardId": 7}, "query_parameters.cardId"),
        ({"cardId": "c1; DROP"}, "query_parameters.cardId"),
    ):
        with pytest.raises(ParametersError) as caught:
            checked(kind, given)
        assert caught.value.field == field
