"""The languages in which a model may answer, and how they are told apart: by their small words."""

import re
from typing import Final

from callfleet_agent.guard.alphabet import bare

SMALL_WORDS: Final = {
    "en": "the a an i you he she it we they is are was be to of and or in on for with that this "
    "your my me can do not have will if at by from as but what where when how please sorry "
    "yes no there here would could so about any only just thank help let us am has all our "
    "hello them their which did does don't can't i'm it's sure certainly okay thanks "
    "goodbye understood welcome good morning evening afternoon however instead too also "
    "whether get find look see",
    "de": "der die das ein eine einen ich du sie er wir ihr ist sind war zu und oder in im an auf "
    "fur mit dass dies diese ihre ihren ihnen mein mir mich kann konnen nicht haben habe "
    "wird wenn bei von als aber was wo wann wie bitte leider ja nein da hier gerne nur noch "
    "es den dem des auch uns unsere darf gern naturlich danke hallo sicher verstanden guten "
    "tag morgen abend klar soll nach ihrer ihrem zum zur",
    "fr": "le la les un une des je tu il elle nous vous ils est sont etait a de du et ou dans sur "
    "pour avec que qui ce cette votre vos mon ma me peux pouvez puis ne pas avons avez ai "
    "si par mais ou quand comment desole oui non ici au aux en plus aussi etre notre c'est "
    "d'une je bonjour merci d'accord bonsoir volontiers compris bien sur entendu",
    "es": "el la los las un una yo tu usted el ella nosotros es son era a de del y o en sobre "
    "para con que este esta su sus mi me puede puedo no he ha tiene si por pero donde "
    "cuando como lo siento aqui al se le les mas solo nuestro nuestra hola gracias esto "
    "claro entendido buenos buenas dias tardes perdon bien",
    "it": "il lo la i gli le un una io tu lei lui noi e sono era a di del della dello dei e o in "
    "su per con che questo questa suo sua mio mi puo posso non ho ha se ma dove quando come "
    "mi dispiace qui al alla da piu solo nostro nostra ci grazie si certo capito buongiorno "
    "buonasera prego bene scusi",
    "pt": "o a os as um uma eu voce ele ela nos e sao era de do da dos das e ou em no na para com "
    "que este esta seu sua meu me pode posso nao tenho tem se por mas onde quando como "
    "desculpe aqui ao mais so nosso nossa lhe obrigado ola isso claro entendido bom boa dia "
    "tarde perdao bem",
    "nl": "de het een ik je jij u hij zij wij we is zijn was te van en of in op voor met dat dit "
    "uw jouw mijn me kan kunt niet heb heeft zal als bij maar wat waar wanneer hoe helaas "
    "ja nee er hier graag alleen ook naar om aan onze ons zeker begrepen goedemorgen "
    "goedendag dank hallo natuurlijk sorry",
    "sv": "en ett jag du han hon vi ni ar var att av och eller i pa for med som den det din ditt "
    "min mig kan inte har ska om vid fran men vad nar hur tyvarr ja nej dar har garna bara "
    "ocksa till oss var er de visst forstar hej tack naturligtvis god morgon",
    "pl": "ja ty on ona my wy jest sa byl do z ze i lub w we na dla o ze to ten ta te twoj pani "
    "pana panstwa moj mi moge moze nie mam ma jesli przez ale co gdzie kiedy jak prosze "
    "przepraszam tak tu tutaj tylko sie nas nasz od po za czy oczywiscie rozumiem dzien "
    "dobry dziekuje jasne",
    "tr": "bir ben sen siz o biz ve veya ile icin bu su mi mu degil var yok ne nerede ne zaman "
    "nasil lutfen uzgunum evet hayir burada sadece de da size sizin kartiniz olarak ama "
    "gibi daha cok ki her en yardimci olabilirim edebilirim tabii anladim merhaba "
    "tesekkurler tamam",
    "ru": "я ты вы он она мы они есть был и или в во на для с со что это этот эта ваш ваша вашу "
    "мои мне могу может не у от если но где когда как пожалуиста извините да нет здесь "
    "только вам вас нас по за к о об из до же бы конечно понял понятно здравствуите спасибо "
    "хорошо добрыи день",
}  # fmt: skip
_SMALL: Final = {name: frozenset(words.split()) for name, words in SMALL_WORDS.items()}
LANGUAGES: Final = frozenset(SMALL_WORDS)
_CYRILLIC: Final = frozenset({"ru"})
_ENOUGH: Final = 4
_ONE_OF: Final = 5  # no language speaks without small words for longer
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def language_of(tag: str) -> str | None:
    """The language of a BCP 47 tag, if answers may be given in it."""
    primary = tag.partition("-")[0].lower()
    return primary if primary in LANGUAGES else None


def is_in(text: str, language: str) -> bool:
    """Whether the text can be of the language: of a few words one is enough to tell, and one there
    has to be."""
    words = _WORD.findall(bare(text))
    if not all(_has_letters_of(word, language) for word in words):
        return False
    counts = {name: sum(word in small for word in words) for name, small in _SMALL.items()}
    own = counts.pop(language)
    if len(words) < _ENOUGH:
        return own > 0
    return own >= len(words) / _ONE_OF and own + 1 >= max(counts.values())


def _has_letters_of(word: str, language: str) -> bool:
    if language in _CYRILLIC:
        return all("а" <= sign <= "я" or sign == "ё" for sign in word)
    return all("a" <= sign <= "z" or sign in "ıæœøłßđþ'’" for sign in word)
