"""Make verifiable prompts about language and knowledge, endlessly, from a random generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

from routerlib.gather.workload import facts

Thing = TypeVar("Thing")


class Item(NamedTuple):
    """A prompt's text, and what its judge compares with."""

    text: str
    reference: Any


def shuffled_rounds(rng: Random, things: Sequence[Thing]) -> Iterator[Thing]:
    """Yield all things in random order, again and again, so that each comes equally often.

    >>> rounds = shuffled_rounds(Random(0), "abc")
    >>> sorted(next(rounds) for _ in range(6))
    ['a', 'a', 'b', 'b', 'c', 'c']
    """
    while True:
        yield from rng.sample(list(things), len(things))


def _short(*phrases: str) -> dict[str, Any]:
    """Return a reference that any of the phrases meets in an answer of a dozen words."""
    return {"phrases": list(phrases), "at_least": 1, "max_words": 12}


_CAPITAL = {
    "en": (
        "What is the capital of {}?",
        "Name the capital city of {}.",
        "Which city is the seat of government and capital of {}?",
        "I am writing a travel guide. What is {}'s capital called?",
        "Capital of {}, please.",
    ),
    "de": ("Wie heißt die Hauptstadt von {}?", "Nenne mir die Hauptstadt dieses Landes: {}"),
    "fr": ("Quelle ville est la capitale de ce pays : {} ?", "Donne-moi la capitale de {}."),
    "es": ("¿Cuál es la capital de {}?", "Dime qué ciudad es la capital de {}."),
    "it": ("Qual è la capitale di questo paese: {}?",),
}


def capital(rng: Random) -> Iterator[Item]:
    """Ask for a country's capital."""
    pairs = [("en", *pair) for pair in facts.CAPITALS.items()]
    for language, table in facts.LOCAL_CAPITALS.items():
        pairs += [(language, *pair) for pair in table.items()]
    for language, country, cities in shuffled_rounds(rng, pairs):
        text = rng.choice(_CAPITAL[language]).format(country)
        yield Item(text, _short(*cities.split("|")))


_COUNTRY_OF = (
    "Which country has {} as its capital?",
    "{} is the capital of which country?",
    "My flight goes to {}, a capital city. What country is that?",
    "Of which state is {} the capital?",
    "Name the country whose government sits in its capital, {}.",
)


def country_of_capital(rng: Random) -> Iterator[Item]:
    """Ask for the country of a capital."""
    for country, cities in shuffled_rounds(rng, list(facts.CAPITALS.items())):
        text = rng.choice(_COUNTRY_OF).format(cities.split("|")[0])
        yield Item(text, _short(country))


_OPPOSITE = {
    "en": (
        'What is the opposite of "{}"?',
        "Give one antonym of the word {}.",
        'Complete with one word: the contrary of "{}" is ...',
        "Which single word means the reverse of {}?",
    ),
    "de": ("Was ist das Gegenteil von „{}“?", "Nenne ein Wort, das das Gegenteil von {} bedeutet."),
    "fr": ("Quel est le contraire de « {} » ?", "Donne un mot de sens opposé à « {} »."),
    "es": ("¿Cuál es el antónimo de «{}»?", "Escribe lo contrario de «{}» en una palabra."),
}


def antonym(rng: Random) -> Iterator[Item]:
    """Ask for an opposite."""
    rows = [(language, *row) for language, table in facts.ANTONYMS.items() for row in table.items()]
    for language, word, opposites in shuffled_rounds(rng, rows):
        yield Item(
            rng.choice(_OPPOSITE[language]).format(word),
            {"phrases": opposites.split("|"), "at_least": 1, "max_words": 10},
        )


_PAST = (
    'What is the simple past of the English verb "{}"?',
    "Put this verb into the simple past: {}",
    "Yesterday they ___ . (verb: {}, past tense)",
    "Past tense, not the participle, of {}?",
    "Today I {}. Yesterday I ... ?",
)


