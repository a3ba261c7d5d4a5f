"""The HTTP adapter against a bank that really listens, with its faults; and the demo bank."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest

from callfleet_agent.banking import (
    AuthenticationError,
    AuthenticationRequest,
    AuthenticationStatus,
    BankProtocolError,
    BankUnavailableError,
    CardDelivery,
    CardDeliveryRequest,
    CardStatus,
    HttpBank,
    HttpBankSettings,
    IntentNotFoundError,
    RequestRefusedError,
    Timing,
    TransactionRequest,
    demo_customers,
    serve_demo_bank,
)
from fakes.bank import FakeBank, Fault

CARD = CardDeliveryRequest(customer_id="c-1001")


class Now:
    """A clock and a sleep that take no time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def timing(self) -> Timing:
        return Timing(clock=lambda: self.now, sleep=self.sleep, random=lambda: 1.0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeBank]:
    async with FakeBank() as bank:
        yield bank


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def bank(fake: FakeBank, now: Now) -> AsyncIterator[HttpBank]:
    bank = HttpBank(HttpBankSettings(url=fake.url, timeout_s=60.0), now.timing)
    yield bank
    await bank.close()


def credential(
    text: str = "4271",
    *,
    key: UUID | None = None,
    customer_number: str | None = None,
    caller_id: str | None = None,
) -> AuthenticationRequest:
    return AuthenticationRequest(
        idempotency_key=key or uuid4(),
        method="card-last-four",
        credential=text,
        customer_number=customer_number or (None if caller_id else "200417"),
        caller_id=caller_id,
    )


CODE = "one-time-code"


def proven_by(
    method: str, text: str | None, customer_number: str = "200417"
) -> AuthenticationRequest:
    return AuthenticationRequest(
        idempotency_key=uuid4(), method=method, credential=text, customer_number=customer_number
    )


def code_proofs(number: str) -> list[AuthenticationRequest]:
    """A code is asked for and guessed at four times."""
    return [proven_by(CODE, one, number) for one in (None, "x", "x", "x", "x")]


