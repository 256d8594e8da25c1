"""Tables of facts that the task families draw from: countries, opposites, verbs, sentences."""

from __future__ import annotations

# Country, its capital (other accepted spellings after a bar). Well known first, rare last.
CAPITALS: dict[str, str] = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "Russia": "Moscow",
    "Greece": "Athens",
    "Egypt": "Cairo",
    "Portugal": "Lisbon",
    "Poland": "Warsaw",
    "Austria": "Vienna",
    "Ireland": "Dublin",
    "Canada": "Ottawa",
    "Cuba": "Havana",
    "Norway": "Oslo",
    "Thailand": "Bangkok",
    "Argentina": "Buenos Aires",
    "Kenya": "Nairobi",
    "Peru": "Lima",
    "Hungary": "Budapest",
    "Finland": "Helsinki",
    "Australia": "Canberra",
    "Vietnam": "Hanoi",
    "Romania": "Bucharest",
    "Chile": "Santiago|Santiago de Chile",
    "Colombia": "Bogotá|Bogota",
    "Denmark": "Copenhagen",
    "Turkey": "Ankara",
    "Switzerland": "Bern|Berne",
    "Morocco": "Rabat",
    "Croatia": "Zagreb",
    "Bulgaria": "Sofia",
    "Nepal": "Kathmandu",
    "Iceland": "Reykjavik|Reykjavík",
    "Uruguay": "Montevideo",
    "Ecuador": "Quito",
    "Pakistan": "Islamabad",
    "Ghana": "Accra",
    "New Zealand": "Wellington",
    "Estonia": "Tallinn",
    "Latvia": "Riga",
    "Albania": "Tirana",
    "Senegal": "Dakar",
    "Slovenia": "Ljubljana",
    "Mongolia": "Ulaanbaatar|Ulan Bator",
    "Uganda": "Kampala",
    "Zambia": "Lusaka",
    "Georgia": "Tbilisi",
    "Armenia": "Yerevan",
    "Paraguay": "Asunción|Asuncion",
    "Laos": "Vientiane",
    "Bhutan": "Thimphu",
    "Namibia": "Windhoek",
    "Botswana": "Gaborone",
    "Madagascar": "Antananarivo",
    "Burkina Faso": "Ouagadougou",
    "Suriname": "Paramaribo",
    "Tajikistan": "Dushanbe",
    "Malawi": "Lilongwe",
    "Gabon": "Libreville",
    "Vanuatu": "Port Vila",
    "Fiji": "Suva",
    "Rwanda": "Kigali",
    "Moldova": "Chișinău|Chisinau",
}

# The same in other languages: country, capital as it is written there or in English.
LOCAL_CAPITALS: dict[str, dict[str, str]] = {
    "de": {
        "Frankreich": "Paris",
        "Schweden": "Stockholm",
        "Ungarn": "Budapest",
        "Griechenland": "Athen|Athens",
        "Dänemark": "Kopenhagen|Copenhagen",
        "Lettland": "Riga",
        "Kroatien": "Zagreb",
        "Kenia": "Nairobi",
        "Island": "Reykjavík|Reykjavik",
        "Slowenien": "Ljubljana",
    },
    "fr": {
        "l'Allemagne": "Berlin",
        "l'Espagne": "Madrid",
        "la Pologne": "Varsovie|Warsaw|Warszawa",
        "la Norvège": "Oslo",
        "l'Équateur": "Quito",
        "la Finlande": "Helsinki",
        "le Sénégal": "Dakar",
        "l'Estonie": "Tallinn",
        "la Mongolie": "Oulan-Bator|Ulaanbaatar|Ulan Bator",
        "l'Autriche": "Vienne|Vienna|Wien",
    },
    "es": {
        "Alemania": "Berlín|Berlin",
        "Irlanda": "Dublín|Dublin",
        "Japón": "Tokio|Tokyo",
        "Marruecos": "Rabat",
        "Turquía": "Ankara",
        "Bulgaria": "Sofía|Sofia",
        "Paraguay": "Asunción|Asuncion",
        "Uruguay": "Montevideo",
        "Nepal": "Katmandú|Kathmandu",
        "Ghana": "Acra|Accra",
    },
    "it": {
        "Portogallo": "Lisbona|Lisbon|Lisboa",
        "Belgio": "Bruxelles|Brussels",
        "Romania": "Bucarest|Bucharest",
        "Perù": "Lima",
        "Albania": "Tirana",
        "Vietnam": "Hanoi",
        "Canada": "Ottawa",
        "Finlandia": "Helsinki",
    },
}