def past_tense(rng: Random) -> Iterator[Item]:
    """Ask for the simple past of an English verb."""
    for verb, past in shuffled_rounds(rng, list(facts.PAST_TENSES.items())):
        yield Item(rng.choice(_PAST).format(verb), _short(past))


_TRANSLATE = (
    'Translate the word "{}" into {}.',
    'How do you say "{}" in {}?',
    "The noun or adjective {}, in {}, please. One word.",
    'A tourist wants to know: what is the {1} word for "{0}"?',
)


def translate_word(rng: Random) -> Iterator[Item]:
    """Ask for one word in French, German, Spanish or Italian, or back in English."""
    languages = shuffled_rounds(rng, facts.TRANSLATION_LANGUAGES)
    for english, foreign in shuffled_rounds(rng, list(facts.TRANSLATIONS.items())):
        language = next(languages)
        words = foreign[facts.TRANSLATION_LANGUAGES.index(language)].split("|")
        if rng.random() < 0.3:
            text = f'What does the {language} word "{words[0]}" mean in English?'
            yield Item(text, _short(english))
        else:
            yield Item(rng.choice(_TRANSLATE).format(english, language), _short(*words))


_LIST_THREE = {
    "en": ("Name three {}.", "List any three {}.", "Give me 3 {}, separated by commas."),
    "de": ("Nenne drei {}.", "Zähle drei {} auf, durch Kommas getrennt."),
    "fr": ("Cite trois {}.",),
    "es": ("Nombra tres {}.", "Di tres {}, separados por comas."),
}


def list_three(rng: Random) -> Iterator[Item]:
    """Ask for three members of a closed list."""
    for (language, kind), members in shuffled_rounds(rng, list(facts.CLOSED_LISTS.items())):
        reference = {"phrases": members.split(", "), "at_least": 3, "max_words": 20}
        yield Item(rng.choice(_LIST_THREE[language]).format(kind), reference)


_WORDS = {
    "en": (
        "garden river lantern violin pepper ladder winter captain marble orchard thunder pocket "
        "mirror saddle basket candle harbour museum falcon blanket"
    ),
    "de": "Garten Fluss Lampe Geige Leiter Winter Spiegel Kerze Hafen Bäcker Wolke Brücke",
    "fr": "jardin rivière lampe violon échelle hiver miroir bougie port nuage pont gâteau",
    "es": "jardín río lámpara violín escalera invierno espejo vela puerto nube puente pan",
}
_WRITE_WITH = {
    "en": (
        "Write one sentence that uses the words {}.",
        "Make up a single sentence. It must contain: {}.",
        "Compose a sentence in which all of these appear: {}.",
    ),
    "de": ("Schreibe einen Satz mit den Wörtern {}.",),
    "fr": ("Écris une phrase qui contient les mots {}.",),
    "es": ("Escribe una frase con las palabras {}.",),
}


# Words of the requests: they give away an answer that repeats the request.
_ABOUT_THE_REQUEST = [
    *("sentence", "sentences", "words", "contain", "contains", "Satz", "Wörtern", "Wörter"),
    *("phrase", "mots", "frase", "palabras"),
]


def include_words(rng: Random) -> Iterator[Item]:
    """Ask for a sentence with two to six given words."""
    for language in shuffled_rounds(rng, ["en"] * 6 + ["de", "fr", "es"]):
        chosen = rng.sample(_WORDS[language].split(), rng.choice([1, 2, 2, 3, 4, 5]))
        text = rng.choice(_WRITE_WITH[language]).format(", ".join(chosen))
        reference = {
            "phrases": chosen,
            "forbidden": _ABOUT_THE_REQUEST,
            "min_words": len(chosen) + 3,
        }
        yield Item(text, reference)


