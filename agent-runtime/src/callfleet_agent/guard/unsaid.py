"""Words by which it is known that a sentence is not a model's to say, in the answers' languages.

All are without accents and in small letters. Too many is safe: the dialog answers instead.
"""

import re
from typing import Final


def _any(*words: str, whole: bool = False) -> re.Pattern[str]:
    alternatives = "|".join(word for line in words for word in line.split("|"))
    return re.compile(rf"(?<!\w)(?:{alternatives})" + (r"(?!\w)" if whole else ""))


NUMBER_WORDS: Final = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|"
    "fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
    "ninety|hundred|thousand|million|double|triple",
    "null|eins|zwei|drei|vier|funf|sechs|sieben|acht|neun|zehn|elf|zwolf|zwanzig|dreissig|vierzig|"
    "funfzig|sechzig|siebzig|achtzig|neunzig|hundert|tausend",
    "zero|deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|vingt|trente|quarante|cinquante|"
    "soixante|cent|mille",
    "cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|veinte|treinta|cien|mil",
    "due|tre|quattro|cinque|sei|sette|otto|nove|dieci|venti|cento|mille",
    "dois|duas|quatro|sete|oito|dez|vinte|cem",
    "nul|twee|drie|vijf|zes|zeven|negen|tien|twintig|honderd|duizend",
    "noll|tva|fyra|fem|sex|sju|atta|nio|tio|tjugo|hundra|tusen",
    "dwa|trzy|cztery|piec|szesc|siedem|osiem|dziewiec|dziesiec|sto|tysiac",
    "sifir|iki|uc|dort|bes|alti|yedi|sekiz|dokuz|yuz",
    "ноль|один|два|три|четыре|пять|шесть|семь|восемь|девять|десять|двадцать|сто|тысяча",
)
CURRENCIES: Final = _any(
    r"(?:pounds?|dollars?|euros?|cents?|pence|quid|kronor|zloty\w*|lira|roubles?|bitcoin\w*|"
    r"iban|bic|swift|рубл\w*|евро|доллар\w*)",
    whole=True,
)
ADDRESSES: Final = re.compile(
    r"https?|www|://|@|\b\w+\.(?:com|net|org|io|info|biz|de|fr|es|it|pt|nl|se|pl|ru|tr|eu|co|me|xyz)\b|"
    r"\b(?:dot|punkt|point|punto|ponto|punt|kropka|nokta|точка) "
    r"(?:com|net|org|io|info|biz|de|fr|es|it|pt|nl|se|pl|ru|tr|eu|co|me|xyz|ком|ру)\b|"
    r"\b(?:website|web site|web page|webseite|internetseite|site web|sitio web|pagina web|sito web|"
    r"webbplats|webbsida|strona internetowa|сайт\w*|e-?mails?|mail|courriel|correo|sms|whatsapp|"
    r"telegram|download|app store|qr code|barcode)\b|"
    r"\b(?:street|avenue|boulevard|strasse|rue|calle|via|rua|ulica|улиц\w*|postcode|zip code|"
    r"postal code|sokak|cadde\w*|gatan|straat)\b|"
    r"\b(?:call|dial|ring|phone|text|rufen sie|wahlen sie|appelez|composez|llame|marque|chiami|"
    r"ligue|disque|bel|ring|zadzwon|позвоните|наберите|arayin)\b.{0,24}"
    r"\b(?:number|line|hotline|nummer|numero|numer|номер|numara|us at|us on|back at)\b"
)
CREDENTIALS: Final = re.compile(
    r"(?<!\w)(?:pins?|pin-?codes?|passwords?|passcodes?|pass phrases?|passphrase|codes?|cvv|cvc|"
    r"security (?:number|answer|question|word)s?|card numbers?|account numbers?|customer numbers?|"
    r"sort codes?|digits|date of birth|birthday|maiden name|social security|credentials?|token|"
    r"geheimzahl\w*|passwort\w*|kennwort\w*|kartennummer\w*|kontonummer\w*|kundennummer\w*|"
    r"geburtsdatum|tan|ziffern|"
    r"mots? de passe|code secret|numeros? de (?:carte|compte|client)|date de naissance|chiffres|"
    r"contrasenas?|claves?|codigos?|numeros? de (?:tarjeta|cuenta|cliente)|fecha de nacimiento|"
    r"password|codice|codici|numero (?:della carta|di carta|di conto|cliente)|data di nascita|"
    r"senhas?|numeros? d[oea] (?:cartao|conta|cliente)|data de nascimento|"
    r"wachtwoord\w*|pincode|kaartnummer|rekeningnummer|klantnummer|geboortedatum|"
    r"losenord\w*|pinkod\w*|kortnummer\w*|kontonummer\w*|kundnummer\w*|fodelsedatum|"
    r"haslo|hasla|hasel|kod\w*|numer\w* (?:karty|konta|klienta)|data urodzenia|"
    r"sifre\w*|parola\w*|kart numara\w*|hesap numara\w*|musteri numara\w*|dogum tarihi|"
    r"парол\w*|пин\w*|код\w*|номер\w* (?:карт\w*|счет\w*|клиент\w*)|дат\w* рождения)(?!\w)"
)
CLAIMS: Final = re.compile(
    r"(?<!\w)(?:i|we|i've|we've|i'll|we'll|i have|we have|i will|we will|i am|i'm) (?:now |just |"
    r"already |have |been )*(?:transferr?\w*|block\w*|unblock\w*|cancel\w*|order\w*|sent|send\w*|"
    r"refund\w*|chang\w*|rais\w*|increas\w*|lower\w*|activat\w*|deactivat\w*|verif\w*|unlock\w*|"
    r"authenticat\w*|approv\w*|register\w*|updat\w*|delet\w*|paid|pay\w*|credit\w*|wir\w*|grant\w*|"
    r"disabl\w*|enabl\w*|reset\w*|issu\w*)(?!\w)|"
    r"(?<!\w)(?:has|have|is|are|was|were|will|been) (?:now |just |already |been |be )*(?:"
    r"transferred|blocked|unblocked|cancelled|canceled|ordered|refunded|changed|raised|increased|activated|"
    r"deactivated|verified|unlocked|authenticated|authorised|authorized|approved|credited|debited|"
    r"wired|granted|disabled|reset|issued|lifted|waived)(?!\w)|"
    r"(?<!\w)(?:verified|guarantee\w*|promis\w*|uberwiesen|gesperrt|entsperrt|bestatigt|verifiziert|"
    r"freigeschaltet|versprech\w*|garantier\w*|storniert|vire|bloque|debloque|verifie|transfere|"
    r"promets|garanti\w*|transferido|bloqueado|desbloqueado|verificado|prometo|garantizo|"
    r"trasferito|bloccato|sbloccato|verificato|prometto|garantisco|cancelado|"
    r"overgemaakt|geblokkeerd|geverifieerd|beloof|overfort|sparrat|verifierad\w*|lovar|"
    r"przela\w*|zablokowa\w*|zweryfikowa\w*|obiecuj\w*|havale|bloke|dogrulandi|soz veriyorum|"
    r"переве(?:л|ден)\w*|заблокирован\w*|подтвержден\w*|обещаю|гарантир\w*)(?!\w)"
)
DEALINGS: Final = re.compile(
    r"(?<!\w)(?:balances?|limits?|overdraft|payments?|transactions?|transfers?|refunds?|salary|loans?|"
    r"mortgages?|fees?|interest|debts?|savings|statements?|shipped|delivered|delivery to|printed|"
    r"out for delivery|on its way|dispatched|returned to|was lost|is lost|arrived|arrives|tracking|"
    r"carrier|courier|"
    r"kontostand\w*|limit|uberweisung\w*|verschickt|versandt|zugestellt|geliefert|gedruckt|guthaben|"
    r"solde|plafond|virement\w*|expediee?|livree?|envoyee?|imprimee?|"
    r"saldo\w*|limite|transferencia\w*|enviad[ao]|entregad[ao]|impres[ao]|pago|pagos|"
    r"bonifico|spedit[ao]|consegnat[ao]|stampat[ao]|pagament\w*|"
    r"transferencia|enviado|entregue|pagamento\w*|impresso|"
    r"overboeking\w*|verzonden|bezorgd|geleverd|betaling\w*|tegoed|"
    r"overforing\w*|skickat\w*|levererat\w*|betalning\w*|"
    r"przelew\w*|wysla\w*|dostarczon\w*|platnosc\w*|"
    r"bakiye\w*|gonderildi|teslim|odeme\w*|"
    r"баланс\w*|остат\w*|отправлен\w*|доставлен\w*|платеж\w*|перевод\w*|лимит\w*)(?!\w)"
)
OTHERS: Final = re.compile(
    r"(?<!\w)(?:(?:other|another|previous|last|next|every|all|different) (?:\w+ )?(?:customers?|"
    r"callers?|clients?|account holders?|cardholders?|users?)|customers? (?:named|called|list|"
    r"records?)|(?:mr|mrs|ms|miss|dr|herr|frau|monsieur|madame|senor|senora|signor|signora|senhor|"
    r"senhora|meneer|mevrouw|господин|госпожа|bay|bayan)\.? (?!\W)[a-zа-я]{3,}|"
    r"(?:s?he|they|his|her) (?:lives?|banks?|has|is|was|account|card|pin|address)|"
    r"lives? (?:at|in|on)|ander\w* kunde\w*|autre\w* client\w*|otro\w* cliente\w*|"
    r"altr\w* client\w*|outro\w* cliente\w*|andere klant\w*|andra kund\w*|inn\w* klient\w*|"
    r"diger musteri\w*|друг\w* клиент\w*|database|datenbank|base de donnees|base de datos|"
    r"baz\w* danych|баз\w* данных)(?!\w)"
)
ABOUT_ITSELF: Final = re.compile(
    r"(?<!\w)(?:(?:system|initial|original|hidden|secret) (?:prompts?|instructions?|message)|"
    r"my (?:instructions?|prompts?|rules|programming|guidelines|developers?|restrictions?)|"
    r"(?:my|the) (?:instructions|rules) (?:say|are|were)|i was (?:told|instructed|programmed)|"
    r"developer mode|unrestricted|jailbr\w*|no restrictions|without restrictions|language model|"
    r"api keys?|access key|admin\w*|sudo|root|openai|chatgpt|hacked|pwned|owned|dan|"
    r"systemprompt\w*|meine (?:anweisungen|regeln|vorgaben)|mes (?:instructions|regles|consignes)|"
    r"mis (?:instrucciones|reglas)|le mie (?:istruzioni|regole)|minhas (?:instrucoes|regras)|"
    r"mijn (?:instructies|regels)|mina (?:instruktioner|regler)|moje (?:instrukcje|zasady)|"
    r"talimatlarim|kurallarim|мои (?:инструкц\w*|правил\w*)|systempromp\w*|entwicklermodus|"
    r"mode developpeur|modo desarrollador|режим разработчика)(?!\w)"
)
