"""Each way of proving who calls, through BankingService, PostgreSQL and a bank that listens."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from sqlalchemy import text

from callfleet.v1 import banking_pb2 as pb
from callfleet_agent.banking import AuthenticationRequest, AuthenticationStatus, CardStatus
from callfleet_agent.services.bank_client import ServiceBank
from fakes.bank import Fault
from identities import AGENT, OnChannel
from platform_rig import Rig, proof, rigged
from stores import Server, database, migrated

CARD, BIRTH = pb.AUTHENTICATION_METHOD_CARD_LAST_DIGITS, pb.AUTHENTICATION_METHOD_DATE_OF_BIRTH
CODE, PIN = pb.AUTHENTICATION_METHOD_ONE_TIME_CODE, pb.AUTHENTICATION_METHOD_PIN
PENDING, VERIFIED = pb.AUTHENTICATION_STATUS_PENDING, pb.AUTHENTICATION_STATUS_VERIFIED
FAILED, EXPIRED = pb.AUTHENTICATION_STATUS_FAILED, pb.AUTHENTICATION_STATUS_EXPIRED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
async def rig(tmp_path: Path, postgres: Server, redis_server: Server) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    async with rigged(tmp_path, postgres.url, redis_server.url, burst=500.0) as rig:
        yield rig


async def tried(rig: Rig, session: str, credential: str, method: Any, **more: Any) -> Any:
    request = proof(session, credential, method=method, **more)
    return await rig.ask(rig.banking.AuthenticateCustomer, request)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def code_of(rig: Rig, session: str) -> str:
    """A code that was asked for and has come."""
    sent = await tried(rig, session, "", CODE)
    assert sent.status == PENDING
    return rig.bank.state.outbox[-1][1]


async def kept(rig: Rig) -> list[tuple[Any, ...]]:
    async with database(rig.platform.settings.database_url) as connected:
        async with connected.transaction() as connection:
            rows = await connection.execute(
                text(
                    "SELECT transaction_type, authentication_status, response_data IS NOT NULL"
                    " FROM banking_transactions ORDER BY created_at"
                )
            )
        return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("method", "right", "other"),
    [
        (CARD, "4271", "4272"),
        (PIN, "4271", "4272"),
        (BIRTH, "1984-03-12", "1984-12-03"),
        (BIRTH, "19840312", "19840313"),
    ],
)
async def test_each_method_is_judged_by_the_bank(
    rig: Rig, method: Any, right: str, other: str
) -> None:
    session = await rig.session()
    refused = await tried(rig, session, other, method)
    verified = await tried(rig, session, right, method)
    assert (refused.status, refused.attempts_left) == (FAILED, 2)
    assert (verified.status, verified.attempts_left) == (VERIFIED, 3)


async def test_both_forms_of_a_date_are_the_same_proof(rig: Rig) -> None:
    session, request_id = await rig.session(), str(uuid4())
    first = await tried(rig, session, "1984-03-13", BIRTH, request_id=request_id)
    again = await tried(rig, session, "19840313", BIRTH, request_id=request_id)
    assert (first.attempts_left, again.attempts_left) == (2, 2)
    assert rig.bank.state.authentications == 1


@pytest.mark.parametrize("credential", ["1981-02-29", "2999-01-01", "18000101", "4271", ""])
async def test_what_is_no_day_of_birth_never_gets_to_the_bank(rig: Rig, credential: str) -> None:
    session = await rig.session()
    refused = await rig.refused(
        rig.banking.AuthenticateCustomer, proof(session, credential, method=BIRTH)
    )
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.fields) == ["credential"]
    assert (rig.bank.state.authentications, await kept(rig)) == (0, [])


class TestOneTimeCode:
    async def test_it_is_sent_and_proves_once(self, rig: Rig) -> None:
        session = await rig.session()
        sent = await tried(rig, session, "", CODE)
        assert (sent.status, sent.attempts_left) == (PENDING, 3)
        assert sent.expires_at.seconds > 0
        [(phone, code)] = rig.bank.state.outbox
        assert phone == rig.bank.state.customers[0].phone
        assert (await tried(rig, session, code, CODE)).status == VERIFIED
        assert (await tried(rig, session, code, CODE)).status == EXPIRED
        assert await kept(rig) == [
            ("AUTHENTICATION", "PENDING", True), ("AUTHENTICATION", "VERIFIED", True),
            ("AUTHENTICATION", "FAILED", True),
        ]  # fmt: skip

    async def test_a_request_id_sends_one_code(self, rig: Rig) -> None:
        session, request_id = await rig.session(), str(uuid4())
        rig.bank.fault = Fault.lost_answer(times=1)
        lost = await rig.refused(
            rig.banking.AuthenticateCustomer,
            proof(session, "", method=CODE, request_id=request_id),
        )
        first, again = [
            await tried(rig, session, "", CODE, request_id=request_id) for _ in range(2)
        ]
        assert lost.code is grpc.StatusCode.UNAVAILABLE
        assert first.status == again.status == PENDING
        assert first.expires_at == again.expires_at
        assert len(rig.bank.state.outbox) == 1

    async def test_a_request_id_of_a_wish_is_none_of_a_proof(self, rig: Rig) -> None:
        session, request_id = await rig.session(), str(uuid4())
        await tried(rig, session, "", CODE, request_id=request_id)
        reused = await rig.refused(
            rig.banking.AuthenticateCustomer,
            proof(session, "123456", method=CODE, request_id=request_id),
        )
        assert reused.detail.code == "TRANSACTION_REUSED"

    async def test_it_is_sent_twice_in_a_session_and_four_times_in_all(self, rig: Rig) -> None:
        sessions = [await rig.session() for _ in range(3)]
        for session in sessions[:2]:
            for _ in range(2):
                await code_of(rig, session)
            third = await rig.refused(
                rig.banking.AuthenticateCustomer, proof(session, "", method=CODE)
            )
            assert (third.code, third.detail.code) == (EXHAUSTED, "TOO_MANY_CODES")
        fifth = await rig.refused(
            rig.banking.AuthenticateCustomer, proof(sessions[2], "", method=CODE)
        )
        assert fifth.detail.code == "TOO_MANY_CODES"
        assert len(rig.bank.state.outbox) == 4
        code = rig.bank.state.outbox[-1][1]
        assert (await tried(rig, sessions[1], code, CODE)).status == VERIFIED

    async def test_three_wrong_ones_lock_the_customer_and_no_code_is_sent_then(
        self, rig: Rig
    ) -> None:
        session, other = await rig.session(), await rig.session()
        code = await code_of(rig, session)
        left = [(await tried(rig, session, wrong(code), CODE)).attempts_left for _ in range(3)]
        assert left == [2, 1, 0]
        for credential in ("", code):
            refused = await rig.refused(
                rig.banking.AuthenticateCustomer, proof(other, credential, method=CODE)
            )
            assert (refused.code, refused.detail.code) == (EXHAUSTED, "LOCKED_OUT")
        assert len(rig.bank.state.outbox) == 1

    async def test_one_that_comes_too_late_costs_no_try(self, rig: Rig) -> None:
        session = await rig.session()
        code = await code_of(rig, session)
        rig.bank.state.codes.clock = lambda: 1e12
        late = await tried(rig, session, code, CODE)
        assert (late.status, late.attempts_left) == (EXPIRED, 3)

    async def test_who_asks_for_a_code_has_to_prove_anew(self, rig: Rig) -> None:
        session = await rig.verified()
        question = pb.CardDeliveryRequest(session_id=session, customer_id="200417")
        await rig.ask(rig.banking.QueryCardDelivery, question)
        code = await code_of(rig, session)
        refused = await rig.refused(rig.banking.QueryCardDelivery, question)
        assert refused.detail.code == "NOT_VERIFIED"
        await tried(rig, session, code, CODE)
        found = await rig.ask(rig.banking.QueryCardDelivery, question)
        assert found.status == pb.CARD_DELIVERY_STATUS_SHIPPED

    async def test_a_bank_that_sends_no_more_says_so_also_when_asked_again(self, rig: Rig) -> None:
        for _ in range(5):
            rig.bank.state.codes.make("c-1001")
        session, request_id = await rig.session(), str(uuid4())
        for _ in range(2):
            refused = await rig.refused(
                rig.banking.AuthenticateCustomer,
                proof(session, "", method=CODE, request_id=request_id),
            )
            assert refused.detail.code == "TOO_MANY_CODES"
        assert len([one for one in rig.bank.requests if "authentications" in one]) == 1

    async def test_a_caller_id_stands_in_for_a_number(self, rig: Rig) -> None:
        session, known = await rig.session(), rig.bank.state.customers[0].phone
        whose = {"customer_id": "", "caller_id": known}
        assert (await tried(rig, session, "", CODE, **whose)).status == PENDING
        code = rig.bank.state.outbox[-1][1]
        assert (await tried(rig, session, code, CODE, **whose)).status == VERIFIED
        nobody = await tried(rig, session, "", CODE, customer_id="", caller_id="+15550199")
        assert nobody.status == pb.AUTHENTICATION_STATUS_UNKNOWN_CALLER

    async def test_a_worker_asks_in_the_same_way(self, rig: Rig) -> None:
        session = UUID(await rig.session())
        bank = ServiceBank(OnChannel(rig.channel, lambda: rig.tokens.metadata(AGENT)[0][1][7:]))

        async def asked(credential: str | None) -> AuthenticationStatus:
            request = AuthenticationRequest(
                idempotency_key=uuid4(), method="one-time-code", credential=credential,
                customer_number="200417", session_id=session,
            )  # fmt: skip
            return (await bank.authenticate_customer(request)).status

        assert await asked(None) is AuthenticationStatus.PENDING
        code = rig.bank.state.outbox[-1][1]
        assert await asked(wrong(code)) is AuthenticationStatus.REFUSED
        assert await asked(code) is AuthenticationStatus.VERIFIED
        assert await asked(code) is AuthenticationStatus.EXPIRED
        assert await asked(None) is AuthenticationStatus.PENDING
        assert await asked(None) is AuthenticationStatus.NOT_SENT


@pytest.mark.parametrize("status", CardStatus)
async def test_where_a_card_is_in_each_state(rig: Rig, status: CardStatus) -> None:
    rig.bank.set_status(status)
    card = rig.bank.state.customers[0].card
    session = await rig.verified()
    found = await rig.ask(
        rig.banking.QueryCardDelivery,
        pb.CardDeliveryRequest(session_id=session, customer_id="200417"),
    )

    def day(field: str) -> str | None:
        given = found.HasField(field)
        return getattr(found, field).ToDatetime().date().isoformat() if given else None

    assert pb.CardDeliveryStatus.Name(found.status) == f"CARD_DELIVERY_STATUS_{status.name}"
    assert (day("status_at"), day("expected_at")) == (card.date, card.expected)
    assert day("shipped_at") == (card.date if status is CardStatus.SHIPPED else None)
    assert day("delivered_at") == (card.date if status is CardStatus.DELIVERED else None)
    assert found.carrier == (card.carrier or "")
    assert found.tracking_number == (card.tracking_number or "")


async def test_a_card_that_is_named_is_asked_of_the_bank(rig: Rig) -> None:
    session = await rig.verified()

    async def asked(card_id: str, request_id: str = "") -> Any:
        question = pb.CardDeliveryRequest(
            session_id=session, customer_id="200417", card_id=card_id, request_id=request_id
        )
        return await rig.ask(rig.banking.QueryCardDelivery, question)

    request_id = str(uuid4())
    earlier = await asked("card-1", request_id)
    assert earlier.status == pb.CARD_DELIVERY_STATUS_DELIVERED
    assert (await asked("")).status == pb.CARD_DELIVERY_STATUS_SHIPPED
    assert (await asked("card-9")).status == pb.CARD_DELIVERY_STATUS_UNSPECIFIED
    other = pb.CardDeliveryRequest(
        session_id=session, customer_id="200417", card_id="card-2", request_id=request_id
    )
    reused = await rig.refused(rig.banking.QueryCardDelivery, other)
    assert reused.detail.code == "TRANSACTION_REUSED"