# Word, every accepted opposite. Common first.
ANTONYMS: dict[str, dict[str, str]] = {
    "en": {
        "hot": "cold|cool",
        "big": "small|little",
        "open": "closed|close|shut",
        "happy": "sad|unhappy",
        "early": "late",
        "rich": "poor",
        "strong": "weak",
        "empty": "full",
        "expensive": "cheap|inexpensive",
        "ancient": "modern|new|recent",
        "arrive": "depart|leave",
        "victory": "defeat|loss",
        "shallow": "deep",
        "accept": "reject|refuse|decline",
        "rough": "smooth",
        "generous": "stingy|selfish|miserly|mean|greedy",
        "transparent": "opaque",
        "expand": "contract|shrink",
        "temporary": "permanent",
        "scarce": "abundant|plentiful",
        "maximum": "minimum",
        "horizontal": "vertical",
        "optimist": "pessimist",
        "import": "export",
        "artificial": "natural",
        "humble": "proud|arrogant|boastful",
        "vague": "clear|precise|specific|definite",
        "ascend": "descend",
        "frugal": "wasteful|extravagant|lavish|spendthrift",
        "verbose": "concise|terse|brief|succinct|laconic",
    },
    "de": {
        "groß": "klein",
        "schnell": "langsam",
        "teuer": "billig|günstig|preiswert",
        "hell": "dunkel",
        "Anfang": "Ende",
        "mutig": "feige|ängstlich",
        "fleißig": "faul",
        "Krieg": "Frieden",
    },
    "fr": {
        "chaud": "froid",
        "grand": "petit",
        "facile": "difficile",
        "la nuit": "jour|le jour",
        "vendre": "acheter",
        "lourd": "léger",
        "la guerre": "paix|la paix",
    },
    "es": {
        "alto": "bajo",
        "rico": "pobre",
        "fácil": "difícil",
        "limpio": "sucio",
        "comprar": "vender",
        "viejo": "joven|nuevo",
        "encender": "apagar",
    },
}

# Verb, its simple past. Regular, common irregular, rare irregular.
PAST_TENSES: dict[str, str] = {
    "walk": "walked",
    "play": "played",
    "stop": "stopped",
    "carry": "carried",
    "plan": "planned",
    "hurry": "hurried",
    "go": "went",
    "see": "saw",
    "eat": "ate",
    "write": "wrote",
    "buy": "bought",
    "think": "thought",
    "bring": "brought",
    "catch": "caught",
    "drive": "drove",
    "freeze": "froze",
    "choose": "chose",
    "teach": "taught",
    "fly": "flew",
    "grow": "grew",
    "wear": "wore",
    "steal": "stole",
    "shake": "shook",
    "swear": "swore",
    "blow": "blew",
    "forgive": "forgave",
    "cling": "clung",
    "flee": "fled",
    "seek": "sought",
    "withdraw": "withdrew",
    "fling": "flung",
    "overtake": "overtook",
    "bind": "bound",
    "creep": "crept",
    "weep": "wept",
    "undergo": "underwent",
}

