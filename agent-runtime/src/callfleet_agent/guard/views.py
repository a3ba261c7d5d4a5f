"""What a text says when it is read in another way: decoded, turned round, letter by letter.

Each view is a guess, and most are nonsense; nonsense has no signs of an attack.
"""

import base64
import binascii
import codecs
import html
import re
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Final

from callfleet_agent.guard.alphabet import MORSE, SPELLED, TELEPHONE, as_latin, bare, without_leet

MOST: Final = 48
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE32: Final = re.compile(r"\b[A-Z2-7]{16,}={0,6}")
_HEX: Final = re.compile(r"(?<!\w)(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[\s,:]*){8,}")
_ESCAPE: Final = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|\bU\+([0-9A-Fa-f]{4})\s?")
_BITS: Final = re.compile(r"\b(?:[01]{8}\s*){6,}")
_CODES: Final = re.compile(r"\b(?:\d{1,3}[\s,.-]+){5,}\d{1,3}\b")
_LETTERS: Final = re.compile(r"(?<!\w)(?:\w[\s.,·_*-]+){5,}\w(?!\w)")
_MORSE: Final = re.compile(r"(?:[.-]{1,5}(?:\s+|\s*/\s*)){5,}[.-]{1,5}")
_TAPPED: Final = re.compile(r"\b(?:([2-9])\1{0,3}[\s,]+){5,}[2-9]{1,4}\b")
_PIG: Final = re.compile(
    r"\b([a-z]+?)(thr|str|spr|scr|th|sh|ch|wh|qu|[bcdfghjklmnpqrstvwxz][rl]|s[ckmnptw]|"
    r"[bcdfghjklmnpqrstvwxz])ay\b"
)
_DIGIT_WORDS: Final = {
    word: str(value)
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    )
}
_TENS: Final = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30,
}  # fmt: skip
_NUMBER_WORDS: Final = re.compile(
    r"\b(twenty|thirty)[ -](one|two|three|four|five|six|seven|eight|nine)\b|\b("
    + "|".join((*_DIGIT_WORDS, *_TENS))
    + r")\b"
)


def views(text: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the other readings of a cleaned text; "folded" is not a decoding."""
    seen = {bare(text)}
    count = 0
    for name, read in _READINGS:
        for found in read(text):
            if found not in seen and len(found) >= 4 and count < MOST:
                seen.add(found)
                count += 1
                yield name, found


def _folded(text: str) -> Iterator[str]:
    yield as_latin(text)


def _leet(text: str) -> Iterator[str]:
    plain = as_latin(text)
    for read in without_leet(plain):
        if read == plain:
            continue
        yield read
        yield from _spelled(read)


def _base64(text: str) -> Iterator[str]:
    for found in _BASE64.findall(text):
        whole = found.rstrip("=").translate(str.maketrans("-_", "+/"))
        yield from _readable(_bytes(base64.b64decode, whole + "=" * (-len(whole) % 4)))


def _base32(text: str) -> Iterator[str]:
    for found in _BASE32.findall(text):
        whole = found.rstrip("=")
        yield from _readable(_bytes(base64.b32decode, whole + "=" * (-len(whole) % 8)))


def _hex(text: str) -> Iterator[str]:
    for found in _HEX.findall(text):
        digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", found)
        yield from _readable(_bytes(bytes.fromhex, digits[: len(digits) // 2 * 2]))


def _escaped(text: str) -> Iterator[str]:
    if _ESCAPE.search(text):
        yield bare(_ESCAPE.sub(lambda hit: chr(int(hit[1] or hit[2] or hit[3], 16)), text))
    yield bare(html.unescape(text))
    yield bare(urllib.parse.unquote(text))


def _turned(text: str) -> Iterator[str]:
    yield bare(text)[::-1]
    yield " ".join(reversed(bare(text).split()))
    yield " ".join(word[::-1] for word in bare(text).split())


def _shifted(text: str) -> Iterator[str]:
    yield codecs.encode(bare(text), "rot13")
    yield bare(text).translate(_ATBASH)


def _bits(text: str) -> Iterator[str]:
    for found in _BITS.findall(text):
        bits = re.sub(r"\s", "", found)
        pieces = (bits[at : at + 8] for at in range(0, len(bits) // 8 * 8, 8))
        yield from _readable(bytes(int(piece, 2) for piece in pieces))


def _coded(text: str) -> Iterator[str]:
    """Numbers as ASCII, or as places in the alphabet; also said as words."""
    for written in (text, _in_digits(text)):
        for found in _CODES.findall(written):
            numbers = [int(number) for number in re.findall(r"\d+", found)]
            if all(32 <= number < 127 for number in numbers):
                yield bare("".join(map(chr, numbers)))
            if all(0 <= number <= 26 for number in numbers):
                yield "".join(chr(96 + number) if number else " " for number in numbers)


def _spelled(text: str) -> Iterator[str]:
    """Letters said or written one by one."""
    for found in _LETTERS.findall(text):
        yield as_latin(re.sub(r"[\W_]", "", found))
    words = re.findall(r"\w+", bare(text.replace("x-ray", "xray")))
    run = "".join(SPELLED.get(word, " ") for word in words)
    yield from (part for part in run.split() if len(part) >= 5)


def _morse(text: str) -> Iterator[str]:
    for found in _MORSE.findall(text):
        yield "".join(MORSE.get(sign, " ") for sign in found.split())


def _tapped(text: str) -> Iterator[str]:
    """As keys of a telephone, each pressed as often as its letter stands on it."""
    for written in (text, _in_digits(text)):
        for found in _TAPPED.finditer(written):
            taps = re.findall(r"([2-9])(\1*)", re.sub(r"[\s,]+", " ", found[0]))
            yield "".join(TELEPHONE[key][len(more) % len(TELEPHONE[key])] for key, more in taps)


def _pig(text: str) -> Iterator[str]:
    if len(_PIG.findall(bare(text))) >= 3:
        yield _PIG.sub(r"\2\1", re.sub(r"\b(\w+)way\b", r"\1", bare(text)))


_READINGS: Final[tuple[tuple[str, Callable[[str], Iterator[str]]], ...]] = (
    ("folded", _folded), ("leet", _leet), ("base64", _base64), ("base32", _base32), ("hex", _hex),
    ("escaped", _escaped), ("turned", _turned), ("shifted", _shifted), ("bits", _bits),
    ("coded", _coded), ("spelled", _spelled), ("morse", _morse), ("tapped", _tapped),
    ("pig", _pig),
)  # fmt: skip
_ATBASH: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba")


def _bytes(decode: Callable[[str], bytes], text: str) -> bytes:
    try:
        return decode(text)
    except (binascii.Error, ValueError):
        return b""


def _readable(data: bytes) -> Iterator[str]:
    """The bytes as text, when nearly all of it is text; and what is encoded in it once more."""
    text = data.decode("utf-8", errors="replace")
    good = sum(sign.isprintable() and sign != "\ufffd" for sign in text)
    if len(text) < 4 or good < 0.9 * len(text):
        return
    yield bare(text)
    yield bare(text)[::-1]
    yield from _base64(text)


def _in_digits(text: str) -> str:
    """Number words up to thirty-nine as digits."""

    def number(hit: re.Match[str]) -> str:
        if hit[1]:
            return str(_TENS[hit[1]] + int(_DIGIT_WORDS[hit[2]]))
        return _DIGIT_WORDS.get(hit[3]) or str(_TENS[hit[3]])

    return _NUMBER_WORDS.sub(number, bare(text))
