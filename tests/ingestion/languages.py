"""The beginning of the Universal Declaration of Human Rights, in languages that have their own encodings."""

FRENCH = """Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de
raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité. Chacun
peut se prévaloir de tous les droits et de toutes les libertés proclamés dans la présente Déclaration,
sans distinction aucune, notamment de race, de couleur, de sexe, de langue, de religion, d'opinion
politique ou de toute autre opinion, d'origine nationale ou sociale, de fortune, de naissance ou de
toute autre situation. Tout individu a droit à la vie, à la liberté et à la sûreté de sa personne. Nul
ne sera tenu en esclavage ni en servitude ; l'esclavage et la traite des esclaves sont interdits sous
toutes leurs formes. Ça va de soi, même là où l'on a reçu une autre leçon.
"""
SPANISH = """Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están
de razón y conciencia, deben comportarse fraternalmente los unos con los otros. Toda persona tiene todos
los derechos y libertades proclamados en esta Declaración, sin distinción alguna de raza, color, sexo,
idioma, religión, opinión política o de cualquier otra índole, origen nacional o social, posición
económica, nacimiento o cualquier otra condición. Además, no se hará distinción alguna fundada en la
condición política, jurídica o internacional del país o territorio de cuya jurisdicción dependa una
persona. ¿Quién sabría decir cuántos niños lo aprendieron? Nadie estará sometido a esclavitud ni a
servidumbre; la esclavitud y la trata de esclavos están prohibidas en todas sus formas.
"""
PORTUGUESE = """Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de
razão e de consciência, devem agir uns para com os outros em espírito de fraternidade. Todos os seres
humanos podem invocar os direitos e as liberdades proclamados na presente Declaração, sem distinção
alguma, nomeadamente de raça, de cor, de sexo, de língua, de religião, de opinião política ou outra, de
origem nacional ou social, de fortuna, de nascimento ou de qualquer outra situação. Além disso, não será
feita nenhuma distinção fundada no estatuto político, jurídico ou internacional do país ou do território
da naturalidade da pessoa. Todo o indivíduo tem direito à vida, à liberdade e à segurança pessoal.
Ninguém será mantido em escravatura ou em servidão; as exceções e as opiniões não contam.
"""
ITALIAN = """Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di
ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza. Ad ogni
individuo spettano tutti i diritti e tutte le libertà enunciate nella presente Dichiarazione, senza
distinzione alcuna, per ragioni di razza, di colore, di sesso, di lingua, di religione, di opinione
politica. Nessuna distinzione sarà inoltre stabilita sulla base dello statuto politico del paese, sia
che tale territorio sia indipendente, o sottoposto ad amministrazione fiduciaria o non autonomo. Ogni
individuo ha diritto alla vita, alla libertà ed alla sicurezza della propria persona; così è, perché di
più non si può, né si dovrà.
"""
GERMAN = """Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und
Gewissen begabt und sollen einander im Geiste der Brüderlichkeit begegnen. Jeder hat Anspruch auf alle
in dieser Erklärung verkündeten Rechte und Freiheiten, ohne irgendeinen Unterschied, etwa nach Rasse,
Hautfarbe, Geschlecht, Sprache, Religion, politischer oder sonstiger Anschauung, nationaler oder
sozialer Herkunft, Vermögen, Geburt oder sonstigem Stand. Des Weiteren darf kein Unterschied gemacht
werden auf Grund der politischen, rechtlichen oder internationalen Stellung des Landes oder Gebietes,
dem eine Person angehört, gleichgültig ob dieses unabhängig ist, unter Treuhandschaft steht oder sonst
in seiner Souveränität eingeschränkt ist. Niemand darf in Sklaverei gehalten werden, auch äußerlich
nicht.
"""
SWEDISH = """Alla människor är födda fria och lika i värde och rättigheter. De har utrustats med förnuft
och samvete och bör handla gentemot varandra i en anda av gemenskap. Var och en är berättigad till alla
de rättigheter och friheter som uttalas i denna förklaring utan åtskillnad av något slag, såsom på grund
av ras, hudfärg, kön, språk, religion, politisk eller annan uppfattning, nationellt eller socialt
ursprung, egendom, börd eller ställning i övrigt. Ingen får hållas i slaveri eller träldom; slaveri och
slavhandel i alla former skall vara förbjudna.
"""
POLISH = """Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni
obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa. Każdy człowiek
posiada wszystkie prawa i wolności zawarte w niniejszej Deklaracji bez względu na różnice rasy, koloru,
płci, języka, wyznania, poglądów politycznych i innych, narodowości, pochodzenia społecznego, majątku,
urodzenia lub jakiegokolwiek innego stanu. Nie wolno ponadto czynić żadnej różnicy w zależności od
sytuacji politycznej, prawnej lub międzynarodowej kraju lub obszaru, do którego dana osoba przynależy.
Nie wolno nikogo czynić niewolnikiem ani nakładać na nikogo służebności; niewolnictwo i handel
niewolnikami są zakazane we wszystkich swych postaciach. Źle byłoby o tym zapomnieć.
"""
CZECH = """Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a
svědomím a mají spolu jednat v duchu bratrství. Každý má všechna práva a všechny svobody, stanovené
touto deklarací, bez jakéhokoli rozlišování, zejména podle rasy, barvy, pohlaví, jazyka, náboženství,
politického nebo jiného smýšlení, národnostního nebo sociálního původu, majetku, rodu nebo jiného
postavení. Nikdo nesmí být držen v otroctví nebo nevolnictví; všechny formy otroctví a obchodu s otroky
jsou zakázány. Ať je tomu tak, i když to někdy není jednoduché.
"""
HUNGARIAN = """Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel
és lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek. Mindenki,
bármely megkülönböztetésre, nevezetesen fajra, színre, nemre, nyelvre, vallásra, politikai vagy bármely
más véleményre, nemzeti vagy társadalmi eredetre, vagyonra, születésre, vagy bármely más körülményre
való tekintet nélkül hivatkozhat a jelen Nyilatkozatban kinyilvánított összes jogokra és szabadságokra.
Minden személynek joga van az élethez, a szabadsághoz és a személyi biztonsághoz. Senkit sem lehet
rabszolgaságban tartani, és senkit sem lehet kínvallatásnak alávetni; ez a jövőben is így lesz, a
gyűlésnek ezért van ereje.
"""
TURKISH = """Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana
sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler. Herkes, ırk, renk,
cinsiyet, dil, din, siyasi veya diğer herhangi bir akide, milli veya içtimai menşe, servet, doğuş veya
herhangi diğer bir fark gözetilmeksizin işbu Beyannamede ilan olunan tekmil haklardan ve bütün
hürriyetlerden istifade edebilir. Bundan başka, bağımsız memleket uyruğu olsun, vesayet altında bulunan,
gayri muhtar veya sair bir egemenlik kayıtlamasına tabi ülke uyruğu olsun, bir şahıs hakkında, uyruğu
bulunduğu memleket veya ülkenin siyasi, hukuki veya milletlerarası statüsü bakımından hiçbir ayrılık
gözetilmeyecektir. Yaşamak, hürriyet ve kişi emniyeti her ferdin hakkıdır. İstanbul'da da böyledir.
"""
RUSSIAN = """Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом
и совестью и должны поступать в отношении друг друга в духе братства. Каждый человек должен обладать
всеми правами и всеми свободами, провозглашенными настоящей Декларацией, без какого бы то ни было
различия, как-то в отношении расы, цвета кожи, пола, языка, религии, политических или иных убеждений,
национального или социального происхождения, имущественного, сословного или иного положения. Кроме того,
не должно проводиться никакого различия на основе политического, правового или международного статуса
страны или территории, к которой человек принадлежит. Каждый человек имеет право на жизнь, на свободу и
на личную неприкосновенность. Никто не должен содержаться в рабстве или в подневольном состоянии.
"""
UKRAINIAN = """Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені
розумом і совістю і повинні діяти у відношенні один до одного в дусі братерства. Кожна людина повинна
мати всі права і всі свободи, проголошені цією Декларацією, незалежно від раси, кольору шкіри, статі,
мови, релігії, політичних або інших переконань, національного чи соціального походження, майнового,
станового або іншого становища. Кожна людина має право на життя, на свободу і на особисту
недоторканність. Ніхто не повинен бути в рабстві або у підневільному стані.
"""
GREEK = """Άρθρο 1. Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.
Είναι προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα
αδελφοσύνης. Άρθρο 2. Κάθε άνθρωπος δικαιούται να επικαλείται όλα τα δικαιώματα και όλες τις ελευθερίες
που προκηρύσσει η παρούσα Διακήρυξη, χωρίς καμία απολύτως διάκριση, ειδικότερα ως προς τη φυλή, το
χρώμα, το φύλο, τη γλώσσα, τις θρησκείες, τις πολιτικές ή οποιεσδήποτε άλλες πεποιθήσεις, την εθνική ή
κοινωνική καταγωγή, την περιουσία, τη γέννηση ή οποιαδήποτε άλλη κατάσταση. Κάθε άτομο έχει δικαίωμα στη
ζωή, την ελευθερία και την προσωπική του ασφάλεια.
"""
HEBREW = """כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה
עליהם לנהוג איש ברעהו ברוח של אחווה. כל אדם זכאי לזכויות ולחרויות שנקבעו בהכרזה זו ללא הפליה כלשהי מטעמי
גזע, צבע, מין, לשון, דת, דעה פוליטית או דעה בבעיות אחרות, בגלל מוצא לאומי או חברתי, קנין, לידה או מעמד
אחר.
"""
ARABIC = """يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل
بعضهم بعضاً بروح الإخاء. لكل إنسان حق التمتع بكافة الحقوق والحريات الواردة في هذا الإعلان، دون أي تمييز،
كالتمييز بسبب العنصر أو اللون أو الجنس أو اللغة أو الدين أو الرأي السياسي أو أي رأي آخر.
"""
JAPANESE = """すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は
、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。すべて人は、人種、皮膚の
色、性、言語、宗教、政治上その他の意見、国民的もしくは社会的出身、財産、門地その他の地位又はこれに類する
いかなる事由による差別をも受けることなく、この宣言に掲げるすべての権利と自由とを享有することができる。何
人も、奴隷にされ、又は苦役に服することはない。9〜10頁も参照。
"""
CHINESE = """人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。人人
有资格享有本宣言所载的一切权利和自由，不分种族、肤色、性别、语言、宗教、政治或其他见解、国籍或社会出身、
财产、出生或其他身分等任何区别。并且不得因一人所属的国家或领土的政治的、行政的或者国际的地位之不同而有所
区别。人人有权享有生命、自由和人身安全。任何人不得使为奴隶或奴役。
"""
TRADITIONAL = """人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。
人人有資格享有本宣言所載的一切權利和自由，不分種族、膚色、性別、語言、宗教、政治或其他見解、國籍或社會出
身、財產、出生或其他身分等任何區別。並且不得因一人所屬的國家或領土的政治的、行政的或者國際的地位之不同而
有所區別。人人有權享有生命、自由和人身安全。任何人不得使為奴隸或奴役。
"""
KOREAN = """모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은
천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다. 모든 사람은 인종,
피부색, 성, 언어, 종교, 정치적 또는 기타의 견해, 민족적 또는 사회적 출신, 재산, 출생 또는
기타의 신분과 같은 어떠한 종류의 차별이 없이, 이 선언에 규정된 모든 권리와 자유를 향유할 자격이
있다.
"""
