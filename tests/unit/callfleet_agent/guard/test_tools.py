"""What a model may ask to be done."""

import pytest

from callfleet_agent.guard import Admitted, Argument, Refused, Tool, ToolCall, admit, read_call

CARD = Tool("where is my card", {"customer id": Argument.CUSTOMER})
OFFERED = {"where is my card": CARD, "help": Tool("help")}


@pytest.mark.parametrize(
    ("sentence", "call"),
    [
        ("<help>", ToolCall("help", {})),
        (" < Where_Is_My_Card > .", ToolCall("where is my card", {})),
        ('<help {"a": 1}/>', ToolCall("help", {"a": 1})),
        ("<help {a: 1}>", ToolCall("help", None)),
        ("<help [1]>", ToolCall("", None)),
        ("<help {}>", ToolCall("help", {})),
        ('<help {"a": [}>', ToolCall("help", None)),
        ("{help}", ToolCall("")),
        ("</help>", ToolCall("")),
        ("[TOOL_CALLS] help", ToolCall("")),
        ("a tool_call to help", ToolCall("")),
        (f'<help {{"a": "{"x" * 600}"}}>', ToolCall("")),
        ("I can help you.", None),
        ("", None),
    ],
)
def test_reading(sentence: str, call: ToolCall | None) -> None:
    assert read_call(sentence) == call


def test_a_list_is_no_arguments() -> None:
    assert read_call("<help {}>") == ToolCall("help", {})
    assert admit(ToolCall("help", None), OFFERED, None) == Refused("bad_arguments")


@pytest.mark.parametrize(
    ("call", "customer", "verdict"),
    [
        (ToolCall("help", {}), None, Admitted(OFFERED["help"])),
        (ToolCall("where is my card", {}), None, Admitted(CARD)),
        (ToolCall("where is my card", {"customer_id": "c-1"}), "c-1", Admitted(CARD)),
        (ToolCall("where is my card", {"customer_id": "c-2"}), "c-1", Refused("other_customer")),
        (ToolCall("where is my card", {"customer_id": ["c-1"]}), "c-1", Refused("other_customer")),
        (ToolCall("where is my card", {"customer_id": "c-1"}), None, Refused("not_authenticated")),
        (ToolCall("where is my card", {"amount": 1}), "c-1", Refused("unknown_argument")),
        (ToolCall("help", {"customer_id": "c-1"}), "c-1", Refused("unknown_argument")),
        (ToolCall("transfer", {}), "c-1", Refused("unknown_tool")),
        (ToolCall("", None), "c-1", Refused("unknown_tool")),
    ],
)
def test_admission(call: ToolCall, customer: str | None, verdict: Admitted | Refused) -> None:
    assert admit(call, OFFERED, customer) == verdict
