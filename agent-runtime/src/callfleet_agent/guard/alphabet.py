"""Letters that look like others (after UTS 39's confusables), and other ways to write letters."""

import re
import unicodedata
from typing import Final

_LOOKALIKES: Final = {
    "a": "аαɑᴀ", "b": "ЬвʙƄ", "c": "сϲᴄ", "d": "ԁᴅɗ", "e": "еєҽεᴇ", "f": "ғꜰƒ", "g": "ɡԍɢց",
    "h": "һнʜհ", "i": "іιɪɩ", "j": "јϳᴊ", "k": "кκᴋ", "l": "ӏⅼʟǀ", "m": "мᴍ", "n": "пηɴո",
    "o": "оοσᴏօ", "p": "рρᴘ", "q": "ԛգ", "r": "гʀᴦ", "s": "ѕꜱտ", "t": "тτᴛ", "u": "υսᴜ",
    "v": "νѵᴠ", "w": "ѡωᴡԝ", "x": "хχ", "y": "уүγʏ", "z": "ᴢʐ",
}  # fmt: skip
_TO_LATIN: Final = str.maketrans(
    {sign: letter for letter, signs in _LOOKALIKES.items() for sign in signs}
)
_LEET: Final = (
    str.maketrans("013457@$!|8+", "oieastasilbt"),
    str.maketrans("013457@$!|8+", "oleastasllbt"),
)
_LEET_WORD: Final = re.compile(r"(?=\S*[^\W\d_])(?=\S*[013457@$!|8+])\S+")

MORSE: Final = {
    ".-": "a", "-...": "b", "-.-.": "c", "-..": "d", ".": "e", "..-.": "f", "--.": "g",
    "....": "h", "..": "i", ".---": "j", "-.-": "k", ".-..": "l", "--": "m", "-.": "n",
    "---": "o", ".--.": "p", "--.-": "q", ".-.": "r", "...": "s", "-": "t", "..-": "u",
    "...-": "v", ".--": "w", "-..-": "x", "-.--": "y", "--..": "z",
}  # fmt: skip
TELEPHONE: Final = {
    "2": "abc", "3": "def", "4": "ghi", "5": "jkl", "6": "mno", "7": "pqrs", "8": "tuv",
    "9": "wxyz",
}  # fmt: skip
SPELLED: Final = {
    word: word[0]
    for word in (
        "alfa", "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india",
        "juliet", "juliett", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo",
        "sierra", "tango", "uniform", "victor", "whiskey", "xray", "yankee", "zulu",
    )
}  # fmt: skip


def bare(text: str) -> str:
    """In small letters without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in apart if unicodedata.category(sign) != "Mn")


def as_latin(text: str) -> str:
    """With letters that look Latin as Latin ones."""
    return bare(text).translate(_TO_LATIN)


def mixes_scripts(text: str) -> bool:
    """Whether a word has Latin letters and letters that only look so."""
    return any(
        any("a" <= sign <= "z" for sign in word) and word != word.translate(_TO_LATIN)
        for word in re.findall(r"\w+", bare(text))
    )


def without_leet(text: str) -> tuple[str, ...]:
    """With digits and signs inside words as the letters that they stand for."""
    return tuple(
        _LEET_WORD.sub(lambda word, table=table: word[0].translate(table), text)  # type: ignore[misc]
        for table in _LEET
    )
