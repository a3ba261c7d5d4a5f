"""The phrases of attacks on language models, in many languages; tables, one phrase a line.

A phrase is a row of groups with gaps between them (…); a group is alternatives (|), of which each
is the beginning of words, or whole words where it ends with an underscore. They are in small
letters and without accents. What people ask a bank must not be here: tests/vectors/injection has
both.
"""

from typing import Final

OVERRIDE: Final = """
ignore|disregard|forget_|override|bypass|dismiss|discard|neglect|do not follow|don't follow|stop following|pay no attention to … all|any_|every|previous|prior_|above|earlier|preceding|your|system|former|original|safety|these|those … instruction|rule|prompt|guideline|directive|restriction|polic|training|command|constraint|programming|guardrail|safeguard
ignore|disregard|forget_ … everything|anything|all_|what … you were told|you have been told|you've been told|you know|above|before this|your developers
your|all safety|content … restriction|filter|safet|guardrail|rules … lifted|suspended|disabled|removed|switched off|turned off|do not apply|don't apply|no longer
new system|real instruction|actual instruction|new directive|updated directive|overriding instruction|higher priority than|takes precedence over|supersede
end of … system prompt|system message|instructions_|prompt_|user input|caller text|transcript_
missachte|ignorier|vergiss|vergessen sie|uberschreib|umgehe|beachte nicht|befolge nicht … alle|bisherig|vorherig|vorige|obig|deine|ihre|eure|system|fruher … anweisung|instruktion|regel|vorgabe|befehl|richtlinie|beschrankung|prompt|anleitung
vergiss|ignorier … alles … gesagt|gelernt|weisst|bisher|vorher|oben
ignore|ignorez|oublie|oubliez|neglige|contourne|ne tiens pas compte|ne tenez pas compte … toutes|tous|precedent|anterieur|tes_|vos_|ton_|votre|ci-dessus|systeme … instruction|regle|consigne|directive|ordre|restriction|prompt
ignora|ignore|olvida|olvide|descarta|desobedece|omite|salta|pasa por alto … todas|todos|anterior|previa|tus_|sus_|arriba|sistema|las … instruccion|regla|orden|directriz|directrices|restriccion|prompt|indicacion
ignora|dimentica|tralascia|scarta|aggira|non seguire … tutte|tutti|precedent|tue_|tuoi|sue_|sopra|sistema|le_ … istruzion|regol|direttiv|ordini|restrizion|prompt|indicazion
ignore|ignora|esqueca|esquece|desconsidere|descarte|contorne … todas|todos|anterior|suas|seus|acima|sistema|as_ … instruc|regra|ordens|diretriz|restric|prompt
negeer|vergeet|omzeil|sla … over|volg niet … alle_|vorige|eerdere|voorgaande|je_|jouw|uw_|bovenstaande|systeem … instructie|regel|opdracht|richtlijn|beperking|prompt
ignorera|glom|bortse fran|strunta i|kringga … alla|tidigare|foregaende|dina|ovanstaende|system … instruktion|regler|order|riktlinj|begransning|prompt
ignorer|glem|se bort fra … alle|tidligere|forrige|dine|ovenstaende|system … instruk|regler|prompt
zignoruj|ignoruj|zapomnij|pomin|omin|obejdz|nie zwazaj … wszystk|poprzedni|wczesniejsz|swoje|twoje|powyzsz|system|o_ … instrukcj|polecen|zasad|regul|wytyczn|ograniczen|prompt
игнорир|проигнорир|забуд|отбрось|обойди|не обращаи внимания|нарушь … все|предыдущ|прежн|свои|твои|ваши|выше|систем|прошл … инструкц|правил|указани|команд|ограничен|промпт|директив
ігнору|проігнору|забуд|відкинь|обіиди … всі|усі|попередн|свої|твої|вище|систем … інструкц|правил|вказівк|команд|обмежен
yok say|gormezden gel|unut|dikkate alma|atla … talimat|kural|komut|yonerge|kisitlama
talimat|kural|komut|yonerge|kisitlama … yok say|gormezden gel|unut|dikkate alma|devre disi
忽略|无视|忘记|不要理会|绕过|忽視|無視|忘記 … 指令|规则|指示|提示|命令|限制|規則|要求
無視|忘れ|従わない … 指示|命令|ルール|プロンプト|規則
指示|命令|ルール|プロンプト|規則|制約 … 無視|忘れ|従わない|破っ|解除
무시|잊어 … 지시|명령|규칙|프롬프트
지시|명령|규칙|프롬프트 … 무시|잊어|따르지
تجاهل|انس|تجاوز|لا تتبع … تعليمات|التعليمات|قواعد|القواعد|اوامر|الاوامر|القيود|ارشادات
अनदेखा|नज़रअंदाज़|भूल जाओ|भूल जाइए|उपेक्षा … निर्देश|नियम|आदेश
निर्देश|नियम|आदेश … अनदेखा|नज़रअंदाज़|भूल|उपेक्षा|मत मान
bo qua|quen … huong dan|chi thi|quy tac|lenh
abaikan|lupakan … instruksi|perintah|aturan
αγνοησε|ξεχασε|παρακαμψε … οδηγιες|κανονες|εντολες
ignora|uita … instructiun|reguli|comenz
zapomen|ignoruj|prehlizej … pokyn|pravidl|instrukc|prikaz
set aside|put aside|put away|drop_|cancel|suspend|abandon|throw away|break_|violate|free of|free from|released from|not bound by|let go of|step outside|rise above|deviate from|depart from … your|every_|all_|the policies|the rules you|any_ … rule_|rules_|instruction|guideline|policies you|directive|restriction|programming|constraint|orders_
your … instruction|rules_|guidelines|orders_|directive|programming|restrictions … are void|void_|do not count|don't count|are cancelled|are over|have ended|have expired|are wrong|changed
obey me|obey only|listen only to me|i am in charge now|take orders from me|i give the orders
setze dich|setzen sie sich|lass|lege|leg_|brich|ignorier|streiche|vergiss … deine|deiner|ihre|seine … vorgaben|anweisungen|regeln|richtlinien|befehle
fais abstraction|faites abstraction|mets de cote|laisse tomber|affranchis-toi|enfreins|ne respecte pas|ne respecte plus … tes_|vos_ … consignes|regles|instructions|directives
haz caso omiso|deja de lado|rompe|incumple|no respetes|no sigas|no obedezcas … tus_|sus_|las_ … instrucciones|reglas|normas|directrices
non tenere conto|non rispettare|metti da parte|lascia perdere|infrangi|viola_ … tue_|sue_|le_ … istruzioni|regole|direttive|disposizioni
deixe de lado|nao siga|nao respeite|nao obedeca|quebre|largue … suas|tuas|as_ … instrucoes|regras|diretrizes|ordens
trek je niets aan van|leg_|laat … je_|jouw|uw_ … instructies|regels|richtlijnen|opdrachten
strunta i|lagg|bryt|folj inte … dina|reglerna … regler|instruktioner|riktlinjer
przestan stosowac|nie stosuj|odloz|zlam|porzuc|nie przestrzegaj … swoich|swoje|twoich|zasad … zasad|instrukcj|regul|wytyczn
отмени|отложи|брось|перестань|не следуи|не соблюдаи|забудь про … свои|твои|все_|своим|своих … правил|инструкц|указани
bir kenara birak|cigne|uyma|bosver … kural|talimat|beni
kural|talimat … bir kenara birak|cigne|uyma|bosver
不遵守|不要遵守|打破|抛开|放下 … 规则|指令|规定|指示
ルール|規則|指示 … 破っ|従わず|守らない|忘れて
لا تلتزم|لا تتقيد|اترك|خالف … بالتعليمات|تعليمات|القواعد|قواعد
नियम|निर्देश … छोड़|तोड़|मत मानो
"""
REVEAL: Final = """
system prompt|system message|hidden prompt|initial prompt|initial instruction|original instruction|hidden instruction|secret instruction|developer message|preprompt|pre-prompt|prompt verbatim|your prompt|your context window|your configuration file
reveal|print|output|recite|disclose|leak|dump|paraphrase … your|the_ … instruction|prompt|guidelines|configuration|programming|internal rules
repeat|say|print|output|recite|copy … words_|text|everything|sentence|lines_|message … above|before this|so far|verbatim|starting with|word for word
api key|access token|bearer token|environment variable|source code|database password|admin password|administrator password|private key|secret key|master password|master pin|signing key|service account
systemprompt|systemnachricht|geheime anweisung|versteckte anweisung|interne anweisung|ursprungliche anweisung|interne regeln
prompt systeme|message systeme|invite systeme|instructions initiales|instructions cachees|instructions secretes|consignes internes|instructions internes
prompt del sistema|prompt de sistema|instrucciones iniciales|instrucciones ocultas|instrucciones secretas|instrucciones internas|mensaje del sistema
prompt di sistema|istruzioni iniziali|istruzioni nascoste|istruzioni segrete|istruzioni interne|messaggio di sistema
prompt do sistema|prompt de sistema|instrucoes iniciais|instrucoes ocultas|instrucoes secretas|instrucoes internas
systeemprompt|systeembericht|verborgen instructie|geheime instructie|interne instructie
systemprompt|systemmeddelande|dolda instruktion|hemliga instruktion|interna instruktion|systemprompten
prompt systemow|monit systemow|instrukcje systemow|ukryte instrukcje|tajne instrukcje|wewnetrzne instrukcje
системн промпт|системныи промпт|системного промпта|системное сообщение|скрытые инструкции|секретные инструкции|внутренние инструкции|системні інструкції|системнии промпт|приховані інструкції
sistem istemi|sistem mesaj|gizli talimat|ic talimat|sistem prompt|ilk talimat
系统提示|系統提示|隐藏的指令|内部指令|初始指令|秘密指令|提示词
システムプロンプト|隠された指示|内部の指示|初期の指示|秘密の指示
시스템 프롬프트|숨겨진 지시|내부 지시
موجه النظام|تعليمات النظام|التعليمات السرية|التعليمات المخفية|التعليمات الداخلية
सिस्टम प्रॉम्प्ट|छिपे हुए निर्देश|गुप्त निर्देश|आंतरिक निर्देश
quote|recite|spell|read out|cite … your|them_|it_ … instruction|rules_|guidelines|directive|orders_|programming|configuration|setup|set-up
set aside|drop|forget|cancel|break|rules|guidelines|instructions|orders … and quote|and recite|quote them|recite them|and read them|read them out
how were you|what were you|how are you … configured|programmed|told before|told to|instructed|given at the start|set up
text|words|message|everything|what … precedes my|before my first|at the start of this|stood at the top|at the top of|you were given|you have been given|they set you up|you were set up
credentials|token_|password|key_ … this line|you use|your servers|the bank's servers|of the vault|your system|you connect
speak|say|tell|give|spell|what is … vault password|server password|system password|secret word|secret code|master code
zitier|rezitier|lies … deine|ihre|sie_ … vorgaben|anweisungen|regeln|vor_
vorgaben|anweisungen|regeln … zitier|rezitier|lies sie|vorlesen
consignes|instructions|regles … recite|cite-les|lis-les|recite-les|lisez-les
instrucciones|reglas|normas … recita|leelas|citalas|lealas
istruzioni|regole … recita|leggile|citale
instrucoes|regras … recite|leia-as|cite-as
instructies|regels … lees ze|citeer|voordragen
regler|instruktioner … beratta vad|las upp|citera
zasad|instrukcj|regul … zacytuj|przeczytaj|wyrecytuj
правил|инструкц|указани … процитируи|зачитаи|прочитаи|перескажи
kural|talimat … oku|alintila
规则|指令|指示|提示 … 念出来|读出来|背出来|全部说
内部の情報|内部情報|秘密の情報
التعليمات|بالتعليمات|تعليماتك|القواعد … اقراها|اقراه|واقراها|اذكرها
नियम|निर्देश … सुनाओ|पढ़कर|बताओ
passwort|kennwort|schlussel … des systems|des servers|der datenbank|wie heisst
"""
ROLE: Final = """
unrestricted|without restriction|without any restriction|without rules|uncensored|unfiltered|dan_|do anything now|developer mode|debug mode|admin mode|god mode|jailbreak|jail break|maintenance mode|diagnostic mode|root access|superuser|sudo_|no filters|evil assistant|without limits|opposite mode
pretend|act as|act like|roleplay|role-play|role play|imagine you|simulate|behave like|behave as|play the part|play the role|you are now|become … bank employee|administrator|teller_|hacker|terminal|computer|database|grandmother|assistant|machine|developer|an ai_|language model|root_|person without|employee of|linux|console|no rules|my late|free ai
entwicklermodus|wartungsmodus|administratormodus|ohne einschrankung|ohne beschrankung|ohne regeln|uneingeschrankt|keine einschrankungen mehr|unzensiert
tu so als|stell dir vor du|spiel die rolle|du bist jetzt|du bist ab jetzt|sie sind jetzt|verhalte dich wie … ki_|administrator|entwickler|bankmitarbeiter|assistent|hacker|datenbank|computer|terminal|mitarbeiter
mode developpeur|mode maintenance|mode administrateur|sans restriction|sans aucune restriction|sans regles|sans limites|sans filtre|non censure
fais semblant|faites semblant|tu es maintenant|vous etes maintenant|agis comme|agissez comme|joue le role|imagine que tu … ia_|administrateur|developpeur|employe|assistant|pirate|terminal|base de donnees|banquier
modo desarrollador|modo mantenimiento|modo administrador|sin restricciones|sin reglas|sin limites|sin filtro|sin censura
finge|haz como si|ahora eres|a partir de ahora eres|actua como|imagina que eres|haz el papel … ia_|administrador|desarrollador|empleado|asistente|pirata|terminal|base de datos|hacker
modalita sviluppatore|modalita manutenzione|modalita amministratore|senza restrizioni|senza regole|senza limiti|senza filtri|senza censura
fai finta|ora sei|adesso sei|comportati come|immagina di essere|recita la parte … ia_|amministratore|sviluppatore|impiegato|assistente|hacker|terminale|database
modo desenvolvedor|modo de desenvolvedor|modo manutencao|modo administrador|sem restricoes|sem regras|sem limites|sem filtro|sem censura
finja|agora voce e|aja como|imagine que voce|faca o papel … ia_|administrador|desenvolvedor|funcionario|assistente|hacker|terminal|banco de dados
ontwikkelaarsmodus|onderhoudsmodus|beheerdersmodus|zonder beperkingen|zonder regels|ongefilterd
doe alsof|je bent nu|gedraag je als|speel de rol … ai_|beheerder|ontwikkelaar|medewerker|assistent|hacker|terminal|database
utvecklarlage|underhallslage|administratorslage|utan begransningar|utan regler|ofiltrerad
lat sasom|du ar nu|bete dig som|spela rollen|latsas … ai_|administrator|utvecklare|anstalld|assistent|hacker|databas
tryb dewelopera|tryb programisty|tryb serwisowy|tryb administratora|bez ograniczen|bez zasad|bez cenzury
udawaj|jestes teraz|od teraz jestes|zachowuj sie jak|wciel sie … ai_|administrator|programist|pracownik|asystent|haker|terminal|baz danych
режим разработчика|режим администратора|сервисныи режим|режим обслуживания|без ограничении|без правил|без цензуры|режим отладки
притворись|представь, что ты|представь что ты|ты теперь|теперь ты|веди себя как|сыграи роль|деиствуи как … ии_|администратор|разработчик|сотрудник|ассистент|хакер|терминал|база данных
режим розробника|без обмежень|без правил
gelistirici modu|bakim modu|yonetici modu|kisitlamasiz|sinirsiz|kuralsiz|sansursuz
开发者模式|開發者模式|管理员模式|维护模式|没有限制|不受限制|越狱|调试模式
你现在是|假装|扮演|假裝 … 管理员|开发|黑客|助手|员工|数据库|终端
開発者モード|管理者モード|メンテナンスモード|制限のない|制限なし|脱獄
개발자 모드|관리자 모드|제한 없는|제한 없이
وضع المطور|وضع الصيانة|وضع المسؤول|بدون قيود|بلا قيود|بلا قواعد
डेवलपर मोड|एडमिन मोड|बिना किसी प्रतिबंध|बिना प्रतिबंध|बिना नियम
in this simulation|let us role play|let's role play|we role play|role play … you are|you're|i am|you play
be_|become|you are|play … a careless|careless|an evil|who always|who tells everything|assistant who|clerk who|employee who|machine that|free of every|a poet|no longer a
sei_|werde|du bist … assistent, der|mitarbeiter, der|der alles|die alles
sois|tu es_ … assistant qui|employe qui|qui dit tout|qui revele
se_|eres … asistente que|empleado que|que lo dice todo|que revela
"""
AUTHORITY: Final = """
i am|i'm|this is|speaking as|acting as|message from|on behalf of … your developer|the developer of|your creator|your programmer|your administrator|system administrator|the administrator|openai|anthropic|the security team|the engineering team|the it department|internal audit|your engineer|the system operator|quality assurance
skip|bypass|without|no need for|disable|turn off|switch off|deactivate … authenticat|verification|identification|security question|security check|identity check|pin check
consider|treat|mark|assume|regard|set … me_|caller|user_|session|customer … verified|authenticated|authorised|authorized|logged in
override code|emergency override|admin override|security override|authorisation code alpha|clearance level|authorization override|access level
ich bin|hier ist|hier spricht … dein entwickler|ihr entwickler|der administrator|der systemadministrator|die it-abteilung|dein programmierer|ihr programmierer|dein schopfer
ohne|uberspring|umgehe|deaktivier|abschalten … authentifizierung|identifizierung|sicherheitsfrage|sicherheitsprufung|identitatsprufung|uberprufung
betrachte|behandle|markiere … mich|anrufer … verifiziert|authentifiziert|angemeldet
je suis|ici … ton developpeur|votre developpeur|l'administrateur|ton createur|votre createur|le service informatique
sans|saute|sautez|desactive|desactivez|contourne … authentification|identification|verification
soy|habla … tu desarrollador|su desarrollador|el administrador del sistema|tu creador|tu programador
sin_|salta|omite|desactiva … autenticacion|autentificacion|identificacion|verificacion
sono … il tuo sviluppatore|l'amministratore|il suo sviluppatore|il tuo creatore|il tuo programmatore
senza|salta|disattiva … autenticazione|identificazione|verifica dell
sou … o seu desenvolvedor|seu desenvolvedor|o administrador|seu criador
sem_|pule|pula|desative … autenticacao|identificacao|verificacao
ik ben … je ontwikkelaar|uw ontwikkelaar|de beheerder|de systeembeheerder
jag ar … din utvecklare|systemadministrator|din skapare
jestem … twoim programista|twoim tworca|administratorem
pomin|wylacz|bez_ … uwierzytelni|weryfikacj|autoryzacj
я_ … твои разработчик|ваш разработчик|системныи администратор|администратор системы|твои создатель
без_|пропусти|отключи|обоиди … аутентификац|проверк|верификац|идентификац|авторизац
ben_ … gelistiricin|sistem yoneticisi|geliştiricin|programcin
kimlik dogrulama|dogrulama … atla|gec_|olmadan|devre disi
我是 … 你的开发|系统管理员|管理员|你的创造
跳过|绕过|关闭|不需要 … 验证|認證|认证|身份
私は … あなたの開発者|システム管理者|管理者です
認証|本人確認 … スキップ|省略|なしで|飛ばし|無効
انا … مطورك|مدير النظام|مبرمجك
तुम्हारा डेवलपर|सिस्टम एडमिन
note down|mark down|write down|record|remember … i am verified|verified and|as verified|i am authenticated|i am allowed
release|unlock|open|give me … account|card|access … without identif|without verif|without authenti|without a pin|without asking
compliance|head office|the regulator|the police|the supervisor|my supervisor|the branch manager … order you|i order|order it|instruct you|you must|go ahead
i am allowed to see|i may see everything|i am entitled to see|show me everything
"""
TOOL: Final = """
call|invoke|execute|run_|use_|trigger … tool|function_|sql|endpoint|shell|script
function call|tool call|function_call|tool_call|customer_id|customer id equals|query_card_delivery|authenticate_customer|process_transaction|select * from|drop table|query card delivery|authenticate customer with|with argument|with the argument|with parameter|as parameter
rufe|fuhre|ruf … funktion_|werkzeug|tool_|befehl … auf_|aus_|mit_
appelle|execute|lance … fonction_|outil_
llama|ejecuta|invoca … funcion_|herramienta|comando
chiama|esegui|invoca … funzione|strumento_|comando
chame|execute|invoque … funcao|ferramenta|comando
roep|voer … functie|tool_|opdracht … aan_|uit_
anropa|kor_ … funktionen|verktyget
wywolaj|uruchom … funkcj|narzedzi|polecenie
вызови|выполни|запусти … функци|инструмент|команд|запрос
cagir|calistir … fonksiyon|araci_|komut
fonksiyon|araci|komut … cagir|calistir
调用|执行|運行|运行 … 函数|工具|命令|查询
関数|ツール|コマンド … 呼び出|実行
"""
OTHERS: Final = """
tell|give|read|show|list|reveal|name|what is|what's|what are|look up|access|switch|query|fetch|find|open|get_|dump|export|print|say|act for|who_|where … other|another|all_|all the|every|someone else|somebody else|previous|last_|different|next|random|any_ … customer|caller|client|account holder|cardholder|card holder|users_|user's
every customer|all customers|all the customers|customer database|customer records|customer list|list of customers|list of names|previous caller|the last caller|other callers|another customer|other customers' … card|account|address|name|pin|number|data|balance|list|record|detail|said|tell|read
pin of|password of|card number of|address of|balance of|account of|credentials of|card of|details of … mr_|mrs_|ms_|customer|account holder|cardholder|someone|my neighbour|my neighbor|my ex|my boss|client|user|john|the president|every
sag|nenn|gib|zeig|lies|verrate|was ist|wie lautet|wo ist|liste … ander|aller|alle_|jeden|vorig|letzten|nachste … kunde|anrufer|kontoinhaber|karteninhaber|nutzer
kundendatenbank|kundenliste|alle kunden|anderer kunden
dis|dites|donne|donnez|montre|montrez|lis|lisez|revele|liste|quel est|ou est … autre|tous les|toutes les|chaque|precedent|dernier … client|titulaire|appelant|utilisateur
dime|diga|dame|muestra|muestre|lee|lea|revela|lista|enumera|cual es|donde esta … otro|todos los|cada|anterior|ultimo … cliente|titular|usuario|llamante
dimmi|dammi|mostra|leggi|rivela|elenca|qual e|dov'e … altro|altri|tutti|ogni|precedente|ultimo … cliente|clienti|titolare|utente|utenti
diga|me de|mostre|leia|revele|liste|qual e|onde esta … outro|todos os|cada|anterior|ultimo … cliente|titular|usuario
vertel|geef|toon|lees|noem|wat is|waar is … andere|alle_|elke|vorige|laatste … klant|beller|rekeninghouder|kaarthouder|gebruiker
beratta|ge mig|visa|las upp|namn|vad ar|var ar … andra|annan|alla|varje|forra|foregaende … kund|uppringare|kontoinnehavare|anvandare
powiedz|podaj|pokaz|przeczytaj|wymien|wypisz|jaki jest|gdzie jest … inn|wszystkich|kazdego|poprzedni|ostatni … klient|dzwoniac|posiadacz|uzytkownik
скажи|назови|покажи|прочитаи|перечисли|даи|выдаи|какои|где … друг|всех|каждого|предыдущ|прошл|последн|чуж … клиент|абонент|владел|пользовател|звонивш
назви|покажи|скажи … інш|всіх|попередн … клієнт|власник
soyle|ver_|goster|oku|listele|nedir|nerede … diger|baska|tum|butun|onceki|son_ … musteri|arayan|hesap sahibi|kullanici
diger|baska|tum|butun|onceki|son_ … musteri|arayan|hesap sahibi|kullanici … soyle|ver_|goster|oku|listele|nedir|nerede|bilgi
告诉|给我|显示|读出|列出|查询 … 其他|所有|别的|上一个|另一个|前一位 … 客户|用户|来电|持卡人
其他|所有|别的|上一个|另一个|前一位 … 客户|客戶|用户|持卡人 … 卡|账户|密码|信息|地址|名单
他の|別の|全ての|すべての|前の … 顧客|お客様|利用者 … 教え|見せ|読み|カード|口座|情報|一覧
다른|모든|이전 … 고객|사용자 … 카드|계좌|정보|말해|알려
اخبرني|اعطني|اعرض|اقرا|اذكر … اخر|الاخرين|جميع|كل_|السابق … عميل|العملاء|الزبائن|العميل|المتصل
दूसरे|सभी|अन्य|पिछले … ग्राहक|ग्राहकों … बताओ|बताइए|दिखाओ|कार्ड|खाता|जानकारी|पता
who_|person|people|caller|customer|client|man_|woman|somebody|someone … called before me|rang before me|phoned before me|just before me|before me_|called just now|rang you|spoke to before
any customer's|any client's|some customer's|people's balances|a client with|a customer with|name a customer|name a client|whose card … address|street|card|balance|gold|number|blurt|shipped|now_
name_|tell me|give me … any_|a random|some_|one of your … customer|client|cardholder|account holder
vor mir angerufen|vor mir dran|der anrufer vor mir|anrufer vor mir|person vor mir
appele avant moi|appelait avant moi|personne avant moi|client avant moi
llamo antes que yo|antes que yo|persona anterior|antes de mi_
prima di me|qualunque altro cliente|qualsiasi cliente
antes de mim|ligou antes
voor mij gebeld|voor mij belde|de beller voor mij
fore mig|ringde fore
przede mna|dzwonil przede
звонил до меня|до меня звонил|кто звонил|перед мнои
benden once
在我之前|前一个人|前面那个人
私の前に|前の人
قبلي|من اتصل
मुझसे पहले
"""
COERCE: Final = """
decode|decrypt|deobfuscate|unscramble|decipher … this|following|it_|message|text|string|and … do_|follow|execute|obey|answer|say|comply
base64|rot13|rot 13|caesar cipher|in hexadecimal|hex string|pig latin
tell|instruct|convince|order|ask_|make_|direct … callers|customers|the caller|the customer|the next|users|everyone … to call|to press|to visit|to send|to say|to read|to give|to transfer|their pin|their password|their code|their card
respond|reply|answer|output|speak|start|begin|end_|finish … only with|exactly with|every answer|each answer|your answer|your reply|your next|every reply|with the words|with the sentence|as json|in json|in base
say exactly|say the following|say these words|repeat after me exactly|repeat the following|say word for word|speak this sentence|read this sentence
wiederhole|sage|sprich|antworte|beginne … genau|wortlich|nur mit|folgenden satz|folgende worter|mit den worten|jede antwort
repete|repetez|dis|dites|reponds|repondez|commence … exactement|mot pour mot|uniquement par|seulement par|la phrase suivante|les mots suivants
repite|repita|di_|diga|responde|responda|empieza … exactamente|palabra por palabra|solo con|unicamente con|la siguiente frase|lo siguiente
ripeti|di'|rispondi|inizia … esattamente|parola per parola|solo con|soltanto con|la frase seguente|quanto segue
repita|responda|diga|comece … exatamente|palavra por palavra|apenas com|somente com|a seguinte frase
herhaal|zeg|antwoord|begin … precies|woord voor woord|alleen met|de volgende zin
upprepa|sag|svara|borja … exakt|ord for ord|endast med|bara med|foljande mening
powtorz|powiedz|odpowiadaj|odpowiedz|zacznij … dokladnie|slowo w slowo|tylko|wylacznie|nastepujac
повтори|скажи|отвечаи|ответь|начни … дословно|в точности|слово в слово|только словом|только фразои|следующую фразу|следующее
tekrarla|soyle|cevap ver … aynen|kelimesi kelimesine|sadece sunu|su cumleyi
su cumleyi|aynen|kelimesi kelimesine … tekrarla|soyle|oku
逐字|一字不差|只回答|只说|重复以下|跟我说 …
一字一句|そのまま|次の文|次の言葉 … 言っ|繰り返|読み上げ|答え
complete|finish|continue … the sentence|this sentence|the phrase|what i say
when i say|as soon as i say|once i say|if i say … you say|you answer|you reply|you read|go_
that everyone|tell everyone|all callers|all customers|everybody … must|should|have to|need to|to call|to read|to say
a todos los clientes|allen kunden|a tous les clients|a tutti i clienti|a todos os clientes|всем клиентам … llamen|di_|diga|anrufen|appeler|chiamare|ligar|позвонить|que_|dass
di_|diga|dile … a todos los clientes|a los clientes
"""
HINTS: Final = """
from now on you|no restrictions_|no rules_|from now on, you|starting now you|new rules|new instructions|you are now|you're now|you must obey|you must comply|comply with|without question
chatbot … instructions|rules_
hypothetically|in a fictional|for a novel|in a story|a story where|a story in which|a poem about your|opposite day|a game in which|let's play a game|for educational purposes|thought experiment|screenplay
simulate|pretend|imagine that you|imagine you are|role-play|roleplay|act as|you will act|play the role
backwards|in reverse|letter by letter|first letter of each|acrostic|in morse|spell out
your instructions|your rules|your guidelines|your prompt|your programming|your developers|language model|chatbot|an ai_|the ai_|chatgpt|gpt-4|llm_|openai
i am authorised|i am authorized|i have permission|i am already verified|already authenticated|i have admin|emergency|i work for the bank|test caller|this is a test
ab jetzt|von nun an|neue anweisung|neue regeln|deine anweisungen|deine regeln|sprachmodell|ki-modell|hypothetisch|stell dir vor|spielen wir ein spiel
desormais tu|a partir de maintenant|nouvelles instructions|nouvelles regles|tes instructions|tes regles|vos instructions|modele de langage|imagine que|hypothetiquement|un jeu
a partir de ahora|desde ahora|nuevas instrucciones|nuevas reglas|tus instrucciones|tus reglas|modelo de lenguaje|imagina que|hipoteticamente|un juego
d'ora in poi|da ora in poi|nuove istruzioni|nuove regole|le tue istruzioni|le tue regole|modello linguistico|immagina che|ipoteticamente|un gioco
a partir de agora|novas instrucoes|novas regras|suas instrucoes|suas regras|modelo de linguagem|imagine que|hipoteticamente|um jogo
vanaf nu|nieuwe instructies|nieuwe regels|je instructies|je regels|taalmodel|stel je voor|hypothetisch|een spel
fran och med nu|nya instruktioner|nya regler|dina instruktioner|dina regler|sprakmodell|tank dig|hypotetiskt|ett spel
od teraz|nowe instrukcje|nowe zasady|twoje instrukcje|twoje zasady|model jezykowy|wyobraz sobie|hipotetycznie|zagraimy w gre
с этого момента|отныне|новые инструкции|новые правила|твои инструкции|твои правила|языковая модель|представь|гипотетически|сыграем в игру
bundan sonra|yeni talimat|yeni kural|dil modeli|talimatlarin|kurallarin|hayal et|farz et
从现在开始|新的指令|新规则|你的指令|你的规则|语言模型|人工智能模型|假设你
これから|新しい指示|新しいルール|あなたの指示|言語モデル|もしあなたが
지금부터|새로운 지시|새 규칙|언어 모델
من الان|تعليمات جديدة|قواعد جديدة|تعليماتك|قواعدك|نموذج لغوي|تخيل انك
अब से|नए निर्देश|नए नियम|तुम्हारे निर्देश|भाषा मॉडल|कल्पना करो
"""
