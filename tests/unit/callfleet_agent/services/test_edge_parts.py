"""The pieces of the edge that need no server: identities, buckets, messages as data, refusals."""

import logging
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from callfleet.v1 import context_pb2
from callfleet_agent.banking.errors import LockedOutError
from callfleet_agent.services.bucket import Bucket, Limit
from callfleet_agent.services.correlation import adopted
from callfleet_agent.services.inputs.plain import PlainError, plain
from callfleet_agent.services.limits import Buckets
from callfleet_agent.services.policy import POLICY, Identity, admits, identity_of
from callfleet_agent.services.refusals import refusal_of
from callfleet_agent.services.speech_gate import GateSettings, GateState, SpeechGate
from callfleet_agent.services.synthesis import sentences
from callfleet_agent.storage.errors import StoreUnavailableError

AGENT = "spiffe://callfleet.io/ns/bank/voiceagent/card-line"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([AGENT, "a.host"], Identity(AGENT, "voiceagent", "bank")),
        (
            ["spiffe://callfleet.io/operator"],
            Identity("spiffe://callfleet.io/operator", "operator"),
        ),
        (
            ["spiffe://callfleet.io/ns/x/service/llm"],
            Identity("spiffe://callfleet.io/ns/x/service/llm", "llm", "x"),
        ),
        (["spiffe://callfleet.io/ns/x/service/llm/more"], None),
        (["spiffe://callfleet.io.evil/operator"], None),
        (["spiffe://callfleet.io/ns/X/client/a"], None),
        ([AGENT, "spiffe://callfleet.io/operator"], None),
        (["a.host"], None),
        ([], None),
    ],
)
def test_an_identity_is_exactly_one_uri_of_ours(names: list[str], found: Identity | None) -> None:
    assert identity_of(names) == found


def test_every_rpc_has_a_rule_and_a_bank_is_never_open_to_clients() -> None:
    client = Identity("spiffe://callfleet.io/ns/x/client/a", "client", "x")
    for rpc, rule in POLICY.items():
        if "BankingService" in rpc or "SessionManager" in rpc or "ContextStore" in rpc:
            assert not admits(rule, client), rpc
            assert rule.audience, rpc
            assert rule.scope, rpc
    assert admits(POLICY["/grpc.health.v1.Health/Check"], client)


@given(st.lists(st.floats(0, 5), max_size=60))
def test_no_minute_has_more_than_burst_and_rate(gaps: list[float]) -> None:
    limit, now, taken = Limit(100, 20), 0.0, []
    bucket = Bucket(limit.burst, now)
    for gap in gaps:
        now += gap
        if bucket.take(limit, now) == 0:
            taken.append(now)
    for first in taken:
        in_minute = [at for at in taken if first <= at < first + 60]
        assert len(in_minute) <= limit.burst + limit.per_minute


def test_whoever_waits_as_long_as_told_is_served() -> None:
    limit, bucket = Limit(60, 1), Bucket(1, 0.0)
    assert bucket.take(limit, 0.0) == 0
    wait_s = bucket.take(limit, 0.0)
    assert wait_s == pytest.approx(1.0)
    assert bucket.take(limit, wait_s) == 0
    assert bucket.take(limit, 0.0) > 0  # a clock that goes back fills nothing


async def test_without_redis_each_client_has_a_local_bucket() -> None:
    buckets = Buckets(None, clock=lambda: 0.0)
    limit = Limit(60, 2)
    assert [await buckets.take("a", limit) for _ in range(3)] == [0, 0, 1.0]
    assert await buckets.take("b", limit) == 0


def test_a_correlation_id_is_a_uuid() -> None:
    given_id = str(uuid4())
    assert adopted(given_id) == given_id
    for odd in (None, "", "x" * 36, given_id + "x", 7):
        assert adopted(odd) not in {odd, ""}


def test_messages_as_data() -> None:
    message = context_pb2.ContextUpdateRequest(
        session_id="s",
        append=[context_pb2.ConversationMessage(content="a", turn=2)],
        ttl=Duration(seconds=5),
    )
    message.customer_data.update({"a": [1, None, {"b": True}]})
    assert plain(message) == {
        "session_id": "s",
        "append": [{"content": "a", "turn": 2}],
        "ttl": timedelta(seconds=5),
        "customer_data": {"a": [1.0, None, {"b": True}]},
    }


@pytest.mark.parametrize("seconds", [2**62, -(2**62)])
def test_times_that_are_none_are_refused(seconds: int) -> None:
    late = context_pb2.ConversationContext(expires_at=Timestamp(seconds=seconds))
    long = context_pb2.ContextUpdateRequest(ttl=Duration(seconds=seconds))
    odd = context_pb2.ConversationContext(expires_at=Timestamp(nanos=-1))
    for message in (late, long, odd):
        with pytest.raises(PlainError):
            plain(message)


def test_structures_have_a_depth() -> None:
    deep: dict[str, Any] = {}
    for _ in range(9):
        deep = {"a": deep}
    structure = Struct()
    structure.update(deep)
    with pytest.raises(PlainError) as caught:
        plain(context_pb2.ContextUpdateRequest(customer_data=structure))
    assert caught.value.path == ("customer_data",)


def test_an_error_of_our_own_shows_no_inside(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("SECRET of the inside")

    with pytest.raises(RuntimeError) as caught:
        broken()
    with caplog.at_level(logging.DEBUG):
        refusal = refusal_of(caught.value)
    assert (refusal.status, refusal.retryable) == (grpc.StatusCode.INTERNAL, False)
    everything = caplog.text + str(vars(caplog.records[0])) + str(refusal.metadata("c"))
    assert "SECRET" not in everything
    assert "test_edge_parts" in vars(caplog.records[0])["where"]


def test_an_absent_store_may_be_asked_again_and_a_lock_out_says_when() -> None:
    away = refusal_of(StoreUnavailableError("OperationalError"))
    assert (away.status, away.retryable) == (grpc.StatusCode.UNAVAILABLE, True)
    until = datetime.now(UTC) + timedelta(seconds=90)
    locked = refusal_of(LockedOutError(until))
    left_s = (until - datetime.now(UTC)).total_seconds()
    assert locked.retry_after_s is not None
    assert left_s <= locked.retry_after_s <= 90
    assert dict(locked.metadata("c"))["retry-after"] == str(ceil(locked.retry_after_s))


def test_a_gate_opens_after_speech_and_closes_after_quiet() -> None:
    gate = SpeechGate(GateSettings(start_ms=64, stop_ms=96), 32)
    probabilities = [0.1, 0.9, 0.9, 0.9, 0.1, 0.9, 0.1, 0.1, 0.1]
    states = [gate.feed(probability, -20.0) for probability in probabilities]
    quiet, starting, speaking, stopping = GateState
    assert states == [
        quiet, starting, speaking, speaking, stopping, speaking, stopping, stopping, quiet,
    ]  # fmt: skip
    assert gate.feed(0.9, -80.0) is GateState.QUIET  # too soft to be speech


@given(st.text(alphabet="ab .!?", max_size=3000))
def test_sentences_lose_no_word_and_are_short(text: str) -> None:
    pieces = sentences(text)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= 500 for piece in pieces)