class TestContract:
    async def test_the_right_credential_is_verified(self, bank: HttpBank) -> None:
        found = await bank.authenticate_customer(credential())
        assert (found.status, found.customer_id) == (AuthenticationStatus.VERIFIED, "c-1001")

    async def test_a_caller_id_identifies(self, bank: HttpBank) -> None:
        found = await bank.authenticate_customer(credential(caller_id="+15550123"))
        assert found.status is AuthenticationStatus.VERIFIED

    async def test_a_wrong_credential_and_an_unknown_number_look_the_same(
        self, bank: HttpBank
    ) -> None:
        wrong = await bank.authenticate_customer(credential("0000"))
        unknown = await bank.authenticate_customer(credential(customer_number="999999"))
        assert wrong.status is unknown.status is AuthenticationStatus.REFUSED

    async def test_an_unknown_caller_id_is_said_to_be_one(self, bank: HttpBank) -> None:
        found = await bank.authenticate_customer(credential(caller_id="+1999"))
        assert found.status is AuthenticationStatus.UNKNOWN_CALLER

    async def test_five_wrong_tries_lock(self, bank: HttpBank) -> None:
        for _ in range(5):
            await bank.authenticate_customer(credential("0000"))
        found = await bank.authenticate_customer(credential())
        assert found.status is AuthenticationStatus.LOCKED

    async def test_one_key_is_one_try(self, bank: HttpBank, fake: FakeBank) -> None:
        key = uuid4()
        for _ in range(3):
            await bank.authenticate_customer(credential("0000", key=key))
        assert fake.state.failures == {"c-1001": 1}

    async def test_a_date_of_birth_is_compared_with_the_customers(self, bank: HttpBank) -> None:
        right = await bank.authenticate_customer(proven_by("date-of-birth", "1984-03-12"))
        wrong = await bank.authenticate_customer(proven_by("date-of-birth", "1984-03-13"))
        assert (right.status, right.customer_id) == (AuthenticationStatus.VERIFIED, "c-1001")
        assert wrong.status is AuthenticationStatus.REFUSED

    @pytest.mark.parametrize("method", ["card-last-four", "pin", "date-of-birth"])
    async def test_no_method_is_proved_with_the_credential_of_another(
        self, bank: HttpBank, fake: FakeBank, method: str
    ) -> None:
        [customer, *_] = fake.state.customers
        given = replace(customer, last_four="1111", pin="2222", birth="1984-03-12")
        fake.state.customers[:] = [given]
        proofs = {"card-last-four": "1111", "pin": "2222", "date-of-birth": "1984-03-12"}
        for whose, credential_of in proofs.items():
            found = await bank.authenticate_customer(proven_by(method, credential_of))
            verified = found.status is AuthenticationStatus.VERIFIED
            assert verified is (whose == method)

    async def test_a_customer_without_a_date_of_birth_has_none_that_is_right(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        fake.state.customers[:] = [replace(fake.state.customers[0], birth="")]
        found = await bank.authenticate_customer(proven_by("date-of-birth", ""))
        assert found.status is AuthenticationStatus.REFUSED

    async def test_a_code_is_sent_and_good_once(self, bank: HttpBank, fake: FakeBank) -> None:
        sent = await bank.authenticate_customer(proven_by(CODE, None))
        assert (sent.status, sent.expires_in_s) == (AuthenticationStatus.PENDING, 300)
        [(phone, code)] = fake.state.outbox
        assert phone == "+15550123"
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        tried = [await bank.authenticate_customer(proven_by(CODE, one))
                 for one in (wrong, code, code)]  # fmt: skip
        assert [one.status for one in tried] == [
            AuthenticationStatus.REFUSED, AuthenticationStatus.VERIFIED,
            AuthenticationStatus.EXPIRED,
        ]  # fmt: skip

    async def test_one_key_sends_one_code_also_when_the_answer_was_lost(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        wish = proven_by(CODE, None)
        fake.fault = Fault.lost_answer(times=1)
        with pytest.raises(BankUnavailableError):
            await bank.authenticate_customer(wish)
        again = await bank.authenticate_customer(wish)
        assert (again.status, len(fake.state.outbox)) == (AuthenticationStatus.PENDING, 1)

    async def test_so_many_codes_are_sent_and_no_more(self, bank: HttpBank, fake: FakeBank) -> None:
        sent = [(await bank.authenticate_customer(proven_by(CODE, None))).status for _ in range(6)]
        assert sent == [AuthenticationStatus.PENDING] * 5 + [AuthenticationStatus.NOT_SENT]
        assert len(fake.state.outbox) == 5

    async def test_an_unknown_number_looks_like_a_known_one_and_gets_nothing(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        known = [(await bank.authenticate_customer(one)).status for one in code_proofs("318265")]
        unknown = [(await bank.authenticate_customer(one)).status for one in code_proofs("999999")]
        assert known == unknown
        assert AuthenticationStatus.EXPIRED in known
        assert [phone for phone, _ in fake.state.outbox] == ["+15550124"]

    async def test_an_unknown_caller_id_gets_no_code(self, bank: HttpBank, fake: FakeBank) -> None:
        wish = replace(proven_by(CODE, None), customer_number=None, caller_id="+1999")
        found = await bank.authenticate_customer(wish)
        assert found.status is AuthenticationStatus.UNKNOWN_CALLER
        assert not fake.state.outbox

    async def test_the_outbox_can_be_read_like_a_telephone(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        await bank.authenticate_customer(proven_by(CODE, None))
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{fake.url}/v1/outbox") as response,
        ):
            messages = (await response.json())["messages"]
        assert messages == [{"to": "+15550123", "code": fake.state.outbox[0][1]}]

    @pytest.mark.parametrize("status", CardStatus)
    async def test_each_state_of_a_card(
        self, bank: HttpBank, fake: FakeBank, status: CardStatus
    ) -> None:
        fake.set_status(status)
        card = fake.state.customers[0].card
        assert await bank.query_card_delivery(CARD) == CardDelivery(
            status=status, date=card.date, expected=card.expected, carrier=card.carrier,
            tracking_number=card.tracking_number,
        )  # fmt: skip

    async def test_a_card_that_is_named(self, bank: HttpBank) -> None:
        earlier, newest, none = [
            await bank.query_card_delivery(replace(CARD, card_id=card_id))
            for card_id in ("card-1", "card-2", "card-3")
        ]
        assert (earlier.status, earlier.date) == (CardStatus.DELIVERED, "2024-05-02")
        assert newest.status is CardStatus.SHIPPED
        assert none.status is None

    async def test_where_the_card_is(self, bank: HttpBank, fake: FakeBank) -> None:
        assert await bank.query_card_delivery(CARD) == CardDelivery(
            status=CardStatus.SHIPPED, date="2026-11-20", expected="2026-11-25",
            carrier="Royal Mail", tracking_number="12345",
        )  # fmt: skip
        fake.set_status("lost")
        assert (await bank.query_card_delivery(CARD)).status is CardStatus.LOST

    async def test_no_card_on_its_way(self, bank: HttpBank) -> None:
        found = await bank.query_card_delivery(CardDeliveryRequest(customer_id="c-1002"))
        assert found.status is None

    async def test_transactions(self, bank: HttpBank) -> None:
        key = uuid4()
        request = TransactionRequest(idempotency_key=key, customer_id="c-1001", kind="CARD_INQUIRY")
        first = await bank.process_transaction(request)
        assert await bank.process_transaction(request) == first
        other = TransactionRequest(idempotency_key=uuid4(), customer_id="c-1001", kind="THEFT")
        with pytest.raises(IntentNotFoundError):
            await bank.process_transaction(other)

    async def test_unknown_customers_are_refused(self, bank: HttpBank) -> None:
        with pytest.raises(RequestRefusedError):
            await bank.query_card_delivery(CardDeliveryRequest(customer_id="../c-1001"))
        request = TransactionRequest(idempotency_key=uuid4(), customer_id="x", kind="CARD_INQUIRY")
        with pytest.raises(RequestRefusedError):
            await bank.process_transaction(request)


class TestFaults:
    async def test_reads_are_tried_again_with_growing_pauses(
        self, bank: HttpBank, fake: FakeBank, now: Now
    ) -> None:
        fake.fault = Fault.status(503, times=3)
        assert (await bank.query_card_delivery(CARD)).status is CardStatus.SHIPPED
        assert now.slept == [0.1, 0.2, 0.4]

    async def test_three_retries_are_the_most(self, bank: HttpBank, fake: FakeBank) -> None:
        fake.fault = Fault.refuse()
        with pytest.raises(BankUnavailableError):
            await bank.query_card_delivery(CARD)
        assert len(fake.requests) == 4

    async def test_an_authentication_is_never_sent_twice(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        fake.fault = Fault.lost_answer(times=1)
        key = uuid4()
        with pytest.raises(BankUnavailableError):
            await bank.authenticate_customer(credential("0000", key=key))
        assert len(fake.requests) == 1
        again = await bank.authenticate_customer(credential("0000", key=key))
        assert again.status is AuthenticationStatus.REFUSED
        assert fake.state.failures == {"c-1001": 1}

    async def test_what_is_no_answer_is_not_asked_again(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        fake.fault = Fault.malformed()
        with pytest.raises(BankProtocolError):
            await bank.query_card_delivery(CARD)
        assert len(fake.requests) == 1

    async def test_a_slow_bank_is_given_up(self, fake: FakeBank) -> None:
        bank = HttpBank(HttpBankSettings(url=fake.url, timeout_s=0.05))
        fake.fault = Fault.delay(5)
        with pytest.raises(BankUnavailableError) as caught:
            await bank.query_card_delivery(CARD)
        assert (caught.value.code, caught.value.retry) == ("bank_slow", True)
        await bank.close()

    async def test_five_failures_open_the_circuit_and_a_trial_closes_it(
        self, bank: HttpBank, fake: FakeBank, now: Now
    ) -> None:
        fake.fault = Fault.status(500)
        for _ in range(5):
            with pytest.raises(BankUnavailableError):
                await bank.authenticate_customer(credential())
        fake.fault, fake.requests = None, []
        with pytest.raises(BankUnavailableError) as caught:
            await bank.query_card_delivery(CARD)
        assert (caught.value.code, fake.requests) == ("circuit_open", [])
        now.now += 30.0
        assert (await bank.query_card_delivery(CARD)).status is CardStatus.SHIPPED

    async def test_a_bank_that_rejects_us_is_no_outage(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        fake.fault = Fault.status(401)
        for _ in range(6):
            with pytest.raises(AuthenticationError):
                await bank.query_card_delivery(CARD)

    async def test_a_cancelled_question_counts_for_nothing(
        self, bank: HttpBank, fake: FakeBank
    ) -> None:
        fake.fault = Fault.delay(5)
        for _ in range(6):
            task = asyncio.create_task(bank.query_card_delivery(CARD))
            while len(fake.requests) == 0:  # noqa: ASYNC110 - the request is on its way
                await asyncio.sleep(0)
            fake.requests.clear()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        fake.fault = None
        assert (await bank.query_card_delivery(CARD)).status is CardStatus.SHIPPED

    async def test_nobody_listens(self) -> None:
        settings = HttpBankSettings(url="http://127.0.0.1:1", retries=0, timeout_s=60.0)
        bank = HttpBank(settings)
        with pytest.raises(BankUnavailableError) as caught:
            await bank.query_card_delivery(CARD)
        assert "c-1001" not in str(caught.value)
        await bank.close()


class TestCredentialsOfOurs:
    async def test_the_token_is_read_for_each_request(self, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("old\n")
        async with FakeBank(token="new") as fake:
            bank = HttpBank(HttpBankSettings(url=fake.url, token_file=token, timeout_s=60.0))
            with pytest.raises(AuthenticationError):
                await bank.query_card_delivery(CARD)
            token.write_text("new\n")
            assert (await bank.query_card_delivery(CARD)).status is CardStatus.SHIPPED
            await bank.close()

    async def test_unreadable_files_are_our_fault(self, fake: FakeBank, tmp_path: Path) -> None:
        for settings in (
            HttpBankSettings(url=fake.url, token_file=tmp_path / "none"),
            HttpBankSettings(url=fake.url, ca_file=tmp_path / "none"),
        ):
            bank = HttpBank(settings)
            with pytest.raises(RequestRefusedError):
                await bank.query_card_delivery(CARD)
            await bank.close()


class TestDemoBank:
    async def test_it_listens_until_cancelled(self) -> None:
        addresses: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            serve_demo_bank(
                "127.0.0.1", 0, demo_customers("blocked"),
                started=lambda found: addresses.set_result(found[0][:2]),
            )
        )  # fmt: skip
        host, port = await addresses
        bank = HttpBank(HttpBankSettings(url=f"http://{host}:{port}", timeout_s=60.0))
        assert (await bank.query_card_delivery(CARD)).status is CardStatus.BLOCKED
        await bank.close()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{host}:{port}/healthz") as response,
        ):
            assert response.status == 200
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @pytest.mark.parametrize(
        ("key", "body"),
        [
            (None, "{}"), ("k" * 65, "{}"), ("k", "["), ("k", "[]"),
            ("k", '{"method": "palm", "credential": "1", "customerNumber": "200417"}'),
            ("k", '{"method": "pin", "customerNumber": "200417"}'),
            ("k", '{"method": "one-time-code", "credential": 5, "customerNumber": "200417"}'),
        ],
    )  # fmt: skip
    async def test_bad_requests(self, fake: FakeBank, key: str | None, body: str) -> None:
        headers = {"Idempotency-Key": key} if key else {}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{fake.url}/v1/authentications", data=body, headers=headers) as response,
        ):
            assert response.status == 400

    def test_there_is_no_such_status(self) -> None:
        with pytest.raises(ValueError, match="eaten"):
            demo_customers("eaten")
