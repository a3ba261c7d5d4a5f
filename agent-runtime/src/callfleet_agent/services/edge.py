"""The edge: what every request goes through, in this order, before a service sees it.

1. the client's certificate, against the policy of the RPC
2. its token
3. its token bucket
4. the correlation id, which is in every log line, response and trailer
5. the message, read and validated as a pydantic model: services are given models
and around all of it, errors become statuses. A refusal at any step carries the correlation id.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any, Final, Protocol
from uuid import UUID

import grpc
from google.protobuf.message import DecodeError, Message

from callfleet_agent.services.actor import acts
from callfleet_agent.services.correlation import METADATA, adopted, correlated, is_about
from callfleet_agent.services.errors import (
    CERTIFICATE,
    InvalidRequestError,
    StoppedError,
    TooManyRequestsError,
    UnauthenticatedError,
    Violation,
)
from callfleet_agent.services.inputs import unreadable
from callfleet_agent.services.limits import Buckets, Limits
from callfleet_agent.services.policy import Identity, Rule, admits, identity_of
from callfleet_agent.services.refusals import refusal_of
from callfleet_agent.services.tls import is_insecure, peer_identities
from callfleet_agent.services.tokens import TokenVerifier
from callfleet_agent.time_limit import is_cancelled
from callfleet_agent.tracing import HEADER, NO_SPAN, Span, continued, traceparent_of, tracer

Context = grpc.aio.ServicerContext[Any, Any]
Reader = Callable[[Any], Any]
MAX_MESSAGE_BYTES: Final = 4 << 20
_PREFIX: Final = "Bearer "
RELAYED_FOR: Final = "x-relayed-for"


class Watcher(Protocol):
    """Told of every request that is over; labels are bounded."""

    def request_over(self, rpc: str, status: str, seconds: float) -> None:
        """`rpc` is Service/Method, `status` a gRPC status in capitals."""

    def identity_refused(self, code: str) -> None:
        """A client was not let in; `code` is one of a fixed set."""


@dataclass(frozen=True, slots=True)
class Edge(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stub alone
    """The interceptor. `readers`: how the requests of each RPC are validated. Without a verifier
    nobody is let in who needs a token; with `plain`, whoever comes without TLS is. `home`: the
    namespace of this process's own certificate, where its other replicas are.
    """

    rules: Mapping[str, Rule]
    readers: Mapping[str, Reader]
    verifier: TokenVerifier | None
    buckets: Buckets | None
    watcher: Watcher
    limits: Limits = field(default_factory=Limits)
    plain: bool = False
    home: str = ""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler with the edge around it; None when nobody serves the RPC."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        visit = _Door(self, str(handler_call_details.method), handler)
        return visit.handler()

    async def admit(self, rpc: str, context: Context) -> Identity | None:
        """Steps 1 to 3.

        Raises:
            UnauthenticatedError: the client is not who may call.
            TooManyRequestsError: it is over its rate.
        """
        rule, peer = self.rules.get(rpc), context.auth_context()
        if self.plain and is_insecure(peer):
            return None
        identity = identity_of(peer_identities(peer))
        if identity is None:
            raise UnauthenticatedError(
                "IDENTITY_UNKNOWN", "the certificate has no known identity", field=CERTIFICATE
            )
        if rule is not None and self._is_replica(rule, identity):
            return self._brought(rule, context)
        if rule is None or not admits(rule, identity):
            raise UnauthenticatedError(
                "IDENTITY_FORBIDDEN", "this identity may not call this",
                forbidden=True, field=CERTIFICATE,
            )  # fmt: skip
        if rule.audience:
            await self._authorise(rule, identity, context)
        return identity

    def _is_replica(self, rule: Rule, identity: Identity) -> bool:
        """Whether another replica of this service asks, which may bring requests of others."""
        is_ours = self.home != "" and identity.namespace == self.home
        return is_ours and rule.relayed_by != "" and identity.role == rule.relayed_by

    def _brought(self, rule: Rule, context: Context) -> Identity:
        """The client whose request is brought: its token proves that it has asked. It was counted
        where it came in."""
        client = identity_of([str(_metadata(context).get(RELAYED_FOR, ""))])
        if client is None or not admits(rule, client):
            raise UnauthenticatedError(
                "IDENTITY_FORBIDDEN", "this identity may not call this",
                forbidden=True, field=RELAYED_FOR,
            )  # fmt: skip
        self._verify(rule, client, context)
        return replace(client, relayed=True)

    def _verify(self, rule: Rule, identity: Identity, context: Context) -> None:
        if self.verifier is None:
            raise UnauthenticatedError("TOKEN_UNKNOWN", "no token is known here")
        self.verifier.verify(
            _bearer(context), subject=identity.uri, audience=rule.audience, scope=rule.scope
        )

    async def _authorise(self, rule: Rule, identity: Identity, context: Context) -> None:
        self._verify(rule, identity, context)
        if self.buckets is not None:
            wait_s = await self.buckets.take(identity.uri, self.limits.of(identity.role))
            if wait_s > 0:
                raise TooManyRequestsError(wait_s)


def _metadata(context: Context) -> dict[str, str | bytes]:
    return dict(context.invocation_metadata() or ())


def _bearer(context: Context) -> str:
    given = _metadata(context).get("authorization", "")
    if not isinstance(given, str) or not given.startswith(_PREFIX):
        raise UnauthenticatedError("TOKEN_MISSING", "a token is required")
    return given.removeprefix(_PREFIX).strip()


class _Door:
    """One RPC's handler, wrapped."""

    def __init__(self, edge: Edge, rpc: str, handler: Any) -> None:
        self._edge = edge
        self._rpc = rpc
        self._inner = handler
        self._parse: Callable[[bytes], Message] = handler.request_deserializer
        self._read = edge.readers.get(rpc)

    def handler(self) -> Any:
        """The wrapped handler, of the same kind. Messages are read inside of it, so that bytes
        that are no message are the client's fault and not ours."""
        inner, serialize = self._inner, self._inner.response_serializer
        make: Any = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._unary_stream),
            (True, True): (grpc.stream_stream_rpc_method_handler, self._stream_stream),
        }[inner.request_streaming, inner.response_streaming]
        return make[0](make[1], request_deserializer=None, response_serializer=serialize)

    async def _unary_unary(self, raw: bytes, context: Context) -> Any:
        visit = _Visit(self._edge, self._rpc, context)
        message = self._parsed(raw)
        try:
            with visit.correlated_by(getattr(message, "correlation_id", "")):
                await visit.enter()
                request = self._request(message, raw)
                response = await self._inner.unary_unary(request, context)
                return visit.leave(response)
        except Exception as error:
            await visit.refuse(error)
        except asyncio.CancelledError:
            await visit.stopped()
            raise
        finally:
            visit.over()

    async def _unary_stream(self, raw: bytes, context: Context) -> None:
        message = self._parsed(raw)

        def responses() -> Any:
            return self._inner.unary_stream(self._request(message, raw), context)

        await self._stream(context, getattr(message, "correlation_id", ""), responses)

    async def _stream_stream(self, raws: AsyncIterator[bytes], context: Context) -> None:
        async def requests() -> AsyncIterator[Any]:
            async for raw in raws:
                yield self._request(self._parsed(raw), raw)

        def responses() -> Any:
            return self._inner.stream_stream(requests(), context)

        await self._stream(context, "", responses)

    async def _stream(self, context: Context, claimed: str, responses: Callable[[], Any]) -> None:
        """Written by hand, so that a client that goes away stops the work in this task at once;
        gRPC leaves a generator to the garbage collector. A client that does not read is waited
        for: `write` returns when there is room."""
        visit = _Visit(self._edge, self._rpc, context)
        try:
            with visit.correlated_by(claimed):
                await visit.enter()
                answers = responses()
                if isawaitable(answers):  # a service that writes by itself, as health does
                    await answers
                else:
                    async with aclosing(answers):
                        async for response in answers:
                            await context.write(visit.stamped(response))
                visit.leave(None)
        except Exception as error:
            await visit.refuse(error)
        except asyncio.CancelledError:
            await visit.stopped()
            raise
        finally:
            visit.over()

    def _parsed(self, raw: bytes) -> Message | None:
        """The message, None for bytes that are none."""
        try:
            return self._parse(raw)
        except (DecodeError, ValueError, RecursionError):
            return None

    def _request(self, message: Message | None, raw: bytes) -> Any:
        if message is None:
            raise unreadable(raw, self._rpc)
        request = message if self._read is None else self._read(message)
        if len(raw) > MAX_MESSAGE_BYTES:  # by fields that are not known
            raise InvalidRequestError(Violation("", f"is longer than {MAX_MESSAGE_BYTES} bytes"))
        session_id = _session_of(request)
        if session_id is not None:
            is_about(str(session_id))
        return request


