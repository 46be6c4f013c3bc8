"""Made-up agent conversations, valid as they stand: what a trimmer may be given, from a seed.

Several turns with parallel tool calls, some with a system prompt, reasoning, images and text outside ASCII.
A transcript ends where a model would be asked, and names every earlier place where one was.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from contextkit.testing.shapes import MIXED, Shape

Form: TypeAlias = Literal["openai", "anthropic"]
Wire: TypeAlias = dict[str, Any]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel, PNG in base64."""
_WORDS = (
    "gate flight window seat refund delay baggage ticket cabin runway order invoice parcel customer "
    "address status total error server cache index query table record branch commit review release"
).split()
_FOREIGN = (
    "Grüße aus Köln",
    "東京行きの便",
    "рейс задержан",
    "الرحلة ١٢",
    "naïve café ☕",
    "👩‍✈️🛫",
)
_TOOLS = ("look_up", "search_orders", "read_file", "book")


@dataclass(frozen=True)
class Transcript:
    """One conversation; `messages` ends with what a model is to answer."""

    seed: int
    index: int
    form: Form
    messages: tuple[Wire, ...]
    calls: tuple[int, ...]
    """How many messages stand before each call of the model, ascending; the last is all of them."""

    @property
    def name(self) -> str:
        """`7/42`: seed and index, from which `transcript` makes it again in its shape."""
        return f"{self.seed}/{self.index}"


def transcripts(
    n: int, *, seed: int = 0, first: int = 0, form: Form = "openai", shape: Shape = MIXED
) -> Iterator[Transcript]:
    """`n` conversations of a seed, from index `first` on; the same ones on every machine."""
    places = range(first, first + n)
    return (transcript(seed, index, form=form, shape=shape) for index in places)


def transcript(seed: int, index: int, *, form: Form = "openai", shape: Shape = MIXED) -> Transcript:
    """The conversation of that seed, index and shape, in a provider's form.

    In the Anthropic form there is no system message: that provider takes it beside the messages.
    """
    writer: _Writer = _OpenAI() if form == "openai" else _Anthropic()
    maker = _Maker(random.Random(f"{seed}/{index}"), writer, shape)
    maker.make()
    return Transcript(seed, index, form, tuple(writer.out), tuple(maker.calls))


class _Maker:
    """Draws what is said; the writer puts it into its provider's form."""

    def __init__(self, rng: random.Random, writer: _Writer, shape: Shape) -> None:
        self.rng, self.writer, self.shape = rng, writer, shape
        self.calls: list[int] = []
        self.n_ids = 0

    def make(self) -> None:
        rng, shape = self.rng, self.shape
        if rng.random() < shape.system:
            self.writer.system("You are an agent. " + self._text(4, 20))
        n_turns = rng.randint(*shape.turns)
        for turn in range(n_turns):
            picture = PIXEL if rng.random() < 0.04 else ""
            self.writer.user(self._text(3, 40), picture)
            n_rounds = rng.choice(shape.rounds)
            last = turn == n_turns - 1
            if last and shape.fresh and rng.random() < shape.fresh:
                n_rounds = 0
            for _ in range(n_rounds):
                self._asked()
                self._round()
            self._asked()
            if not last:
                self.writer.assistant(self._text(3, 40), (), self._thought())

    def _asked(self) -> None:
        self.calls.append(len(self.writer.out))

    def _round(self) -> None:
        """A batch of parallel calls and its results, now and then in another order."""
        rng = self.rng
        batch: list[tuple[str, str, str]] = []
        for _ in range(rng.choice(self.shape.calls)):
            self.n_ids += 1
            arguments = json.dumps({"query": self._text(1, 5)}, ensure_ascii=False)
            batch.append((f"call_{self.n_ids}", rng.choice(_TOOLS), arguments))
        said = self._text(2, 10) if rng.random() < 0.3 else ""
        self.writer.assistant(said, tuple(batch), self._thought())
        results = [(call_id, self._result()) for call_id, _, _ in batch]
        if rng.random() < 0.2:
            rng.shuffle(results)
        self.writer.results(tuple(results))

    def _thought(self) -> str:
        return self._text(3, 15) if self.rng.random() < 0.1 else ""

    def _text(self, least: int, most: int) -> str:
        rng = self.rng
        words = rng.choices(_WORDS, k=rng.randint(least, most))
        if rng.random() < 0.1:
            words.insert(rng.randint(0, len(words)), rng.choice(_FOREIGN))
        # A number makes nearly every text its own, so that what is missing or doubled can be told.
        return " ".join([*words, str(rng.randint(1000, 999_999))])

    def _result(self) -> str:
        rng = self.rng
        if rng.random() < 0.25:
            rows = [{"id": rng.randint(1, 9999), "gate": self._text(0, 1)} for _ in range(3)]
            return json.dumps(rows, ensure_ascii=False)
        return self._text(*self.shape.result_words)


class _Writer(Protocol):
    """Writes what was drawn as messages of a provider."""

    out: list[Wire]

    def system(self, text: str) -> None: ...
    def user(self, text: str, picture: str) -> None: ...
    def assistant(
        self, text: str, calls: tuple[tuple[str, str, str], ...], thought: str
    ) -> None: ...
    def results(self, results: tuple[tuple[str, str], ...]) -> None: ...


class _OpenAI:
    """Chat Completions."""

    def __init__(self) -> None:
        self.out: list[Wire] = []

    def system(self, text: str) -> None:
        self.out.append({"role": "system", "content": text})

    def user(self, text: str, picture: str) -> None:
        content: Any = text
        if picture:
            url = {"url": f"data:image/png;base64,{picture}"}
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
        self.out.append({"role": "user", "content": content})

    def assistant(self, text: str, calls: tuple[tuple[str, str, str], ...], thought: str) -> None:
        message: Wire = {"role": "assistant", "content": text or None}
        if thought:
            message["reasoning_content"] = thought
        if calls:
            message["tool_calls"] = [
                {"id": i, "type": "function", "function": {"name": name, "arguments": arguments}}
                for i, name, arguments in calls
            ]
        self.out.append(message)

    def results(self, results: tuple[tuple[str, str], ...]) -> None:
        self.out += [{"role": "tool", "tool_call_id": i, "content": text} for i, text in results]


class _Anthropic:
    """Messages: results are blocks of one user message, reasoning is signed."""

    def __init__(self) -> None:
        self.out: list[Wire] = []

    def system(self, text: str) -> None:
        """Not among the messages of this form."""

    def user(self, text: str, picture: str) -> None:
        content: Any = text
        if picture:
            source = {"type": "base64", "media_type": "image/png", "data": picture}
            content = [{"type": "text", "text": text}, {"type": "image", "source": source}]
        self.out.append({"role": "user", "content": content})

    def assistant(self, text: str, calls: tuple[tuple[str, str, str], ...], thought: str) -> None:
        blocks: list[Wire] = []
        if thought:
            signed = {"thinking": thought, "signature": f"c2lnbmVk{len(self.out)}"}
            blocks.append({"type": "thinking", **signed})
        if text:
            blocks.append({"type": "text", "text": text})
        blocks += [
            {"type": "tool_use", "id": i, "name": name, "input": json.loads(arguments)}
            for i, name, arguments in calls
        ]
        self.out.append({"role": "assistant", "content": blocks})

    def results(self, results: tuple[tuple[str, str], ...]) -> None:
        blocks = [{"type": "tool_result", "tool_use_id": i, "content": text} for i, text in results]
        self.out.append({"role": "user", "content": blocks})
