"""What a recall evaluation is about: conversations or passages, questions, the evidence for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that may be evidence: a turn of a conversation, or a passage of a pool."""

    text: str
    speaker: str = ""
    """Who said it; of a passage, its title."""
    date: str = ""
    """As the data set writes it."""

    @property
    def line(self) -> str:
        """As the baselines show it: date, speaker and words in one line."""
        named = f"{self.speaker}: {self.text}" if self.speaker else self.text
        return f"({self.date}) {named}" if self.date else named

    @property
    def said(self) -> str:
        """As the baselines search it: without the date."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text

    def message(self) -> Mapping[str, Any]:
        """A turn as a user's message in OpenAI form."""
        message = {"role": "user", "content": self.text}
        if self.speaker:
            message["name"] = self.speaker
        if self.date:
            message["timestamp"] = self.date
        return message


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, which items are the evidence for it, and what kind of question it is."""

    text: str
    evidence: tuple[int, ...]
    category: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Items that questions are asked about; a conversation, or passages that have no order."""

    name: str
    items: tuple[Item, ...]
    questions: tuple[Asked, ...]
    is_conversation: bool