def _session_of(request: Any) -> UUID | None:
    """The session that a validated request names, by itself or in what it changes."""
    about = request if hasattr(request, "session_id") else getattr(request, "session", None)
    session_id = getattr(about, "session_id", None)
    return session_id if isinstance(session_id, UUID) else None


class _Visit:
    """One request from its coming to its end."""

    def __init__(self, edge: Edge, rpc: str, context: Context) -> None:
        self._edge = edge
        self._rpc = rpc
        self._context = context
        self._id = ""
        self._began = time.monotonic()
        self._status = "CANCELLED"
        self._span = NO_SPAN if not tracer().on else self._traced()

    def _traced(self) -> Span:
        metadata = dict(self._context.invocation_metadata() or ())
        span = tracer().begin(self._name, traceparent_of(metadata.get(HEADER)))
        span.set("rpc.method", self._name)
        return span

    @property
    def _name(self) -> str:
        return self._rpc.removeprefix("/").removeprefix("callfleet.v1.")

    @contextmanager
    def correlated_by(self, claimed: str) -> Iterator[None]:
        metadata = dict(self._context.invocation_metadata() or ())
        self._id = adopted(claimed or metadata.get(METADATA))
        with correlated(self._id), continued(self._span.traceparent):
            yield

    async def enter(self) -> None:
        identity = await self._edge.admit(self._rpc, self._context)
        if identity is not None:
            acts(identity.uri, relayed=identity.relayed)
            self._span.set("actor", identity.uri)
        self._context.set_trailing_metadata(((METADATA, self._id),))
        await self._context.send_initial_metadata(((METADATA, self._id),))

    def stamped(self, response: Any) -> Any:
        if hasattr(response, "correlation_id"):
            response.correlation_id = self._id
        return response

    def leave(self, response: Any) -> Any:
        self._status = "OK"
        return self.stamped(response)

    async def refuse(self, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):
            self._status = "ABORTED"
            raise error
        with correlated(self._id):
            refusal = refusal_of(error)
        self._status = refusal.status.name
        if isinstance(error, UnauthenticatedError):
            self._edge.watcher.identity_refused(error.code)
        await self._context.abort(
            refusal.status, refusal.message, trailing_metadata=refusal.metadata(self._id)
        )

    async def stopped(self) -> None:
        """The work ended as if it was cancelled. When nobody has cancelled it, something within
        gave up in this way, and gRPC would leave the client without an answer."""
        if not is_cancelled():
            await self.refuse(StoppedError())

    def over(self) -> None:
        self._edge.watcher.request_over(self._name, self._status, time.monotonic() - self._began)
        self._span.set("rpc.status", self._status)
        if self._status != "OK":
            self._span.fail(self._status)
        self._span.end()