_PHRASES = (
    "open the window",
    "see you tomorrow at noon",
    "the blue bicycle belongs to Nora",
    "Das Wetter wird besser",
    "mañana vamos al mercado",
    "la porte est fermée",
    "please bring two chairs",
    "never feed the old parrot after midnight",
    "train 48 leaves from platform 7",
    "guten Morgen",
    "gracias por tu ayuda",
    "quality first",
    "our shop closes early on the last Friday of each month",
    "il gatto dorme",
    "room B12 is free",
    "keep the receipt for your tax return",
    "une tasse de thé vert",
    "die Suppe ist noch zu warm zum Essen",
    "buy eggs",
    "meet Clara behind the north gate",
)
_UPPER = (
    "Write this in capital letters: {}",
    "Convert to upper case: {}",
    "{}\n\nRepeat the line above in ALL CAPS.",
    "Change every letter to a capital letter, keep the rest: {}",
)
_REPEAT = (
    "Repeat exactly: {}",
    "Say the following and nothing else: {}",
    "Copy this text word for word.\n{}",
    "Echo this text: {}",
    "I will type a line, you return it unchanged. Here it is: {}",
)


def upper_case(rng: Random) -> Iterator[Item]:
    """Ask for a phrase in capital letters."""
    for phrase in shuffled_rounds(rng, _PHRASES):
        yield Item(rng.choice(_UPPER).format(phrase), phrase.upper())


_SYLLABLES = ["ba", "ke", "lo", "mi", "nu", "ra", "sti", "vo", "zan", "dor", "fel", "gri"]


def repeat(rng: Random) -> Iterator[Item]:
    """Ask to copy a phrase, a made-up word or a code."""
    phrases = shuffled_rounds(rng, _PHRASES)
    while True:
        length = rng.randint(2, 5)
        made_up = "".join(rng.choice(_SYLLABLES) for _ in range(length))
        code = "-".join(f"{rng.randrange(16**4):04X}" for _ in range(length))
        text = rng.choice([next(phrases), next(phrases), made_up, code])
        yield Item(rng.choice(_REPEAT).format(text), text)


_WHICH_LANGUAGE = (
    "In which language is this written? {sentence}\nOptions: {options}",
    "Name the language of the sentence. Choose from {options}.\n\n{sentence}",
    '"{sentence}" - which of these languages is it: {options}?',
)


def language_id(rng: Random) -> Iterator[Item]:
    """Ask which of four languages a sentence is in; every language comes equally often."""
    unused = {
        language: shuffled_rounds(rng, sentences) for language, sentences in facts.SENTENCES.items()
    }
    for language in shuffled_rounds(rng, list(facts.SENTENCES)):
        options = _options(rng, language, facts.SENTENCES, 4)
        text = rng.choice(_WHICH_LANGUAGE).format(
            sentence=next(unused[language]), options=", ".join(options)
        )
        yield Item(text, {"label": language, "labels": options})


_WHICH_TOPIC = (
    "What is this text about: {options}? Choose one.\n{line}",
    "Assign one category ({options}) to the following line.\n\n{line}",
    'Topic of "{line}"? Possible answers: {options}',
)


def topic(rng: Random) -> Iterator[Item]:
    """Ask for the topic of a line; every topic comes equally often."""
    unused = {name: shuffled_rounds(rng, lines) for name, lines in facts.HEADLINES.items()}
    for name in shuffled_rounds(rng, list(facts.HEADLINES)):
        options = _options(rng, name, facts.HEADLINES, len(facts.HEADLINES))
        text = rng.choice(_WHICH_TOPIC).format(line=next(unused[name]), options=", ".join(options))
        yield Item(text, {"label": name, "labels": options})


def _options(rng: Random, label: str, all_labels: Mapping[str, Any], n_options: int) -> list[str]:
    """Return the label among others, in random order."""
    others = [each for each in all_labels if each != label]
    return rng.sample([label, *rng.sample(others, n_options - 1)], n_options)
