"""Labelled sentences, made here: by topic, which a sentence encoder's last layer knows, and by grammar."""

from __future__ import annotations

import random
from collections.abc import Sequence

_Pairs = list[tuple[str, str]]  # text, label

# Topic -> things and what is said of them, of which sentences are combined; others are written by hand, below.
_TOPICS = {
    "cooking": (
        [
            "the soup",
            "this dough",
            "the sauce",
            "a ripe tomato",
            "the roast",
            "her risotto",
            "the omelette",
            "fresh basil",
        ],
        ["needs more salt", "simmers on the stove", "tastes of garlic", "goes into the oven", "is served with butter"],
    ),
    "sport": (
        [
            "the striker",
            "our goalkeeper",
            "the home team",
            "a young sprinter",
            "the coach",
            "the champion",
            "their captain",
        ],
        ["scored twice", "trained all morning", "lost the final", "broke the record", "was injured before the match"],
    ),
    "weather": (
        [
            "the morning fog",
            "a cold front",
            "heavy rain",
            "the thunderstorm",
            "this heat wave",
            "the first snow",
            "a gale",
        ],
        [
            "is moving east",
            "will clear by noon",
            "surprised the whole valley",
            "lasts until Friday",
            "covers the coast",
        ],
    ),
    "money": (
        [
            "the bank",
            "our mortgage",
            "the central bank",
            "her pension fund",
            "the stock market",
            "a cheap loan",
            "the budget",
        ],
        ["lost four per cent", "raises its interest", "pays a dividend", "must be refinanced", "worries investors"],
    ),
    "music": (
        [
            "the violinist",
            "this symphony",
            "the choir",
            "a jazz trio",
            "the second movement",
            "her new album",
            "the pianist",
        ],
        [
            "begins in a minor key",
            "was recorded live",
            "missed an entry",
            "plays without a score",
            "ends with a long solo",
        ],
    ),
}
_WRITTEN = {
    "cooking": [
        "Fry the mushrooms in very hot oil.",
        "We have run out of flour and yeast.",
        "A good broth takes six hours.",
        "Do not stir the polenta too fast.",
        "The waiter recommended grilled sardines.",
        "My brother puts cinnamon into his coffee.",
        "The cake collapsed when I opened the oven.",
        "Chop the parsley at the last moment.",
        "Peel the onions and let them brown slowly in a pan.",
        "I always burn the rice when I am talking.",
        "Grandmother's dumplings are better than those of any restaurant.",
        "Whisk the eggs with sugar until they are pale.",
        "You forgot the pepper again.",
        "The recipe asks for three lemons and a pinch of nutmeg.",
        "He sliced the aubergine as thin as paper.",
        "Leave the bread to rise under a damp cloth.",
    ],
    "sport": [
        "The cyclist attacked on the last climb.",
        "He missed the free throw.",
        "The skiers train on a glacier in autumn.",
        "A draw would be enough to reach the semifinal.",
        "Her backhand went into the net.",
        "The boxer was knocked out in round four.",
        "The league was decided on goal difference.",
        "Supporters travelled all night to see the derby.",
        "They won on penalties after extra time.",
        "She serves harder than anybody else on the tour.",
        "The referee showed him a second yellow card.",
        "Nobody expected a marathon under two hours.",
        "Their defence collapsed in the second half.",
        "He swims forty lengths every day before breakfast.",
        "The relay team dropped the baton at the last exchange.",
        "Season tickets for the stadium are sold out.",
    ],
    "weather": [
        "It has been drizzling since Tuesday.",
        "The river froze over in January.",
        "Clouds are gathering above the ridge.",
        "A hurricane is approaching the islands.",
        "Tomorrow will be mild with sunny spells.",
        "The drought emptied the wells.",
        "Sleet made the roads slippery.",
        "Spring came late to the mountains this year.",
        "Take an umbrella, it will pour this afternoon.",
        "There was frost on the windows at dawn.",
        "Not a cloud in the sky for three weeks.",
        "Winds of ninety kilometres an hour are expected on the hills.",
        "Lightning struck the old oak during the night.",
        "The forecast promises sunshine and a light breeze.",
        "Humidity makes these thirty degrees unbearable.",
        "Hailstones as large as walnuts fell on the vineyards.",
    ],
    "money": [
        "She pays her rent on the first of the month.",
        "The invoice has not been settled.",
        "Investors pulled out of the fund.",
        "He owes his cousin two thousand francs.",
        "The firm's profits doubled within a year.",
        "Exchange your currency before the journey.",
        "A cheque lay forgotten in the drawer.",
        "Wages rose more slowly than prices.",
        "Inflation eats up what we put aside.",
        "He sold his shares a day too early.",
        "The company cannot repay its debts.",
        "Open a savings account for the children.",
        "Taxes on capital gains are due in March.",
        "The euro fell against the dollar once more.",
        "An auditor found a hole in the accounts.",
        "Bond yields have not been so low for a decade.",
    ],
    "music": [
        "The trumpet came in a bar too soon.",
        "Her voice is best in the lower register.",
        "They danced to an old waltz.",
        "The organ fills the whole cathedral.",
        "He practises scales for an hour each day.",
        "The record was a hit in the sixties.",
        "Two flutes answer the clarinet.",
        "The band's new song has only three chords.",
        "The cello carries the melody throughout.",
        "She tuned her guitar between two songs.",
        "The orchestra rehearses in an empty church.",
        "A drummer should listen more than he plays.",
        "He hums the same chorus all day.",
        "The tenor's high notes filled the opera house.",
        "This sonata was never published.",
        "They sang in four parts and without a conductor.",
    ],
}

