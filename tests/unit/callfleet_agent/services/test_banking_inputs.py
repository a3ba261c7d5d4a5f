"""Which proofs the edge of BankingService lets in."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from callfleet.v1 import banking_pb2 as pb
from callfleet_agent.services.errors import InvalidRequestError
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.banking import Proof

READ = reader_of(Proof)
CARD, BIRTH = pb.AUTHENTICATION_METHOD_CARD_LAST_DIGITS, pb.AUTHENTICATION_METHOD_DATE_OF_BIRTH
CODE, PIN = pb.AUTHENTICATION_METHOD_ONE_TIME_CODE, pb.AUTHENTICATION_METHOD_PIN


def request(method: Any, credential: str) -> pb.AuthenticationRequest:
    return pb.AuthenticationRequest(
        session_id=str(uuid4()), customer_id="200417", method=method, credential=credential,
        request_id=str(uuid4()),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "credential", "proof"),
    [
        (CARD, "4271", "4271"),
        (PIN, "123456789012", "123456789012"),
        (CODE, "918273", "918273"),
        (CODE, "", None),
        (BIRTH, "1980-02-29", "1980-02-29"),
        (BIRTH, "19800229", "1980-02-29"),
        (BIRTH, "1900-01-01", "1900-01-01"),
    ],
)
def test_proofs(method: Any, credential: str, proof: str | None) -> None:
    found: Any = READ(request(method, credential))
    assert found.proof == proof
    assert credential not in repr(found) or not credential


def test_who_is_born_today_is_known_and_nobody_is_born_tomorrow() -> None:
    today = datetime.now(UTC).date()
    found: Any = READ(request(BIRTH, today.isoformat()))
    assert found.proof == today.isoformat()
    with pytest.raises(InvalidRequestError) as caught:
        READ(request(BIRTH, (today + timedelta(days=1)).isoformat()))
    assert [one.description for one in caught.value.violations] == ["is in the future"]


@pytest.mark.parametrize(
    ("method", "credential", "reason"),
    [
        (CARD, "", "has not the length that the method asks for"),
        (CARD, "42711", "has not the length that the method asks for"),
        (CARD, "1980-02-29", "has not the length that the method asks for"),
        (PIN, "123", "has not the length that the method asks for"),
        (CODE, "123", "has not the length that the method asks for"),
        (CODE, "12345678901", "has not the length that the method asks for"),
        (BIRTH, "", "must be a day, as YYYY-MM-DD or YYYYMMDD"),
        (BIRTH, "1981-02-29", "must be a day, as YYYY-MM-DD or YYYYMMDD"),
        (BIRTH, "29021980", "must be a day, as YYYY-MM-DD or YYYYMMDD"),
        (BIRTH, "1980", "must be a day, as YYYY-MM-DD or YYYYMMDD"),
        (BIRTH, "18991231", "is too far in the past"),
        (BIRTH, "29.02.1980", "must be at most 64 digits, or a day as YYYY-MM-DD"),
        (CODE, "nine one", "must be at most 64 digits, or a day as YYYY-MM-DD"),
        (CODE, "٩١٨٢٧٣", "must be at most 64 digits, or a day as YYYY-MM-DD"),
        (CODE, "9" * 65, "must be at most 64 digits, or a day as YYYY-MM-DD"),
    ],
)
def test_what_is_none(method: Any, credential: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        READ(request(method, credential))
    assert [(one.field, one.description) for one in caught.value.violations] == [
        ("credential", reason)
    ]
