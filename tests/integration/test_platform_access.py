"""Who may call the services: certificates, tokens, and how often."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest

from callfleet.v1 import common_pb2
from callfleet.v1 import session_pb2 as session_pb
from identities import AGENT, CLIENT, OPERATOR, SERVICE, Authority, Tokens, channel
from platform_rig import UNKNOWN, Rig, rigged, session_manager
from stores import Server, migrated


@pytest.fixture
async def rig(tmp_path: Path, postgres: Server, redis_server: Server) -> AsyncIterator[Rig]:
    await asyncio.to_thread(migrated, postgres.url)
    async with rigged(tmp_path, postgres.url, redis_server.url) as running:
        yield running


@pytest.mark.parametrize(
    ("identities", "code"),
    [
        ((OPERATOR,), grpc.StatusCode.PERMISSION_DENIED),
        ((CLIENT,), grpc.StatusCode.PERMISSION_DENIED),
        (("spiffe://elsewhere.io/ns/bank/voiceagent/x",), grpc.StatusCode.UNAUTHENTICATED),
        ((AGENT, OPERATOR), grpc.StatusCode.UNAUTHENTICATED),
        ((AGENT + "/more",), grpc.StatusCode.UNAUTHENTICATED),
        ((), grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_a_certificate_of_another_identity_is_refused(
    rig: Rig, identities: tuple[str, ...], code: grpc.StatusCode
) -> None:
    files = rig.authority.issue(rig.folder / "other", *identities)
    async with channel(rig.platform.port, files) as other:
        stub = session_manager(other)
        subject = identities[0] if identities else AGENT
        refused = await rig.refused(
            stub.CreateSession,
            session_pb.CallSession(sip_call_id="x"),
            metadata=rig.tokens.metadata(subject),
        )
    assert refused.code is code
    assert refused.detail.fault == common_pb2.ErrorDetail.FAULT_CALLER


async def test_a_certificate_that_expired_or_of_another_authority_is_not_talked_to(
    rig: Rig,
) -> None:
    expired = rig.authority.issue(rig.folder / "expired", AGENT, life=-timedelta(minutes=1))
    early = rig.authority.issue(rig.folder / "early", AGENT, since=timedelta(minutes=30))
    foreign = Authority().issue(rig.folder / "foreign", AGENT)
    foreign.ca.write_bytes(rig.agent.ca.read_bytes())
    for files in (expired, early, foreign):
        async with channel(rig.platform.port, files) as other:
            stub = session_manager(other)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetSession(
                    session_pb.GetSessionRequest(session_id=UNKNOWN),
                    metadata=rig.tokens.metadata(AGENT),
                    timeout=60,
                )
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("flaw", ["expired", "early", "of another authority"])
async def test_a_server_with_a_certificate_that_is_not_good_is_not_talked_to(
    rig: Rig, flaw: str
) -> None:
    """A client does not give its token to whoever answers on the port."""
    files = {
        "expired": lambda: rig.authority.issue(
            rig.folder / "server", SERVICE, life=-timedelta(minutes=1)
        ),
        "early": lambda: rig.authority.issue(
            rig.folder / "server", SERVICE, since=timedelta(minutes=30)
        ),
        "of another authority": lambda: Authority().issue(rig.folder / "server", SERVICE),
    }[flaw]()
    assert files.certificate.parent == rig.platform.settings.tls  # rotated in its place
    async with channel(rig.platform.port, rig.agent) as fresh:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await session_manager(fresh).GetSession(
                session_pb.GetSessionRequest(session_id=UNKNOWN),
                metadata=rig.tokens.metadata(AGENT),
                timeout=60,
            )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_service_that_is_called_like_another_kind_is_nobody(rig: Rig) -> None:
    for name in ("operator", "voiceagent", "client"):
        identity = f"spiffe://callfleet.io/ns/bank/service/{name}"
        files = rig.authority.issue(rig.folder / name, identity)
        async with channel(rig.platform.port, files) as other:
            refused = await rig.refused(
                session_manager(other).GetSession,
                session_pb.GetSessionRequest(session_id=UNKNOWN),
                metadata=rig.tokens.metadata(identity),
            )
        assert (refused.code, refused.detail.code) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "IDENTITY_UNKNOWN",
        )
        assert list(refused.fields) == ["certificate"]


async def test_tokens_that_are_not_good_are_refused(rig: Rig) -> None:
    mint = rig.tokens.mint(AGENT)
    good = mint.token(["session-manager"], ["sessions.read"])
    claims = jwt.decode(good, options={"verify_signature": False})
    header, body, signature = good.split(".")
    stranger = Tokens(rig.folder / "stranger.json")

    def with_claims(**changed: Any) -> str:
        return jwt.encode(claims | changed, mint.key, "EdDSA", headers={"kid": "t1"})

    now = int(datetime.now(UTC).timestamp())
    cases = {
        "": "TOKEN_MISSING",
        "Basic abc": "TOKEN_MISSING",
        "Bearer ": "TOKEN_INVALID",
        "Bearer not.a.token": "TOKEN_INVALID",
        f"Bearer {header}.{body}.": "TOKEN_INVALID",
        f"Bearer {header}.{body}.{signature[:-4]}AAAA": "TOKEN_INVALID",
        f"Bearer {jwt.encode(claims, '', 'none', headers={'kid': 't1'})}": "TOKEN_INVALID",
        f"Bearer {jwt.encode(claims, 'x' * 64, 'HS512', headers={'kid': 't1'})}": "TOKEN_INVALID",
        f"Bearer {stranger.mint(AGENT).token(['session-manager'], ['sessions.read'])}": (
            "TOKEN_INVALID"
        ),
        f"Bearer {jwt.encode(claims, mint.key, 'EdDSA', headers={'kid': 'gone'})}": "TOKEN_KEY",
        f"Bearer {with_claims(exp=now - 60, iat=now - 120)}": "TOKEN_EXPIRED",
        f"Bearer {with_claims(exp=now + 7200)}": "TOKEN_INVALID",
        f"Bearer {with_claims(iat=now + 100, exp=now + 200)}": "TOKEN_INVALID",
        f"Bearer {with_claims(iss='somebody')}": "TOKEN_INVALID",
        f"Bearer {with_claims(aud='banking')}": "TOKEN_AUDIENCE",
        f"Bearer {with_claims(scope='contexts.read')}": "TOKEN_SCOPE",
        f"Bearer {with_claims(sub=OPERATOR)}": "TOKEN_OF_ANOTHER",  # taken from somebody else
        f"Bearer {'x' * 9000}": "TOKEN_INVALID",
    }
    request = session_pb.GetSessionRequest(session_id=UNKNOWN)
    for given, code in cases.items():
        metadata = (("authorization", given),) if given else ()
        refused = await rig.refused(rig.sessions.GetSession, request, metadata=metadata)
        assert refused.detail.code == code, given[:40]
        assert given[-20:] not in refused.message or not given

    found = await rig.refused(
        rig.sessions.GetSession, request, metadata=(("authorization", f"Bearer {good}"),)
    )
    assert found.detail.code == "SESSION_NOT_FOUND"  # the good one comes through


async def test_the_key_set_is_rotated_without_a_restart(rig: Rig) -> None:
    old = rig.tokens.metadata(AGENT)
    request = session_pb.GetSessionRequest(session_id=UNKNOWN)
    assert (await rig.refused(rig.sessions.GetSession, request, metadata=old)).detail.code == (
        "SESSION_NOT_FOUND"
    )
    rig.tokens.rotate_to("t2")
    new = rig.tokens.mint(AGENT, "t2").token(["session-manager"], ["sessions.read"])

    await asyncio.sleep(1.1)  # the file is looked at once a second

    with_old = await rig.refused(rig.sessions.GetSession, request, metadata=old)
    with_new = await rig.refused(
        rig.sessions.GetSession, request, metadata=(("authorization", f"Bearer {new}"),)
    )
    assert with_old.detail.code == "TOKEN_KEY"
    assert with_new.detail.code == "SESSION_NOT_FOUND"


async def test_a_client_over_its_rate_is_told_when_to_come_back(
    tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    settings = {"per_minute": 100.0, "burst": 3.0, "agents_per_minute": 0.6}  # one in 100 s
    async with rigged(tmp_path, postgres.url, redis_server.url, **settings) as rig:
        began = time.monotonic()
        request = session_pb.GetSessionRequest(session_id=UNKNOWN)
        codes, refused = [], None
        for _ in range(5):
            refused = await rig.refused(rig.sessions.GetSession, request)
            codes.append(refused.code)

        assert refused is not None
        assert codes == [grpc.StatusCode.NOT_FOUND] * 3 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
        assert (refused.detail.code, refused.detail.retryable) == ("RATE_LIMITED", True)
        took_s = time.monotonic() - began
        assert 100 - took_s <= int(refused.trailers["retry-after"]) <= 100
        assert refused.retry_s is not None
