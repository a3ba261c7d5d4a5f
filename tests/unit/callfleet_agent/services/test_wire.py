"""Which text is not UTF-8: its place is found by hand, and protobuf's parser is asked whether."""

import random
from time import process_time
from typing import Any, Final

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from callfleet.v1 import context_pb2
from callfleet_agent.services.inputs import unreadable
from callfleet_agent.services.inputs.plain import path_of
from callfleet_agent.services.inputs.wire import MAX_FIELDS, first_bad_text
from message_fields import GOOD, SESSION, texts
from rpcs import METHODS

MARK: Final = "MARK"  # four letters, in no other field
NOT_UTF8: Final = (
    b"\xff\xfe\xfd\xfc",
    b"a\xc0\x80b",
    b"\xed\xa0\x80a",
    b"abc\xc3",
    b"\xf4\x90\x80\x80",
)
CASES: Final = list(texts(MARK))
RPCS: Final = sorted(METHODS)
KINDS: Final = {rpc: METHODS[rpc].input_type._concrete_class for rpc in RPCS}


def is_message(rpc: str, data: bytes) -> bool:
    try:
        KINDS[rpc].FromString(data)
    except DecodeError:
        return False
    return True


def found(rpc: str, data: bytes) -> str | None:
    path = first_bad_text(data, KINDS[rpc].DESCRIPTOR)
    return None if path is None else path_of(path)


@given(st.sampled_from(CASES), st.sampled_from(NOT_UTF8))
def test_every_text_of_every_request_is_named(case: Any, bad: bytes) -> None:
    data = case.message.SerializeToString()
    assert data.count(MARK.encode()) == 1
    assert found(case.rpc, data) is None
    spoilt = data.replace(MARK.encode(), bad)
    assert not is_message(case.rpc, spoilt)
    assert found(case.rpc, spoilt) == case.field
    (violation,) = unreadable(spoilt, case.rpc).violations
    assert (violation.field, violation.description) == (case.field, "is not UTF-8")


def test_each_of_them_is_tried() -> None:
    for case in CASES:
        spoilt = case.message.SerializeToString().replace(MARK.encode(), NOT_UTF8[0])
        assert found(case.rpc, spoilt) == case.field


def test_an_item_is_named_by_its_number_and_the_first_one_counts() -> None:
    rpc = "/callfleet.v1.ContextStoreService/UpdateContext"
    message = context_pb2.ConversationMessage
    request = context_pb2.ContextUpdateRequest(
        session_id=SESSION,
        append=[message(content="a"), message(content="b"), message(content=MARK)],
        request_id=MARK,
    )
    spoilt = request.SerializeToString().replace(MARK.encode(), NOT_UTF8[0])
    assert found(rpc, spoilt) == "append[2].content"


@given(st.sampled_from(RPCS), st.binary(max_size=200))
def test_whatever_the_bytes_are_it_ends_and_blames_no_message(rpc: str, data: bytes) -> None:
    if found(rpc, data) is not None:
        assert not is_message(rpc, data)


@given(st.sampled_from(CASES), st.integers(0, 2**32))
def test_bytes_that_were_a_message_are_blamed_for_what_the_parser_does_not_take(
    case: Any, seed: int
) -> None:
    choose = random.Random(seed)
    data = bytearray(case.message.SerializeToString())
    for _ in range(choose.randint(1, 3)):
        data[choose.randrange(len(data))] = choose.randrange(256)
    cut = bytes(data[: choose.randint(1, len(data))])
    if found(case.rpc, cut) is not None:
        assert not is_message(case.rpc, cut)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\xff",  # a length that goes on
        b"\x0a\x7f",  # and what it is of does not
        b"\x0b\x0a\x01\xff\x0c",  # a group
        b"\x0a" + b"\xff" * 10 + b"\x01",
        b"\x09\x00",
        b"\x0d\x00\x00",
        b"\x80",
    ],
)
def test_bytes_that_are_no_message_have_no_such_text(data: bytes) -> None:
    rpc = "/callfleet.v1.SessionManagerService/CreateSession"
    assert found(rpc, data) is None
    (violation,) = unreadable(data, rpc).violations
    assert violation.field == ""
    assert violation.description == "is no message of this kind, or holds text that is not UTF-8"
    assert unreadable(data, "/grpc.health.v1.Health/Nothing").violations == (violation,)


def test_the_work_is_bounded() -> None:
    rpc = "/callfleet.v1.ContextStoreService/UpdateContext"
    good, spoilt = GOOD[rpc].SerializeToString(), b"\x3a\x01\xff"
    assert found(rpc, good + b"\x12\x00" * (MAX_FIELDS - 10) + spoilt) == "request_id"
    assert found(rpc, good + b"\x12\x00" * MAX_FIELDS + spoilt) is None

    deep = b""
    for _ in range(2000):
        deep = b"\x2a" + _length(len(deep)) + deep  # a structure in a structure
    began = process_time()
    found(rpc, b"\x22" + _length(len(deep)) + deep + spoilt)
    found(rpc, b"\x12\x00" * (2 << 20))
    found(rpc, b"\x80" * (4 << 20))
    assert process_time() - began < 2.0


def _length(size: int) -> bytes:
    made = b""
    while size > 0x7F:
        made += bytes([size & 0x7F | 0x80])
        size >>= 7
    return made + bytes([size])