# English word: French, German, Spanish, Italian (other accepted words after a bar).
TRANSLATIONS: dict[str, tuple[str, str, str, str]] = {
    "water": ("eau", "Wasser", "agua", "acqua"),
    "house": ("maison", "Haus", "casa", "casa"),
    "book": ("livre", "Buch", "libro", "libro"),
    "dog": ("chien", "Hund", "perro", "cane"),
    "bread": ("pain", "Brot", "pan", "pane"),
    "red": ("rouge", "rot", "rojo", "rosso"),
    "night": ("nuit", "Nacht", "noche", "notte"),
    "milk": ("lait", "Milch", "leche", "latte"),
    "school": ("école", "Schule", "escuela", "scuola"),
    "apple": ("pomme", "Apfel", "manzana", "mela"),
    "Monday": ("lundi", "Montag", "lunes", "lunedì"),
    "summer": ("été", "Sommer", "verano", "estate"),
    "bird": ("oiseau", "Vogel", "pájaro|ave", "uccello"),
    "key": ("clé|clef", "Schlüssel", "llave", "chiave"),
    "bridge": ("pont", "Brücke", "puente", "ponte"),
    "snow": ("neige", "Schnee", "nieve", "neve"),
    "knife": ("couteau", "Messer", "cuchillo", "coltello"),
    "cheese": ("fromage", "Käse", "queso", "formaggio"),
    "window": ("fenêtre", "Fenster", "ventana", "finestra"),
    "butterfly": ("papillon", "Schmetterling", "mariposa", "farfalla"),
    "spoon": ("cuillère|cuiller", "Löffel", "cuchara", "cucchiaio"),
    "onion": ("oignon", "Zwiebel", "cebolla", "cipolla"),
    "strawberry": ("fraise", "Erdbeere", "fresa", "fragola"),
    "umbrella": ("parapluie", "Regenschirm|Schirm", "paraguas", "ombrello"),
    "hedgehog": ("hérisson", "Igel", "erizo", "riccio"),
    "thunder": ("tonnerre", "Donner", "trueno", "tuono"),
    "lawyer": ("avocat", "Anwalt|Rechtsanwalt|Anwältin", "abogado", "avvocato"),
    "spider": ("araignée", "Spinne", "araña", "ragno"),
}
TRANSLATION_LANGUAGES = ("French", "German", "Spanish", "Italian")

# Language: sentences that each use words of that language only. Short first, long last.
SENTENCES: dict[str, tuple[str, ...]] = {
    "French": (
        "Le chat dort sur le canapé.",
        "Nous avons perdu les clés du bureau hier soir.",
        "Il pleut depuis trois jours.",
        "Ma voisine cultive des tomates sur son balcon.",
    ),
    "German": (
        "Der Zug kommt heute zu spät.",
        "Meine Schwester spielt jeden Abend Klavier.",
        "Wo ist der Schlüssel?",
        "Im Herbst sammeln wir Kastanien im Wald.",
    ),
    "Spanish": (
        "La tienda abre a las nueve.",
        "Mi hermano trabaja en una panadería cerca del río.",
        "Hace mucho calor hoy.",
        "Los niños juegan en el parque después de clase.",
    ),
    "Portuguese": (
        "Não encontrei o meu guarda-chuva.",
        "A loja fecha às seis da tarde.",
        "Os meninos foram à praia com a avó.",
        "Você já leu este livro?",
    ),
    "Italian": (
        "Il treno parte fra dieci minuti.",
        "Mia nonna prepara la pasta ogni domenica.",
        "Dove sono gli occhiali?",
        "Abbiamo visto un film molto bello ieri sera.",
    ),
    "Dutch": (
        "De kat slaapt op de bank.",
        "Wij fietsen elke dag naar het werk.",
        "Waar heb je de sleutels gelegd?",
        "Het regent al de hele week in onze stad.",
    ),
    "Polish": (
        "Gdzie są moje klucze?",
        "Dzisiaj jest bardzo zimno.",
        "Moja siostra czyta książkę w ogrodzie.",
        "W sobotę pojedziemy nad jezioro.",
    ),
    "Swedish": (
        "Jag har glömt min väska på tåget.",
        "Vi äter frukost klockan åtta.",
        "Var är nycklarna?",
        "På sommaren badar barnen i sjön.",
    ),
}

