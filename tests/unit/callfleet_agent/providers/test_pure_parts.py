"""Sentences and server-sent events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_agent.providers.sentences import LONGEST, SentenceReader, alike, spoken
from callfleet_agent.providers.sse import MAX_LINE_BYTES, EventReader


class TestSentences:
    @pytest.mark.parametrize(
        ("pieces", "found"),
        [
            (["Yes. No! What? "], ["Yes.", "No!", "What?"]),
            (["It costs 3.50 a month"], ["It costs 3.50 a month"]),
            (["One\n- two\n* three"], ["One", "two", "three"]),
            (["**Bold** and `code`. x"], ["Bold and code .", "x"]),
            (['He said "yes." Then', " he left."], ['He said "yes."', "Then he left."]),
            (["", " ", "\n"], []),
        ],
    )
    def test_text_becomes_sentences(self, pieces: list[str], found: list[str]) -> None:
        reader = SentenceReader()
        sentences = [sentence for piece in pieces for sentence in reader.feed(piece)]
        assert sentences + reader.flush() == found

    @given(st.text(alphabet="ab .,!?\n", max_size=600), st.integers(1, 50))
    def test_however_it_is_cut_no_word_is_lost(self, text: str, size: int) -> None:
        reader = SentenceReader()
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        found = [sentence for piece in pieces for sentence in reader.feed(piece)]
        found += reader.flush()
        assert "".join("".join(found).split()) == "".join(spoken(text).split())
        assert all(len(sentence) <= LONGEST + size for sentence in found)

    def test_one_without_an_end_is_cut_at_a_pause(self) -> None:
        reader = SentenceReader()
        found = reader.feed("word " * 100)
        assert all(len(sentence) <= LONGEST for sentence in found)
        assert reader.feed("x" * 500)

    def test_what_broke_off_is_dropped(self) -> None:
        reader = SentenceReader()
        reader.feed("It comes ")
        reader.drop()
        assert reader.flush() == []

    def test_sentences_are_alike_by_their_words(self) -> None:
        assert alike("It's on its way!", "it's on  its way")
        assert not alike("It is here.", "It is not here.")


class TestEvents:
    @pytest.mark.parametrize("size", [1, 2, 7, 1000])
    def test_however_they_are_cut(self, size: int) -> None:
        text = b": hello\r\ndata: a\r\n\r\nevent: x\ndata:b\ndata: c\n\n\n\ndata: d"
        reader, found = EventReader(), []
        for start in range(0, len(text), size):
            found += reader.feed(text[start : start + size])
        assert found == [b"a", b"b\nc"]

    def test_a_line_without_an_end(self) -> None:
        reader = EventReader()
        with pytest.raises(ValueError, match="too long"):
            reader.feed(b"x" * (MAX_LINE_BYTES + 1))
