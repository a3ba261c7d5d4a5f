"""The platform's services with everything around them: stores, a bank, certificates, tokens."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet.v1 import banking_pb2_grpc, common_pb2, context_pb2_grpc, session_pb2_grpc
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.patience import Patience
from callfleet_agent.app.platform import Platform
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.chain import Limits
from callfleet_agent.storage.sealing import make_keys
from fakes.bank import FakeBank
from identities import AGENT, ISSUER, SERVICE, Authority, Tokens, channel

PHONE = "+15550123987"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
PATIENT = Patience(
    redis_s=30.0, connect_s=60.0, statement_s=60.0, turn_s=60.0, bank_s=60.0,
    model=Limits(connect_s=60.0, first_s=60.0, gap_s=60.0, total_s=120.0),
    decoder_s=60.0, recording_s=60.0,
)  # fmt: skip
"""What a busy machine makes slow is not away, in tests that are not about these limits."""


def stub(kind: Any, on: grpc.aio.Channel) -> Any:
    return kind(on)


def session_manager(on: grpc.aio.Channel) -> Any:
    return stub(session_pb2_grpc.SessionManagerServiceStub, on)


@dataclass
class Rig:
    """The services, who may issue certificates and tokens, and the bank behind."""

    platform: Platform
    authority: Authority
    tokens: Tokens
    bank: FakeBank
    folder: Path

    def __post_init__(self) -> None:
        self.agent = self.authority.issue(self.folder / "agent", AGENT)
        self.channel = self.as_agent = channel(self.platform.port, self.agent)
        self.sessions = session_manager(self.channel)
        self.contexts = stub(context_pb2_grpc.ContextStoreServiceStub, self.channel)
        self.banking = stub(banking_pb2_grpc.BankingServiceStub, self.channel)

    async def ask(self, rpc: Any, request: Any, *, metadata: Any = None) -> Any:
        token = self.tokens.metadata(AGENT) if metadata is None else metadata
        return await rpc(request, metadata=token, timeout=60)

    async def refused(self, rpc: Any, request: Any, **more: Any) -> "Refused":
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(rpc, request, **more)
        return Refused.of(caught.value)

    async def session(self, **fields: Any) -> str:
        request = session_pb.CallSession(sip_call_id=f"{uuid4()}@phone", **fields)
        return str((await self.ask(self.sessions.CreateSession, request)).session_id)

    async def verified(self) -> str:
        session = await self.session()
        answer = await self.ask(self.banking.AuthenticateCustomer, proof(session))
        assert answer.status == bank_pb.AUTHENTICATION_STATUS_VERIFIED
        return session


@dataclass
class Refused:
    """A refusal with its details."""

    code: grpc.StatusCode
    message: str
    detail: common_pb2.ErrorDetail
    fields: dict[str, str]
    trailers: dict[str, Any]
    retry_s: float | None

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Refused":
        metadata: Any = error.trailing_metadata() or ()
        trailers: dict[str, Any] = dict(metadata)
        status = Status.FromString(trailers["grpc-status-details-bin"])
        detail, bad, retry = common_pb2.ErrorDetail(), BadRequest(), RetryInfo()
        found = {message.DESCRIPTOR.full_name: message for message in (detail, bad, retry)}
        for entry in status.details:
            entry.Unpack(found[entry.TypeName()])
        fields = {one.field: one.description for one in bad.field_violations}
        retry_s = retry.retry_delay.ToTimedelta().total_seconds() or None
        assert trailers["x-correlation-id"] == detail.correlation_id
        return cls(error.code(), error.details() or "", detail, fields, trailers, retry_s)


def proof(session: str, credential: str = "4271", **fields: Any) -> bank_pb.AuthenticationRequest:
    given: dict[str, Any] = {
        "session_id": session,
        "customer_id": "200417",
        "method": bank_pb.AUTHENTICATION_METHOD_CARD_LAST_DIGITS,
        "credential": credential,
        "request_id": str(uuid4()),
    }
    return bank_pb.AuthenticationRequest(**(given | fields))


async def past_its_deadline(
    ask: Callable[[float], Awaitable[Any]], is_at_work: Callable[[], bool]
) -> None:
    """A request whose deadline is over while somebody is at work on it: the shortest deadlines of a
    busy machine are over before that."""
    for seconds in (1, 3, 9, 27):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(seconds)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if is_at_work():
            return
    raise AssertionError("nobody has begun to work on it")


def at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


@asynccontextmanager
async def rigged(folder: Path, database: str, redis: str, **settings: Any) -> AsyncIterator[Rig]:
    authority, tokens = Authority(), Tokens(folder / "jwks.json")
    server = authority.issue(folder / "server", SERVICE)
    if not (folder / "sealing").exists():
        make_keys(folder / "sealing", "k1")
    async with AsyncExitStack() as stack:
        bank = await stack.enter_async_context(FakeBank())
        given = {
            "roles": ("session-manager", "context-store", "banking"),
            "tls": server.certificate.parent,
            "token_keys": tokens.path,
            "token_issuer": ISSUER,
            "database_url": database,
            "redis_url": redis,
            "sealing_keys": folder / "sealing",
            "bank_url": bank.url,
            "bind": "127.0.0.1",
            "port": 0,
            "http_port": None,
            "patience": PATIENT,
        }
        platform = Platform(PlatformSettings(**(given | settings)))  # type: ignore[arg-type]
        await stack.enter_async_context(platform.running())
        rig = Rig(platform, authority, tokens, bank, folder)
        try:
            yield rig
        finally:
            await rig.channel.close(None)
