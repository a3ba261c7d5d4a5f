"""Every string, list, map and structure of every request has a limit, and what is over it is
refused by its name: found by the descriptors, so that a new field has one too."""

from typing import Final

import pytest
from google.protobuf.message import Message

from callfleet.v1 import context_pb2
from callfleet_agent.services import (
    answering,
    banking,
    connector,
    context_store,
    recognition,
    session_manager,
    synthesis,
    voice_activity,
)
from callfleet_agent.services.errors import InvalidRequestError
from callfleet_agent.services.inputs.plain import MAX_ITEMS, PlainError, plain
from message_fields import GOOD, SESSION, Grown, blobs, lists, texts
from rpcs import METHODS

READERS: Final = {
    rpc: reader
    for service in (
        session_manager, context_store, banking, connector,
        voice_activity, recognition, answering, synthesis,
    )
    for rpc, reader in service.READERS.items()
}  # fmt: skip
LONG: Final = 64 * 1024
MANY: Final = 10_000
MAX_AUDIO: Final = 1 << 20


def blamed(rpc: str, message: Message) -> dict[str, str]:
    """The fields that a request is refused for."""
    try:
        READERS[rpc](message)
    except InvalidRequestError as error:
        return {one.field: one.description for one in error.violations}
    return {}


def test_the_requests_that_are_grown_are_good_and_of_all_rpcs() -> None:
    assert GOOD.keys() == METHODS.keys() == READERS.keys()
    assert [rpc for rpc, message in GOOD.items() if blamed(rpc, message)] == []


def assert_all_are_refused(cases: list[Grown]) -> None:
    found = {str(case): blamed(case.rpc, case.message) for case in cases}
    assert len(found) == len(cases)
    unnamed = {str(case): found[str(case)] for case in cases if case.field not in found[str(case)]}
    assert unnamed == {}
    assert all(reason for reasons in found.values() for reason in reasons.values())
    told = str(found)
    assert "aaaa" not in told  # no value is repeated


def test_every_string_has_a_limit() -> None:
    cases = list(texts("a" * LONG))
    assert len(cases) > 100
    assert_all_are_refused(cases)


def test_every_list_and_map_has_a_limit() -> None:
    cases = list(lists(MANY))
    assert {case.how for case in cases} == {"list", "map", "list within", "mask"}
    assert_all_are_refused(cases)


def test_bytes_have_a_limit() -> None:
    cases = list(blobs(MAX_AUDIO + 2))
    assert {case.field for case in cases} == {"audio_data"}
    assert_all_are_refused(cases)


def test_a_list_that_is_far_too_long_is_not_taken_apart() -> None:
    for case in lists(MAX_ITEMS + 1):
        if case.how in {"list", "mask"}:  # of a structure the size counts
            with pytest.raises(PlainError, match=f"has more than {MAX_ITEMS} items"):
                plain(case.message)


def test_a_structure_that_is_far_too_long_is_not_taken_apart() -> None:
    request = context_pb2.ContextUpdateRequest(session_id=SESSION)
    nothing = request.customer_data.fields["a"].list_value.values
    for _ in range(140_000):
        nothing.add()
    with pytest.raises(PlainError, match="is longer than 65536 bytes") as caught:
        plain(request)
    assert caught.value.path == ("customer_data",)


def test_a_context_can_be_given_back_as_it_was_read() -> None:
    """Facts of a session are more than one request may add to them."""
    context = context_pb2.ConversationContext(
        context_id=SESSION, session_id=SESSION, correlation_id=SESSION, version=7
    )
    context.customer_data.update({"callfleet_verified": True, "a": "x" * 60_000})
    context.expires_at.GetCurrentTime()
    context.last_updated.GetCurrentTime()
    rpc = "/callfleet.v1.LLMService/ProcessText"
    request = METHODS[rpc].input_type._concrete_class()
    request.CopyFrom(GOOD[rpc])
    request.context.CopyFrom(context)
    assert blamed(rpc, request) == {}