# Topic: short news lines.
HEADLINES: dict[str, tuple[str, ...]] = {
    "sports": (
        "The home side scored twice in extra time and reached the final.",
        "After a long injury the sprinter ran her best season time over 200 metres.",
        "The coach praised his goalkeeper, who saved two penalties.",
        "Une troisième victoire d'affilée place l'équipe en tête du championnat.",
    ),
    "weather": (
        "Heavy rain and gusts of 90 km/h are expected along the coast tonight.",
        "Fog will clear by noon, with sunshine and up to 24 degrees.",
        "Snow fell down to 400 metres; more is forecast for Friday.",
        "Am Wochenende bleibt es trocken, nachts sinken die Werte unter null Grad.",
    ),
    "cooking": (
        "Let the dough rest for an hour, then roll it out thinly.",
        "Fry the onions gently, add garlic and a spoon of tomato paste.",
        "Simmer the lentils until soft and season with lemon and salt.",
        "Bate los huevos con el azúcar y hornea la mezcla media hora.",
    ),
    "finance": (
        "The central bank left interest rates unchanged for the third time.",
        "Shares in the carmaker fell by six per cent after weak quarterly profits.",
        "Investors moved into government bonds as inflation slowed.",
        "Die Aktie legte zu, nachdem der Konzern eine höhere Dividende versprach.",
    ),
    "medicine": (
        "The new vaccine lowered the number of infections by a third.",
        "Doctors advise patients with high blood pressure to eat less salt.",
        "The surgeon repaired the torn ligament in a short operation.",
        "Le médecin prescrit un antibiotique contre l'infection des poumons.",
    ),
}

# Closed lists: what is asked for, in its language, and all members.
CLOSED_LISTS: dict[tuple[str, str], str] = {
    ("en", "days of the week"): "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
    ("en", "months that have 31 days"): "January, March, May, July, August, October, December",
    ("en", "planets of our solar system"): (
        "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune"
    ),
    ("en", "continents"): (
        "Africa, Europe, Asia, Antarctica, North America, South America, Australia, Oceania"
    ),
    ("en", "colours of the rainbow"): "red, orange, yellow, green, blue, indigo, violet, purple",
    ("en", "noble gases"): "helium, neon, argon, krypton, xenon, radon, oganesson",
    ("en", "letters of the Greek alphabet, by name"): (
        "alpha, beta, gamma, delta, epsilon, zeta, eta, theta, iota, kappa, lambda, mu, nu, xi, "
        "omicron, pi, rho, sigma, tau, upsilon, phi, chi, psi, omega"
    ),
    ("en", "countries that share a border with Germany"): (
        "Denmark, Poland, Czech Republic, Czechia, Austria, Switzerland, France, Luxembourg, "
        "Belgium, Netherlands"
    ),
    ("en", "oceans"): "Pacific, Atlantic, Indian, Arctic, Southern, Antarctic",
    ("en", "seasons of the year"): "spring, summer, autumn, fall, winter",
    ("en", "pieces in a chess set"): (
        "king, queen, rook, rooks, bishop, bishops, knight, knights, pawn, pawns"
    ),
    ("en", "Great Lakes of North America"): "Superior, Michigan, Huron, Erie, Ontario",
    ("en", "Nordic countries"): "Denmark, Finland, Iceland, Norway, Sweden",
    ("en", "large moons of Jupiter"): "Io, Europa, Ganymede, Callisto",
    ("de", "Monate"): (
        "Januar, Februar, März, April, Mai, Juni, Juli, August, September, Oktober, November, "
        "Dezember"
    ),
    ("de", "deutsche Bundesländer"): (
        "Bayern, Baden-Württemberg, Berlin, Brandenburg, Bremen, Hamburg, Hessen, "
        "Mecklenburg-Vorpommern, Niedersachsen, Nordrhein-Westfalen, Rheinland-Pfalz, Saarland, "
        "Sachsen, Sachsen-Anhalt, Schleswig-Holstein, Thüringen"
    ),
    ("fr", "jours de la semaine"): "lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche",
    ("fr", "planètes du système solaire"): (
        "Mercure, Vénus, Terre, Mars, Jupiter, Saturne, Uranus, Neptune"
    ),
    ("es", "estaciones del año"): "primavera, verano, otoño, invierno",
    ("es", "países de América del Sur"): (
        "Argentina, Bolivia, Brasil, Chile, Colombia, Ecuador, Guyana, Paraguay, Perú, Surinam, "
        "Uruguay, Venezuela"
    ),
}
