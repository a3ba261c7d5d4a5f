"""The banking port between a worker and its connector: a Unix socket, one connection for each
operation.

So a worker needs no bank's credentials and no store: who asks, what may be asked and what is
written down of it is the connector's. One line of JSON goes each way. An operation that has begun
is brought to its end although the worker has died: what came of it is written down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from callfleet_agent.banking import (
    Authentication,
    AuthenticationError,
    AuthenticationRequest,
    Bank,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    CardDelivery,
    CardDeliveryRequest,
    IntentNotFoundError,
    RequestRefusedError,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.errors import NotVerifiedError
from callfleet_agent.time_limit import at_most

MAX_LINE: Final = 64 * 1024
_log = logging.getLogger(__name__)

BankOf = Callable[[UUID], AbstractContextManager[Bank]]
"""The bank for a session, within a block. Raises LookupError for a session that is not held."""

_OPERATIONS: Final[dict[str, tuple[TypeAdapter[Any], TypeAdapter[Any]]]] = {
    "authenticate_customer": (TypeAdapter(AuthenticationRequest), TypeAdapter(Authentication)),
    "query_card_delivery": (TypeAdapter(CardDeliveryRequest), TypeAdapter(CardDelivery)),
    "process_transaction": (TypeAdapter(TransactionRequest), TypeAdapter(TransactionReceipt)),
}
_ASKED: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(dict[str, Any])
_KINDS: Final = {
    kind.__name__: kind
    for kind in (
        AuthenticationError, BankProtocolError, BankUnavailableError, IntentNotFoundError,
        RequestRefusedError,
    )
}  # fmt: skip


class BankSocket:
    """Answers for a connector, on the socket at `path`."""

    def __init__(self, path: Path, bank_of: BankOf) -> None:
        self._path = path
        self._bank_of = bank_of
        self._server: asyncio.Server | None = None
        self._asking: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._answer, self._path, limit=MAX_LINE)

    async def close(self) -> None:
        """Answer no more; what has begun is brought to its end."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._asking, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        try:
            line = await reader.readline()
            if line:
                writer.write(_ASKED.dump_json(await self._said(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            _log.debug("a worker is gone before it had the bank's answer")
        finally:
            writer.close()

    async def _said(self, line: bytes) -> dict[str, Any]:
        try:
            asked = _ASKED.validate_json(line)
            name = str(asked.get("operation"))
            of, gives = _OPERATIONS[name]
            request = of.validate_python(asked.get("request"))
            with self._bank_of(UUID(str(request.session_id))) as bank:
                answer = await getattr(bank, name)(request)
            return {"answer": gives.dump_python(answer, mode="json")}
        except BankingError as error:
            return _told(error)
        except (ValidationError, KeyError, LookupError, ValueError):
            return _told(RequestRefusedError("not_asked_so", "the request is none"))
        except Exception as error:
            # The error's text may hold what was asked: its type is enough.
            _log.error("the bank could not be asked", extra={"error": type(error).__name__})
            return _told(BankUnavailableError("failed", "the bank could not be asked"))


class SocketBank:
    """A Bank for a worker, behind its connector's socket."""

    def __init__(self, path: Path, limit_s: float = 10.0) -> None:
        self._path = path
        self._limit_s = limit_s

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """See Bank."""
        answer: Authentication = await self._ask("authenticate_customer", request)
        return answer

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """See Bank."""
        answer: CardDelivery = await self._ask("query_card_delivery", request)
        return answer

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """See Bank."""
        answer: TransactionReceipt = await self._ask("process_transaction", request)
        return answer

    async def close(self) -> None:
        """Nothing is held open."""

    async def _ask(self, operation: str, request: Any) -> Any:
        of, gives = _OPERATIONS[operation]
        asked = {"operation": operation, "request": of.dump_python(request, mode="json")}
        try:
            async with at_most(self._limit_s):
                said = _ASKED.validate_json(await self._exchanged(_ASKED.dump_json(asked)))
            if "error" in said:
                raise _error(said["error"])
            return gives.validate_python(said.get("answer"))
        except (OSError, TimeoutError):
            raise BankUnavailableError("connector_away", "the connector does not answer") from None
        except ValueError:
            raise BankProtocolError("bad_answer", "the connector's answer is none") from None

    async def _exchanged(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE)
        try:
            writer.write(line + b"\n")
            await writer.drain()
            return await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        finally:
            writer.close()


def _told(error: BankingError) -> dict[str, Any]:
    kind = next((name for name, one in _KINDS.items() if isinstance(error, one)), "")
    if isinstance(error, NotVerifiedError):
        kind = NotVerifiedError.__name__
    return {
        "error": {"kind": kind, "code": error.code, "message": str(error), "retry": error.retry}
    }


def _error(told: Any) -> BankingError:
    fields: dict[str, Any] = told if isinstance(told, dict) else {}
    code, message = str(fields.get("code", "")), str(fields.get("message", ""))
    if fields.get("kind") == NotVerifiedError.__name__:
        return NotVerifiedError()
    kind = _KINDS.get(str(fields.get("kind")))
    if kind is not None:
        return kind(code, message)
    return BankingError(code, message, retry=fields.get("retry") is True)
