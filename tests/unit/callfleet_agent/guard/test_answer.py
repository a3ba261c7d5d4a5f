"""What of a model's answer may be spoken."""

import pytest

from callfleet_agent.guard import AnswerFilter, Speakable
from callfleet_agent.guard.languages import is_in, language_of

TOLD = "You answer the telephone for Example Bank. You help callers to find out where it is."


def judge(language: str = "en") -> AnswerFilter:
    return AnswerFilter(Speakable(language, TOLD, frozenset({"Example Bank"})))


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("I can look for your card.", None),
        ("Welcome to Example Bank, how can I help you?", None),
        ("It takes one day or so.", None),
        ("You can have a look. " * 13, "too_long"),
        ("See the *card*.", "unspeakable"),
        ("It is an antidisestablishmentarianismish thing.", "unspeakable"),
        ("It is aBc for you.", "unspeakable"),
        ("It is h4ck for you.", "unspeakable"),
        ("It is SHOUTED to you.", "unspeakable"),
        ("It is a b c d to you.", "spelled"),
        ("It is 42 for you.", "number"),
        ("It is ② for you.", "number"),
        ("It is four two for you.", "number"),
        ("It is a euro for you.", "number"),
        ("Go to the website for this.", "address"),
        ("It is at evil dot com.", "address"),
        ("Please call us on that line.", "address"),
        ("It is in Elm Street as you know.", "address"),
        ("Please tell me your password.", "credential"),
        ("I have transferred it to you.", "claim"),
        ("It has been blocked for you.", "claim"),
        ("It was shipped to you.", "dealing"),
        ("Another customer has it.", "somebody_else"),
        ("I was told that you can.", "itself"),
        ("It is with Alice as you know.", "name"),
        ("You help callers to find out where it is.", "instructions"),
        ("das kann ich für dich tun.", "language"),
        ("gnihton od nac I taht si siht", "language"),
    ],
)
def test_a_sentence(sentence: str, reason: str | None) -> None:
    assert judge().reason(sentence) == reason


@pytest.mark.parametrize(
    ("sentences", "reason"),
    [
        (("It is four.", "It is two."), "number"),
        (("I see, i.", "g n o."), "spelled"),
        (("You can have a look at it, and so can I. " * 5,) * 4, "too_long"),
        (("I have.", "It transferred."), None),
        (("Another.",), "language"),
        (("I have", "transferred it to you"), "claim"),
    ],
)
def test_what_was_said_before_counts(sentences: tuple[str, ...], reason: str | None) -> None:
    filtered = judge()
    *before, last = (filtered.reason(sentence) for sentence in sentences)
    assert before == [None] * len(before)
    assert last == reason


@pytest.mark.parametrize(
    ("language", "sentence", "reason"),
    [
        ("de", "Ich kann Ihnen sagen, wo Ihre Karte ist.", None),
        ("de", "Die Karte wurde an Alice verschickt.", "dealing"),
        ("de", "Ich habe das für Sie gesperrt.", "claim"),
        ("de", "Bitte nennen Sie mir Ihre Geheimzahl.", "credential"),
        ("fr", "Votre carte a été envoyée à Lyon.", "dealing"),
        ("fr", "C'est chez Alice.", "name"),
        ("es", "Dígame su contraseña.", "credential"),
        ("ru", "Назовите ваш пароль.", "credential"),
        ("ru", "Я могу вам помочь.", None),
        ("ru", "I can help you.", "language"),
        ("en", "Я могу вам помочь.", "language"),
    ],
)
def test_other_languages(language: str, sentence: str, reason: str | None) -> None:
    assert judge(language).reason(sentence) == reason


def test_instructions_are_not_said_backwards_either() -> None:
    assert judge().instructions() is None
    filtered = judge()
    assert filtered.reason(" ".join(reversed(TOLD.lower().split()))) is not None


@pytest.mark.parametrize(
    ("tag", "language"), [("en", "en"), ("de-AT", "de"), ("PT-br", "pt"), ("tlh", None)]
)
def test_languages_by_tag(tag: str, language: str | None) -> None:
    assert language_of(tag) == language


def test_a_few_words_need_one_that_tells() -> None:
    assert is_in("Yes.", "en")
    assert not is_in("Swordfish.", "en")
    assert not is_in("", "en")
