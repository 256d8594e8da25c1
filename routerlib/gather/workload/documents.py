"""Make verifiable prompts about a given text: extract, restate, answer, summarise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from routerlib.gather.workload.language import Item, shuffled_rounds

_FIRST_NAMES = [
    "Amara",
    "Bruno",
    "Carla",
    "Dmitri",
    "Elif",
    "Farid",
    "Greta",
    "Hana",
    "Ivo",
    "Jonas",
    "Keiko",
    "Lena",
    "Marek",
]
_LAST_NAMES = [
    "Abbott",
    "Brandt",
    "Castillo",
    "Duarte",
    "Eriksen",
    "Fontaine",
    "Greco",
    "Hassan",
    "Ito",
    "Keller",
]
_CITIES = [
    "Porto",
    "Leeds",
    "Graz",
    "Lyon",
    "Turin",
    "Aarhus",
    "Seville",
    "Gdansk",
    "Ghent",
    "Tampere",
    "Bilbao",
    "Basel",
]
_JOBS = [
    "baker",
    "nurse",
    "plumber",
    "librarian",
    "architect",
    "florist",
    "pilot",
    "welder",
    "translator",
    "vet",
]
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
    first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
    local = rng.choice([first.lower(), f"{first[0]}.{last}".lower(), f"{last.lower()}_{first[0]}"])
    if rng.random() < 0.4:
        local += str(rng.randint(2, 99))
    return {
        "name": f"{first} {last}",
        "mail": f"{local}@{rng.choice(_HOSTS)}",
        "city": rng.choice(_CITIES),
        "job": rng.choice(_JOBS),
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


# Passage, then questions with the slot that answers each.
_PASSAGES = {
    "en": (
        (
            "The {ship} left {city} on {day} March with {number} crates of tea. Captain {name} "
            "was on board for the first time.",
            (
                ("From which city did the ship sail?", "city"),
                ("How many crates were on board?", "number"),
                ("Who was the captain?", "name"),
            ),
        ),
        (
            "At {age}, {name} opened a workshop in {city}. It repairs clocks, opens at {hour} in "
            "the morning, and employs a former {job}.",
            (
                ("How old was the owner when the workshop opened?", "age"),
                ("What did the employee work as before?", "job"),
                ("Where is the workshop?", "city"),
            ),
        ),
        (
            "Two people applied: a {job} from {city}, and {name}, who is {age}. The committee "
            "met on {day} June and chose the {job}.",
            (
                ("What is the job of the person who was chosen?", "job"),
                ("On which day of June did the committee meet?", "day"),
                ("Where does the successful applicant come from?", "city"),
            ),
        ),
    ),
    "de": (
        (
            "{name} wohnt seit {age} Jahren in {city} und leitet dort ein Museum mit {number} "
            "Bildern.",
            (
                ("In welcher Stadt liegt das Museum?", "city"),
                ("Wie viele Bilder hat das Museum?", "number"),
            ),
        ),
    ),
    "fr": (
        (
            "Le train de {hour} heures pour {city} a eu {day} minutes de retard. {name} a raté "
            "son rendez-vous.",
            (
                ("Où allait le train ?", "city"),
                ("De combien de minutes était le retard ?", "day"),
            ),
        ),
    ),
    "es": (
        (
            "La panadería de {name} en {city} vendió {number} panes en {day} días.",
            (
                ("¿Cuántos panes vendió la panadería?", "number"),
                ("¿En qué ciudad está la panadería?", "city"),
            ),
        ),
    ),
}
_SHIPS = ("Aurora", "Blue Heron", "Stella", "Windrose")
_ASK_ABOUT = ("{passage}\n\n{question}", "{question}\n\nText: {passage}", "{passage} {question}")


def question_on_text(rng: Random) -> Iterator[Item]:
    """Ask for a fact that a short text states, with up to three idle sentences around it."""
    for language in shuffled_rounds(rng, ["en"] * 6 + ["de", "fr", "es"]):
        person = _person(rng)
        template, questions = rng.choice(_PASSAGES[language])
        question, slot = rng.choice(questions)
        passage = template.format(ship=rng.choice(_SHIPS), **person)
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


# Text, then the facts that a summary must keep.
_STORIES = {
    "en": (
        (
            "The town of {city} closed its old tram line yesterday. The rails were worn out and "
            "repairs would have cost {number} thousand euros. Buses will replace the trams. "
            "Many residents came to take photographs of the last ride.",
            ("{city}", "tram|trams|tramline"),
        ),
        (
            "A {job} from {city} found a Roman coin while digging in the garden. An expert dated "
            "it to the second century. The finder, {name}, gave it to the local museum, where it "
            "can be seen from Tuesday.",
            ("coin|coins", "museum"),
        ),
        (
            "Heavy storms hit {city} on Sunday night. The river rose by two metres and flooded "
            "{day} streets. Firefighters pumped out cellars until the morning. Nobody was hurt.",
            ("{city}", "storm|storms|flood|floods|flooding|flooded"),
        ),
        (
            "The library in {city} will stay open until midnight from {day} May. Students had "
            "asked for it for years. To pay for the extra staff, the cafe inside will raise its "
            "prices a little.",
            ("library", "midnight"),
        ),
        (
            "{name} has won the regional chess cup for the third time. The {age}-year-old {job} "
            "beat {day} players in one weekend. The final game lasted five hours and ended after "
            "a bold sacrifice of the queen.",
            ("{last}", "chess"),
        ),
    ),
    "de": (
        (
            "Der Zoo in {city} hat ein neues Haus für Elefanten eröffnet. Der Bau dauerte "
            "{day} Monate und kostete mehr als geplant. Am Sonntag ist der Eintritt frei.",
            ("Zoo|Zoos", "Elefanten|Elefantenhaus|Elefant"),
        ),
    ),
    "fr": (
        (
            "Le marché de {city} change de place. À partir du {day} juin, les commerçants "
            "s'installeront devant la gare, car la vieille halle doit être rénovée. Les travaux "
            "dureront deux ans.",
            ("marché", "gare"),
        ),
    ),
}
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
        story, facts = rng.choice(_STORIES[language])
        text = story.format(**person)
        forms = [fact.format(last=person["name"].split()[1], **person) for fact in facts]
        reference = {"source": text, "facts": [form.split("|") for form in forms], "max_words": 30}
        yield Item(rng.choice(_SUMMARISE[language]).format(text=text), reference)
