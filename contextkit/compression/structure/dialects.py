"""The dialect of each kind, and what to take a text for where its kind does not hold."""

from __future__ import annotations

from contextkit.compression.kinds import delimiter_of
from contextkit.compression.structure.brace_code import Braces
from contextkit.compression.structure.diffs import Diff
from contextkit.compression.structure.eliding import Dialect, NotThis, Telling
from contextkit.compression.structure.json_values import Json
from contextkit.compression.structure.lines import Lines, cut
from contextkit.compression.structure.markup import Xml
from contextkit.compression.structure.prose import Prose
from contextkit.compression.structure.python_code import Python
from contextkit.compression.structure.relevance import Hits, Relevance
from contextkit.compression.structure.sql_code import Sql
from contextkit.compression.structure.tables import Delimited, MarkdownTable
from contextkit.compression.structure.yaml_values import Yaml

FENCE = "fence"
"""The kind of what only marks where a block begins and ends; it is told as it is."""


class Section:
    """A section of a document that can be told at any size, by the first dialect that takes it."""

    def __init__(self, text: str, kind: str, relevance: Relevance, where: str) -> None:
        self.text, self._where = text, where
        self._hits: Hits = relevance.hits(text)
        self.score = self._hits.within(0, len(text))
        self._waiting = [] if kind == FENCE else _candidates(text, kind)
        self._telling: Telling | None = None
        self.kind = kind
        if kind != FENCE:
            self._next()

    def _next(self) -> None:
        """Go on to the next dialect that takes the text."""
        self._telling, self.kind = None, "text"
        while self._waiting:
            kind, dialect = self._waiting.pop(0)
            try:
                self._telling, self.kind = (
                    Telling(self.text, dialect, self._hits, self._where),
                    kind,
                )
                return
            except NotThis:
                continue

    def tell(self, room: int) -> str:
        """The section in about `room` characters."""
        if room >= len(self.text) or self.kind == FENCE:
            return self.text
        while self._telling is not None:
            try:
                return self._telling.tell(room)
            except NotThis:
                self._next()
        return (
            cut(self.text, room, self._where)
            or f"… {len(self.text)} characters left out{self._where}"
        )


def _candidates(text: str, kind: str) -> list[tuple[str, Dialect]]:
    lines = ("lines", Lines())
    if kind == "table":
        delimiter = delimiter_of(text)
        found: list[tuple[str, Dialect]] = [("table", MarkdownTable())]
        if delimiter is not None:
            found.append(("table", Delimited(delimiter)))
        return [*found, lines]
    made: dict[str, Dialect] = {
        "prose": Prose(),
        "json": Json(),
        "diff": Diff(),
        "trace": Lines(trace=True),
        "xml": Xml(),
        "yaml": Yaml(),
        "code:python": Python(),
        "code:braces": Braces(),
        "code:sql": Sql(),
    }
    return [(kind, made[kind]), lines] if kind in made else [lines]