_PEOPLE = [
    "the baker",
    "my neighbour",
    "an old sailor",
    "the nurse",
    "their teacher",
    "a clerk",
    "the gardener",
    "Maria",
]
# Base form, past, third person, object; the first are for training, the last five for the test.
_VERBS = [
    ("open", "opened", "opens", "the window"),
    ("write", "wrote", "writes", "a long letter"),
    ("sell", "sold", "sells", "the house"),
    ("clean", "cleaned", "cleans", "the boots"),
    ("break", "broke", "breaks", "a glass"),
    ("carry", "carried", "carries", "the suitcase"),
    ("paint", "painted", "paints", "the fence"),
    ("forget", "forgot", "forgets", "the keys"),
    ("repair", "repaired", "repairs", "an engine"),
    ("find", "found", "finds", "some coins"),
    ("visit", "visited", "visits", "the castle"),
    ("eat", "ate", "eats", "an apple"),
    ("watch", "watched", "watches", "the birds"),
    ("bring", "brought", "brings", "a newspaper"),
    ("lose", "lost", "loses", "the ticket"),
]
_HELD_OUT = 5
_FORMS = {
    "past": "{who} {past} {what}",
    "past, negated": "{who} did not {base} {what}",
    "present": "{who} {third} {what}",
    "present, negated": "{who} does not {base} {what}",
    "future": "{who} will {base} {what}",
    "future, negated": "{who} will not {base} {what}",
}


def _words(text: str) -> list[str]:
    return text.split()


_SUBJECTS = _words(
    "baker neighbour sailor nurse teacher clerk gardener singer farmer painter lawyer guard tailor "
    "student driver doctor pilot banker hunter miner cook dancer writer judge soldier plumber barber monk "
    "pupil visitor inspector carpenter tourist engineer uncle cousin widow hermit knight shepherd surgeon "
    "florist miller porter jeweller butler detective librarian "
)
_OBJECTS = _words(
    "window letter house boot suitcase fence key engine coin castle apple bird ticket glass lamp chair "
    "table bottle carpet basket hammer blanket mirror clock drawer flower picture button candle ladder "
    "barrel wagon pillow guitar kettle saddle cabin bucket magnet parcel violin helmet rocket camera "
    "teapot curtain tractor lantern "
)
_ADJECTIVES = ["old", "small", "heavy", "red", "strange", "broken", "new", "dark"]
_DEEDS = [
    "opened",
    "sold",
    "cleaned",
    "carried",
    "painted",
    "forgot",
    "repaired",
    "found",
    "brought",
    "lost",
    "watched",
    "bought",
]
# Words that have no say in it, so that neither length nor the last word tells the form.
_TAILS = ["", " again", " without a word", ", they say", " in the rain", " for the children"]


def topics() -> tuple[list[str], list[str], list[str], list[str]]:
    """Training texts and labels, test texts and labels: five topics, 32 training sentences each, 24 of them combined.

    The test sentences are all written by hand.
    """
    drawn = random.Random(0)
    train, test = [], []
    for name, (things, sayings) in _TOPICS.items():
        combined = [f"{thing} {said}.".capitalize() for thing in things for said in sayings]
        written = drawn.sample(_WRITTEN[name], len(_WRITTEN[name]))
        train += [(text, name) for text in (*drawn.sample(combined, 24), *written[:8])]
        test += [(text, name) for text in written[8:]]
    return (*_apart(train), *_apart(test))


def forms() -> tuple[list[str], list[str], list[str], list[str]]:
    """The same by tense and negation: six forms, 40 training sentences each; the verbs of the test are others."""
    drawn = random.Random(0)
    return (*_apart(_formed(_VERBS[:-_HELD_OUT], 4, drawn)), *_apart(_formed(_VERBS[-_HELD_OUT:], 6, drawn)))


def numbers() -> tuple[list[str], list[str], list[str], list[str]]:
    """The same by singular and plural of subject and object: four classes, 48 training sentences each.

    The nouns of the test are others, and no verb gives the number away.
    """
    drawn = random.Random(0)
    learned_from = 30
    return (
        *_apart(_counted(_SUBJECTS[:learned_from], _OBJECTS[:learned_from], drawn)),
        *_apart(_counted(_SUBJECTS[learned_from:], _OBJECTS[learned_from:], drawn)),
    )


def _counted(subjects: Sequence[str], objects: Sequence[str], drawn: random.Random) -> _Pairs:
    made = []
    for several, of_several in ((False, False), (False, True), (True, False), (True, True)):
        for _ in range(48):
            who, what = drawn.choice(subjects) + "s" * several, drawn.choice(objects) + "s" * of_several
            first, second, did = drawn.choice(_ADJECTIVES), drawn.choice(_ADJECTIVES), drawn.choice(_DEEDS)
            said = f"The {first} {who} {did} the {second} {what}{drawn.choice(_TAILS)}."
            made.append((said, f"{'many' if several else 'one'}, {'many' if of_several else 'one'}"))
    return made


def _formed(verbs: Sequence[Sequence[str]], times: int, drawn: random.Random) -> _Pairs:
    made = []
    for name, pattern in _FORMS.items():
        for base, past, third, what in verbs:
            for who in drawn.sample(_PEOPLE, times):
                said = pattern.format(who=who, base=base, past=past, third=third, what=what)
                made.append((f"{said}{drawn.choice(_TAILS)}.", name))
    return made


def _apart(pairs: _Pairs) -> tuple[list[str], list[str]]:
    return [text for text, _ in pairs], [name for _, name in pairs]
