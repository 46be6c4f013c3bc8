"""A long made-up dialogue about a trip: facts told early, three of them changed later, small talk between.

Deterministic. What is worth keeping is marked by the user ("Remember:", "Update:"), as people do when
an assistant offers it; two facts come near the end, where plain truncation still sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from contextkit.messages import Message, text_message

MARKERS = ("Remember:", "Update:")
"""What the user says before a fact; `pin` keeps the messages that contain one of them."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something the user says once, the question about it, and what the newest word on it is."""

    at: int
    """Turn in which it is told, of `N_TURNS`."""
    told: str
    question: str
    answer: str
    changed_at: int | None = None
    changed: str = ""
    new_answer: str = ""

    @property
    def expected(self) -> str:
        """The answer that is true at the end."""
        return self.new_answer or self.answer

    @property
    def evidence(self) -> str:
        """The sentence that a call must hold to be answered from."""
        return f"Update: {self.changed}" if self.changed else f"Remember: {self.told}"


N_TURNS = 160

FACTS = (
    Fact(4, "my budget is $2,400.", "What is my budget?", "$2,400", 62, "my budget is $1,950.", "$1,950"),
    Fact(7, "I am allergic to walnuts.", "What am I allergic to?", "walnuts"),
    Fact(11, "the access code of the flat is 48213.", "What is the access code of the flat?", "48213"),
    Fact(
        15, "my meeting starts at 9:40.", "When does my meeting start?", "9:40",
        71, "my meeting starts at 11:15.", "11:15",
    ),
    Fact(19, "my sister's name is Leila.", "What is my sister's name?", "Leila"),
    Fact(24, "the locker combination is 5821.", "What is the locker combination?", "5821"),
    Fact(
        28, "I am planning a trip to Lisbon.", "Where am I planning to travel?", "Lisbon",
        80, "I am planning a trip to Porto.", "Porto",
    ),
    Fact(33, "my phone number is 555-0142.", "What is my phone number?", "555-0142"),
    Fact(39, "my flight leaves from gate B42.", "Which gate does my flight leave from?", "B42"),
    Fact(44, "my address is 18 Miller Street.", "What is my address?", "18 Miller Street"),
    Fact(147, "my confirmation code is KX7291.", "What is my confirmation code?", "KX7291"),
    Fact(152, "my hobby is birdwatching.", "What is my hobby?", "birdwatching"),
)  # fmt: skip

_ACKNOWLEDGED = ("Got it.", "Noted.", "Okay, I will remember that.", "Thanks for telling me.")
_THINGS = ("the old harbour", "the tram museum", "the castle walls", "the fish market", "the river walk",
           "the tile workshop", "the botanical garden", "the Sunday concert", "the cable car")  # fmt: skip
_ASKED = (
    "Do you think {thing} is worth a morning?",
    "A friend told me that {thing} was crowded last summer.",
    "I was reading about {thing} on the train today.",
    "Would {thing} be a good idea if it rains?",
    "I could walk to {thing} after breakfast, or take the bus.",
    "Someone at work came back from {thing} and loved it.",
)
_SAID = (
    "It can be lovely early in the day, before the groups arrive.",
    "Many visitors like it; comfortable shoes help.",
    "If it rains there are covered places nearby.",
    "It is a short ride from the centre, and the view is good.",
    "You could combine it with lunch close by.",
)


def make_dialogue(n_turns: int = N_TURNS, seed: int = 7) -> list[Message]:
    """A user message and an answer for every turn."""
    chance = Random(seed)
    out: list[Message] = []
    told = {fact.at: f"Remember: {fact.told}" for fact in FACTS}
    told |= {f.changed_at: f"Update: {f.changed}" for f in FACTS if f.changed_at is not None}
    for turn in range(n_turns):
        said = told.get(turn)
        asked = said or chance.choice(_ASKED).format(thing=chance.choice(_THINGS))
        answer = chance.choice(_ACKNOWLEDGED if said else _SAID)
        out += [text_message("user", asked), text_message("assistant", answer)]
    return out


def holds(messages: Sequence[Message], fact: Fact) -> bool:
    """Whether the newest word on a fact is among the messages, as the user said it."""
    return any(fact.evidence in message.text for message in messages)
