"""Make verifiable prompts about a given text: extract, restate, answer, summarise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from routerlib.gather.workload.facts import read_table
from routerlib.gather.workload.language import Item, shuffled_rounds

_DOCUMENTS = read_table("documents.yaml")
_HOSTS = ["example.org", "example.com", "mail.example.net"]

_MAIL_NOTES = {
    "en": (
        "Hi, this is {name}. Please send the invoice to {mail} before Friday.",
        "{name} ({job}, {city}) can be reached at {mail}; the office closes at {hour}.",
        "The old address no longer works. From {day} May write to {mail} or call 555-01{day}.",
        "Order {number} shipped. Questions? {mail}. Ask for {name} @ desk {hour}.",
    ),
    "de": ("Guten Tag, ich bin {name} aus {city}. Bitte antworten Sie an {mail}, nicht per Fax.",),
    "fr": ("Bonjour, je suis {name}. Envoyez le devis numéro {number} à {mail}, merci !",),
    "es": ("Hola, soy {name} de {city}. Mi correo es {mail} y abro a las {hour}.",),
}
_FILLER = (
    "The meeting room on the second floor is being painted.",
    "Bring your badge, or reception cannot let you in.",
    "Parking costs 4 euros a day behind the building.",
    "Our handle on social media is @corner_desk, but nobody reads it.",
    "Lunch is served from noon.",
    "The printer (model X-200) is out of paper again.",
)
_FIND_MAIL = {
    "en": (
        "Find the e-mail address in this note:\n{note}",
        "{note}\n\nWhich e-mail address is given above?",
        "Extract the email address. Text: {note}",
    ),
    "de": ("Welche E-Mail-Adresse steht in diesem Text?\n{note}",),
    "fr": ("Quelle adresse e-mail figure dans ce message ?\n{note}",),
    "es": ("Extrae la dirección de correo electrónico: {note}",),
}


def _person(rng: Random) -> dict[str, Any]:
    first, last = rng.choice(_DOCUMENTS["first_names"]), rng.choice(_DOCUMENTS["last_names"])
    local = rng.choice([first.lower(), f"{first[0]}.{last}".lower(), f"{last.lower()}_{first[0]}"])
    if rng.random() < 0.4:
        local += str(rng.randint(2, 99))
    return {
        "name": f"{first} {last}",
        "mail": f"{local}@{rng.choice(_HOSTS)}",
        "city": rng.choice(_DOCUMENTS["cities"]),
        "job": rng.choice(_DOCUMENTS["jobs"]),
        "age": rng.randint(19, 78),
        "hour": rng.randint(8, 18),
        "day": rng.randint(10, 28),
        "number": rng.randint(1000, 99999),
    }


def extract_email(rng: Random) -> Iterator[Item]:
    """Ask for the one e-mail address in a note of one to five sentences."""
    for language in shuffled_rounds(rng, ["en"] * 6 + ["de", "fr", "es"]):
        person = _person(rng)
        sentences = [rng.choice(_MAIL_NOTES[language]).format(**person)]
        if language == "en":
            sentences += rng.sample(_FILLER, rng.randint(0, 3))
        note = " ".join(rng.sample(sentences, len(sentences)))
        reference = {"phrases": [person["mail"]], "max_words": 14}
        yield Item(rng.choice(_FIND_MAIL[language]).format(note=note), reference)


_READ_FIELD = (
    'What is the value of "{key}" in this JSON?\n{text}',
    "{text}\n\nGive the value stored under {key}.",
    "Read the record and answer with its {key}: {text}",
)


def read_json(rng: Random) -> Iterator[Item]:
    """Ask for one field of a JSON object of three to eight fields, some of them nested."""
    keys = shuffled_rounds(rng, ["name", "city", "job", "age", "number", "mail"])
    for key in keys:
        person = _person(rng)
        n_others = rng.randint(2, 7)
        others = rng.sample([each for each in person if each != key], n_others)
        record: dict[str, Any] = {
            each: person[each] for each in rng.sample([key, *others], 1 + n_others)
        }
        if rng.random() < 0.4:
            record = {"id": rng.randint(1, 99), "customer": record, "paid": rng.random() < 0.5}
        text = json.dumps(record, indent=rng.choice([None, None, 2]))
        reference = {"phrases": [str(person[key])], "max_words": 14}
        yield Item(rng.choice(_READ_FIELD).format(key=key, text=text), reference)


_DESCRIBE = (
    "name: {name}; age: {age}; city: {city}; job: {job}",
    "{name}, {age}, lives in {city} and works as a {job}.",
    "Our {job} from {city} is called {name} and turned {age} last week.",
    "Meet {name}: {age} years old, {job}, resident of {city}.",
)
_TO_JSON = (
    "Turn this into one JSON object with the keys {keys}:\n{text}",
    "Write as JSON ({keys}): {text}",
    "{text}\n\nReturn the facts as JSON with exactly these fields: {keys}.",
    "Extract {keys} from the text as a JSON object. Text: {text}",
)


def make_json(rng: Random) -> Iterator[Item]:
    """Ask for a JSON object with two to four fields that a sentence states."""
    while True:
        person = _person(rng)
        keys = rng.sample(["name", "age", "city", "job"], rng.randint(2, 4))
        text = rng.choice(_DESCRIBE).format(**person)
        yield Item(
            rng.choice(_TO_JSON).format(keys=", ".join(keys), text=text),
            {key: person[key] for key in keys},
        )


_SHIPS = ("Aurora", "Blue Heron", "Stella", "Windrose")
_ASK_ABOUT = ("{passage}\n\n{question}", "{question}\n\nText: {passage}", "{passage} {question}")


def question_on_text(rng: Random) -> Iterator[Item]:
    """Ask for a fact that a short text states, with up to three idle sentences around it."""
    for language in shuffled_rounds(rng, ["en"] * 6 + ["de", "fr", "es"]):
        person = _person(rng)
        source = rng.choice(_DOCUMENTS["passages"][language])
        question, slot = rng.choice(list(source["questions"].items()))
        passage = source["text"].format(ship=rng.choice(_SHIPS), **person)
        if language == "en":
            idle = rng.sample(_FILLER, rng.randint(0, 3))
            place = rng.randint(0, len(idle))
            passage = " ".join([*idle[:place], passage, *idle[place:]])
        answer = str(person[slot])
        phrases = [answer, answer.split()[-1]] if slot == "name" else [answer]
        yield Item(
            rng.choice(_ASK_ABOUT).format(passage=passage, question=question),
            {"phrases": phrases, "at_least": 1, "max_words": 15},
        )


_SUMMARISE = {
    "en": (
        "Summarise in one sentence:\n{text}",
        "{text}\n\nSay this in a single short sentence.",
        "Give a one-sentence summary of the following report. {text}",
        "TL;DR in one sentence, please: {text}",
    ),
    "de": ("Fasse den Text in einem Satz zusammen: {text}",),
    "fr": ("Résume ce texte en une seule phrase : {text}",),
}


def summarize(rng: Random) -> Iterator[Item]:
    """Ask for one sentence that keeps the key facts of three or four."""
    for language in shuffled_rounds(rng, ["en", "en", "en", "en", "en", "de", "fr"]):
        person = _person(rng)
        story = rng.choice(_DOCUMENTS["stories"][language])
        text = story["text"].format(**person)
        forms = [fact.format(last=person["name"].split()[1], **person) for fact in story["facts"]]
        reference = {"source": text, "facts": [form.split("|") for form in forms], "max_words": 30}
        yield Item(rng.choice(_SUMMARISE[language]).format(text=text), reference)
