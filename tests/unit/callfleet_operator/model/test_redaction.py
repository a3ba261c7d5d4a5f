"""The corpus of what must not reach a log, and of what must stay readable in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.model.redaction import (
    DATE,
    HIDDEN,
    NUMBER,
    PERSON,
    redacted,
    redacted_fields,
)

PHONES = [
    "+1 (555) 012-3987", "+15550123987", "001-555-012-3987", "555-012-3987", "(555) 012 3987",
    "555.012.3987", "+44 20 7946 0958", "020 7946 0958", "07700 900123", "+49 151 12345678",
    "0151/12345678", "(0)30-901820 123", "+33 6 12 34 56 78", "06.12.34.56.78", "06-12-34-56-78",
    "+34 612 345 678", "+39 06 6982 1234", "+31 6 12345678", "+351 912 345 678", "+48 512 345 678",
    "+7 (912) 345-67-89", "8 912 345 67 89", "+90 532 123 45 67", "+91 98765 43210",
    "+86 138 0013 8000", "+81 90-1234-5678", "+55 (11) 91234-5678", "+61 412 345 678",
    "+41 44 668 18 00", "+46 70 123 45 67", "+971 50 123 4567", "٠٥٠١٢٣٤٥٦٧", "०९८७६५४३२१०",
    "＋８１９０１２３４５６７８", "+1\u00a0555\u00a0012\u00a03987", "555\u2013012\u20133987",
]  # fmt: skip
CARDS = [
    "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005",
    "3782 822463 10005", "5555 5555 5555 4444", "6011111111111117", "30569309025904",
    "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819",
]  # fmt: skip
BIRTHS = [
    "1980-02-29", "29.02.1980", "29/02/1980", "02/29/1980", "02/29/80", "29-02-1980", "1.2.1980",
    "29 February 1980", "29th of February 1980", "February 29, 1980", "Feb 29 1980",
    "29. Februar 1980", "29 février 1980", "29 de febrero de 1980", "29 febbraio 1980",
    "the twenty-ninth of February nineteen eighty", "twenty nine february nineteen eighty",
    "February the twenty-ninth, nineteen eighty", "february twenty ninth two thousand and five",
    "may first nineteen oh five", "the third of June 1980",
    "29 de fevereiro de 1980", "29 februari 1980", "1980年2月29日", "1980년 2월 29일",
]  # fmt: skip
SECRETS = [
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "Bearer abc123.def456",
    "authorization: Bearer s3cr3tS3cr3t", "password=hunter2", 'token: "tk_live_abcdef"',
    "api_key=AKIAIOSFODNN7EXAMPLE", "postgresql://callfleet:hunter2@db:5432/x",
    "redis://:hunter2@redis:6379/0", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
    "Set-Cookie: session=abcdef", "X-Signature=abcdef", "Basic dXNlcjpodW50ZXIy",
]  # fmt: skip
SPOKEN = [
    "nine one eight two seven three", "zero two two nine one nine eight zero",
    "four two seven one", "four, two, seven, one", "double four two seven",
    "vier zwei sieben eins", "quatre deux sept un", "cuatro dos siete uno",
    "quattro due sette uno", "quatro dois sete um", "vier twee zeven een",
    "cztery dwa siedem jeden", "четыре два семь один", "dört iki yedi bir",
]  # fmt: skip
PROOFS = [
    "the code 918273 was refused", "one-time code 918-273", "the code is 9 1 8 2 7 3",
    "my PIN is 4271", "card ending in 4271", "last four digits 4271", "code: 42 71", "OTP 918273",
    "Karte mit den Endziffern 4271", "carte finissant par 4271", "tarjeta terminada en 4271",
    "la carta finisce con 4271", "cartão final 4271", "kaart eindigt op 4271", "карта 4271",
]  # fmt: skip
PEOPLE = [
    "sip:+15550123987@example.com", "sips:alice@example.com;transport=tls", "tel:+1-555-0123",
    '"Alice Example" <sip:alice@10.0.0.1>', "alice.example@example.com",
]  # fmt: skip
AROUND = ["{}", "the caller said {} and waited", "ValueError: invalid literal: '{}'", "[{}]"]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("private", [*PHONES, *CARDS[:8]])
def test_numbers_are_taken_out_however_they_are_grouped(private: str, around: str) -> None:
    assert redacted(around.format(private)) in {
        around.format(NUMBER),
        around.format(f"＋{NUMBER}"),
        around.format(DATE),
    }


@pytest.mark.parametrize("account", CARDS[8:])
def test_of_an_account_at_most_the_country_is_left(account: str) -> None:
    assert "3704" not in redacted(account)
    assert "6016" not in redacted(account)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("private", BIRTHS)
def test_dates_are_taken_out(private: str, around: str) -> None:
    assert redacted(around.format(private)) == around.format(DATE)


@pytest.mark.parametrize("private", SECRETS)
def test_tokens_and_passwords_are_taken_out(private: str) -> None:
    clean = redacted(f"it failed: {private} (twice)")
    assert HIDDEN in clean
    for secret in (
        "eyJ", "abc123", "s3cr3t", "hunter2", "tk_live", "AKIA", "MIIB", "abcdef", "dXNl",
    ):  # fmt: skip
        assert secret not in clean


@pytest.mark.parametrize("private", SPOKEN)
def test_digits_in_words_are_taken_out(private: str) -> None:
    assert redacted(f"heard {private} again") == f"heard {NUMBER} again"


@pytest.mark.parametrize("private", PROOFS)
def test_short_digits_are_taken_out_beside_the_word_for_what_they_prove(private: str) -> None:
    assert NUMBER in redacted(private)
    assert not any(digit in redacted(private) for digit in ("4271", "42 71", "918273"))


@pytest.mark.parametrize("private", PEOPLE)
def test_addresses_of_people_are_taken_out(private: str) -> None:
    clean = redacted(private)
    assert PERSON in clean
    assert "alice" not in clean
    assert "555" not in clean


READABLE = [
    "the agent takes calls",
    "a worker died",
    "10.244.1.17:5060",
    "10.244.0.0/16 via 192.168.100.254",
    "a7b3c1d2-1234-4678-9abc-0123456789ab",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "2026-11-25T22:10:41.123+00:00",
    "2026-11-25 22:10:41",
    "card-line-7d9f8b6c5d-x2x4z",
    "HTTP 503 after 3 tries in 1500 ms",
    'File "/app/callfleet_agent/app/connector.py", line 234, in _leave',
    "callfleet/0.1 port 65535 status 486",
    "call_sessions_y2026m11",
    "one of two workers",
]


@pytest.mark.parametrize("text", READABLE)
def test_what_operators_need_stays(text: str) -> None:
    assert redacted(text) == text


def test_fields_are_private_by_their_name_or_their_form() -> None:
    assert redacted_fields(
        {
            "reason": "full", "worker": 3, "turn_answer_ms": 120.5, "ok": True, "none": None,
            "digits": "42", "caller": "x", "caller_id": 7, "customer_id": "c-1", "token": "t",
            "pin": "1", "turn_said": "hello", "number": 15550123987, "bytes": 16777216,
            "started_ms": 1790000000000, "data": b"4271", "note": "+15550123987",
            "inner": {"phone": "1", "list": ["+15550123987", {"pin": 1}, 5]}, "kind": ("a", "b"),
            "far": {"a": {"b": {"c": {"d": {"e": "+15550123987"}}}}},
        }
    ) == {
        "reason": "full", "worker": 3, "turn_answer_ms": 120.5, "ok": True, "none": None,
        "digits": HIDDEN, "caller": HIDDEN, "caller_id": HIDDEN, "customer_id": HIDDEN,
        "token": HIDDEN, "pin": HIDDEN, "turn_said": HIDDEN, "number": NUMBER, "bytes": 16777216,
        "started_ms": 1790000000000, "data": "[4 bytes]", "note": NUMBER,
        "inner": {"phone": HIDDEN, "list": [NUMBER, {"pin": HIDDEN}, 5]}, "kind": ["a", "b"],
        "far": {"a": {"b": {"c": {"d": f"{{'e': '{NUMBER}'}}"}}}},
    }  # fmt: skip


def test_a_very_long_text_is_cut() -> None:
    assert len(redacted("a " * 50_000)) < 20_000


@given(st.text(max_size=200))
def test_any_text_is_taken_and_a_second_time_changes_nothing_that_is_private(text: str) -> None:
    once = redacted(text)
    assert isinstance(redacted(once), str)


@given(
    st.text(alphabet="abc .,:", max_size=20),
    st.integers(10**6, 10**18),
    st.text(alphabet="abc .,:", max_size=20),
)
def test_a_long_number_never_survives(before: str, number: int, after: str) -> None:
    assert str(number) not in redacted(f"{before} {number} {after}")
