"""Tries and lock-out, and which arguments a transaction takes."""

from dataclasses import replace
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
    may_have_code,
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
    ("past", "left", "under_way"),
    [
        ([], 3, 0),
        ([(FAILED, 60)], 2, 0),
        ([(FAILED, 60), (FAILED, 50), (FAILED, 40)], 0, 0),
        ([(FAILED, 60), (FAILED, 50), (VERIFIED, 40)], 3, 0),
        ([(FAILED, 60), (VERIFIED, 50), (FAILED, 40)], 2, 0),
        ([(FAILED, 901), (FAILED, 50)], 2, 0),
        ([(FAILED, 60), (FAILED, 50), (PENDING, 5)], 1, 1),
        ([(FAILED, 60), (FAILED, 50), (PENDING, 45)], 1, 0),
        ([(PENDING, 7), (PENDING, 6), (PENDING, 5)], 3, 3),
        ([(PENDING, 7), (VERIFIED, 6), (PENDING, 5)], 3, 1),
        ([(FAILED, 60), (FAILED, 50), (FAILED, 40), (PENDING, 5)], 0, 1),
    ],
)
def test_tries(past: list[tuple[ProofStatus, float]], left: int, under_way: int) -> None:
    tries = tries_of(tuple(attempt(*one) for one in past), NOON)
    assert (tries.left, tries.under_way) == (left, under_way)
    assert (tries.locked_until is None) == (left > 0)
    assert tries.has_room == (left > under_way)


def test_a_caller_whom_the_bank_does_not_know_has_tried_nothing() -> None:
    unknown = [attempt(FAILED, ago).answered(FAILED, {"status": "unknown_caller"})
               for ago in (60, 50, 40)]  # fmt: skip
    assert tries_of((*unknown, attempt(FAILED, 30)), NOON).left == 2


def wish(
    seconds_ago: float, status: str | None = "pending", session: int = 2
) -> BankingTransaction:
    asked = replace(
        attempt(PENDING, seconds_ago),
        session_id=UUID(int=session),
        query_parameters={"method": "one-time-code", "wish": True},
    )
    return asked if status is None else asked.answered(PENDING, {"status": status})


def test_a_wish_for_a_code_and_a_code_that_came_too_late_are_no_tries() -> None:
    late = attempt(FAILED, 20).answered(FAILED, {"status": "expired"})
    assert tries_of((wish(60), wish(5, None), late, attempt(FAILED, 10)), NOON).left == 2


@pytest.mark.parametrize(
    ("past", "may"),
    [
        ([], True),
        ([wish(60)], True),
        ([wish(60), wish(30)], False),  # the second of this session
        ([wish(60), wish(5, None)], False),  # its answer may come still
        ([wish(60), wish(30, "not_sent")], True),
        ([wish(60), wish(30, "unknown_caller")], True),
        ([wish(60), wish(50, session=3), wish(40, session=3)], True),
        ([wish(60 + one, session=3 + one) for one in range(4)], False),
        ([wish(901), wish(60)], True),
        ([attempt(FAILED, 60)] * 9, True),
    ],
)  # fmt: skip
def test_so_many_codes_are_sent(past: list[BankingTransaction], *, may: bool) -> None:
    assert may_have_code(tuple(past), UUID(int=2), NOON) is may


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
