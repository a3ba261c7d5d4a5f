"""A worker asks the bank through its connector."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from callfleet_agent.banking import (
    Authentication,
    AuthenticationError,
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    CardDelivery,
    CardDeliveryRequest,
    CardStatus,
    IntentNotFoundError,
    Outcome,
    RequestRefusedError,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.errors import AuditUnavailableError, LockedOutError, NotVerifiedError
from callfleet_agent.transport.bank_socket import MAX_LINE, BankSocket, SocketBank

CALL = UUID(int=7)
PROOF = AuthenticationRequest(
    idempotency_key=UUID(int=1),
    method="card-last-four",
    credential="4271",
    customer_number="200417",
    session_id=CALL,
)
CARD = CardDeliveryRequest(customer_id="c-1", session_id=CALL)
TRANSACTION = TransactionRequest(
    idempotency_key=UUID(int=2),
    customer_id="c-1",
    kind="CARD_INQUIRY",
    parameters={"product": "credit"},
    session_id=CALL,
)


class FakeBank:
    """Answers what it is told to, or raises it."""

    def __init__(self, says: Any) -> None:
        self.says = says
        self.asked: list[Any] = []
        self.was_asked = asyncio.Event()
        self.waits: asyncio.Event | None = None

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        said: Authentication = await self._said(request)
        return said

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        said: CardDelivery = await self._said(request)
        return said

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        said: TransactionReceipt = await self._said(request)
        return said

    async def close(self) -> None:
        pass

    async def _said(self, request: Any) -> Any:
        self.asked.append(request)
        self.was_asked.set()
        if self.waits is not None:
            await self.waits.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@asynccontextmanager
async def served(folder: Path, bank: Bank) -> AsyncIterator[SocketBank]:
    """A worker's bank, behind a socket that knows one session."""

    @contextmanager
    def bank_of(session: UUID) -> Iterator[Bank]:
        if session != CALL:
            raise LookupError("no such session")
        yield bank

    path = folder / "bank.sock"
    server = BankSocket(path, bank_of)
    await server.start()
    try:
        yield SocketBank(path, limit_s=60)
    finally:
        await server.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("operation", "request_", "answer"),
    [
        ("authenticate_customer", PROOF, Authentication(AuthenticationStatus.VERIFIED, "c-1")),
        (
            "authenticate_customer",
            replace(PROOF, customer_number=None, caller_id="+15550123987"),
            Authentication(AuthenticationStatus.UNKNOWN_CALLER),
        ),
        (
            "query_card_delivery",
            CARD,
            CardDelivery(status=CardStatus.SHIPPED, date="2026-11-20", tracking_number="1Z"),
        ),
        ("query_card_delivery", CARD, CardDelivery(status=None)),
        (
            "process_transaction",
            TRANSACTION,
            TransactionReceipt(
                transaction_id="t", kind="CARD_INQUIRY", outcome=Outcome.DECLINED, reason="no"
            ),
        ),
    ],
)
async def test_every_operation_and_its_answer_come_through_as_they_are(
    tmp_path: Path, operation: str, request_: Any, answer: Any
) -> None:
    bank = FakeBank(answer)
    async with served(tmp_path, bank) as asked:
        assert await getattr(asked, operation)(request_) == answer
        await asked.close()
    assert bank.asked == [request_]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BankUnavailableError("bank_slow", "too slow"), BankUnavailableError),
        (AuditUnavailableError(), BankUnavailableError),
        (BankProtocolError("bad", "no answer"), BankProtocolError),
        (AuthenticationError("token", "refused"), AuthenticationError),
        (IntentNotFoundError("unknown", "unknown"), IntentNotFoundError),
        (RequestRefusedError("bad", "refused"), RequestRefusedError),
        (NotVerifiedError(), NotVerifiedError),
        (BankingError("other", "other", retry=True), BankingError),
    ],
)
async def test_the_banks_errors_come_through_with_their_code(
    tmp_path: Path, error: BankingError, kind: type[BankingError]
) -> None:
    async with served(tmp_path, FakeBank(error)) as asked:
        with pytest.raises(BankingError) as caught:
            await asked.query_card_delivery(CARD)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.retry) == (error.code, error.retry)


async def test_an_error_with_a_time_is_told_without_it(tmp_path: Path) -> None:
    async with served(tmp_path, FakeBank(LockedOutError(datetime.now(UTC)))) as asked:
        with pytest.raises(BankingError) as caught:
            await asked.authenticate_customer(PROOF)
    assert caught.value.code == "locked_out"


async def test_another_session_is_not_asked_about(tmp_path: Path) -> None:
    bank = FakeBank(CardDelivery(status=None))
    async with served(tmp_path, bank) as asked:
        for session in (uuid4(), None):
            with pytest.raises(RequestRefusedError):
                await asked.query_card_delivery(replace(CARD, session_id=session))
    assert bank.asked == []


async def test_what_goes_wrong_within_is_told_without_what_was_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(tmp_path, FakeBank(RuntimeError("4271"))) as asked:
        with pytest.raises(BankUnavailableError) as caught:
            await asked.authenticate_customer(PROOF)
    assert "4271" not in caplog.text + str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[]\n",
        b"{}\n",
        b'{"operation": "close", "request": {}}\n',
        b'{"operation": "query_card_delivery", "request": {"customer_id": 7}}\n',
        b'{"operation": "query_card_delivery"}\n',
        b"\xff\xfe\n",
        b"half a line",
    ],
)
async def test_what_is_no_request_is_refused_and_nobody_is_asked(
    tmp_path: Path, line: bytes
) -> None:
    bank = FakeBank(CardDelivery(status=None))
    async with served(tmp_path, bank):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "bank.sock")
        writer.write(line)
        writer.write_eof()
        assert b"not_asked_so" in await reader.read()
        writer.close()
    assert bank.asked == []


async def test_a_line_without_end_ends_the_connection(tmp_path: Path) -> None:
    async with served(tmp_path, FakeBank(None)):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "bank.sock")
        writer.write(b"x" * (2 * MAX_LINE))
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()


async def test_an_operation_is_brought_to_its_end_although_the_worker_is_gone(
    tmp_path: Path,
) -> None:
    bank = FakeBank(CardDelivery(status=None))
    bank.waits = asyncio.Event()
    ended: list[str] = []

    @contextmanager
    def bank_of(_: UUID) -> Iterator[Bank]:
        yield bank
        ended.append("written down")

    server = BankSocket(tmp_path / "bank.sock", bank_of)
    await server.start()
    asking = asyncio.create_task(SocketBank(tmp_path / "bank.sock").query_card_delivery(CARD))
    await bank.was_asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    bank.waits.set()
    await server.close()
    assert ended == ["written down"]


async def test_a_connector_that_is_gone_or_silent_is_a_bank_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(BankUnavailableError):
        await SocketBank(tmp_path / "nobody.sock").query_card_delivery(CARD)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"{\n")
        writer.close()

    for handler, error, limit_s in (
        (silent, BankUnavailableError, 0.2),
        (breaks_off, BankUnavailableError, 60),
        (babbles, BankProtocolError, 60),
    ):
        path = tmp_path / f"{handler.__name__}.sock"
        async with await asyncio.start_unix_server(handler, path):
            with pytest.raises(error):
                await SocketBank(path, limit_s=limit_s).query_card_delivery(CARD)
