"""What header fields share."""

import pytest

from callfleet_agent.sip.errors import RemoteProtocolError
from callfleet_agent.sip.grammar import Parameters, check_host, parse_number, quote, split, unquote


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a, b ,c", ["a", "b", "c"]),
        ('"a,b" <x,y>, c', ['"a,b" <x,y>', "c"]),
        (r'"\",", c', [r'"\","', "c"]),
        ('<sip:a;x="1,2">,b', ['<sip:a;x="1,2">', "b"]),
        ("", [""]),
    ],
)
def test_splits_outside_quotes_and_brackets(text: str, parts: list[str]) -> None:
    assert split(text, ",") == parts


def test_an_open_quote_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError, match="Unterminated"):
        split('a, "b', ",")


def test_quoting_round_trips() -> None:
    assert unquote(quote('a "b" \\')) == 'a "b" \\'
    assert unquote("plain") == "plain"


def test_parameters() -> None:
    parameters = Parameters.parse(' ; A=1 ;b; c="x;y"')
    assert str(parameters) == ';A=1;b;c="x;y"'
    assert (parameters.get("a"), parameters.get("b", "d"), parameters.get("z", "d")) == (
        "1",
        None,
        "d",
    )
    assert "B" in parameters
    assert str(parameters.with_value("a", "2").with_value("n", None).without("C")) == ";A=2;b;n"
    with pytest.raises(RemoteProtocolError):
        Parameters.parse("x;y")


@pytest.mark.parametrize("text", ["", "-1", "1.0", "x", "256", "9" * 40, "٣"])
def test_numbers_are_ascii_digits_in_range(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_number(text, "number", 255)


@pytest.mark.parametrize("host", ["h", "a.b.", "192.0.2.1", "[::1]", "a_b.example"])
def test_hosts(host: str) -> None:
    assert check_host(host) == host
