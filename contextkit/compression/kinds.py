"""What a text is: a document of one kind, or prose with blocks of others in it."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice

SAMPLE = 20_000
DELIMITERS = "\t,;|"
SAMPLE_ROWS = 20
RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_FENCE = re.compile(
    r"^(```+|~~~+)[ \t]*([\w+#-]*)[^\n]*\n(.*?)^\1[ \t]*$\n?", re.MULTILINE | re.DOTALL
)
_LOG = re.compile(
    r"^\W{0,2}(?:\d{4}-\d\d-\d\d[T ]|\d\d:\d\d:\d\d|\w{3} +\d{1,2} \d\d:\d\d:\d\d|"
    r"\[?(?:DEBUG|INFO|WARN|ERROR|TRACE))"
    r"|\b(?:DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL)\b"
    r"|^\S+ \S+ \S+ \[\d",
    re.MULTILINE,
)
_TRACE = re.compile(
    r"^Traceback \(most recent call last\):|^\s+at [\w.$<>/]+\(|^\s+at .+:\d+:\d+\)?$|^goroutine \d+ \[",
    re.MULTILINE,
)
_PYTHON = re.compile(
    r"^[ \t]*(?:async )?def \w+\(.*|^[ \t]*class \w+.*:\s*$|^(?:import \w|from [\w.]+ import )|^@\w",
    re.MULTILINE,
)
_BRACES = re.compile(
    r"[;{}][ \t]*$|^\s*(?:(?:export |public |private |static |async )*(?:function|const|let|var|class|"
    r"interface|enum|struct|impl|fn|func|package|import|use|#include)\b)",
    re.MULTILINE,
)
_SQL = re.compile(
    r"^\s*(?:select|insert\s+into|update|delete\s+from|create\s+(?:table|index|view)|alter\s+table|drop\s+table|"
    r"begin|with\s+\w+\s+as)\b",
    re.MULTILINE | re.IGNORECASE,
)
_YAML = re.compile(r"^\s*(?:- )*[\w.\"'/-]+:(?: \S.*)?$|^\s*- \S.*$|^---\s*$", re.MULTILINE)
_NAMES = {
    "py": "code:python", "python": "code:python", "sql": "code:sql", "json": "json", "xml": "xml",
    "html": "xml", "yaml": "yaml", "yml": "yaml", "diff": "diff", "patch": "diff", "log": "log",
    "csv": "table", "js": "code:braces", "javascript": "code:braces", "ts": "code:braces",
    "typescript": "code:braces", "java": "code:braces", "c": "code:braces", "cpp": "code:braces",
    "c++": "code:braces", "go": "code:braces", "rust": "code:braces", "rs": "code:braces",
    "css": "code:braces", "cs": "code:braces", "php": "code:braces", "kotlin": "code:braces",
}  # fmt: skip


def detect(text: str) -> str:
    """The kind: `json`, `table`, `diff`, `trace`, `log`, `xml`, `code:python`, `code:sql`, `code:braces`,
    `yaml`, or `prose`.

    Judged by the first 20,000 characters; what reads the text as that kind still has to agree.
    """
    head = text[:SAMPLE]
    begin = head.lstrip()[:1]
    if begin and begin in "[{" and _opens_json(head):
        return "json"
    if begin == "<" and re.match(r"\s*<[?!a-zA-Z]", head):
        return "xml"
    if re.search(r"^@@ -\d+(?:,\d+)? \+\d+", head, re.MULTILINE):
        return "diff"
    lines = head.splitlines()
    if len(lines) > 2 and "|" in lines[0] and RULE.match(lines[1]) and "-" in lines[1]:
        return "table"
    return _by_lines(head, lines)


def _by_lines(head: str, lines: list[str]) -> str:
    n = max(1, sum(1 for line in lines if line.strip()))
    if _TRACE.search(head) and n < 400:
        return "trace"
    if len(_LOG.findall(head)) >= 0.5 * n:
        return "log"
    if len(_PYTHON.findall(head)) >= max(1, 0.03 * n) and not re.search(r"[;{]\s*$", lines[0]):
        return "code:python"
    if _SQL.match(head) and ";" in head:
        return "code:sql"
    if len(_BRACES.findall(head)) >= 0.3 * n and re.search(r"[{;]", head):
        return "code:braces"
    if delimiter_of(head) is not None:
        return "table"
    if (
        len(_YAML.findall(head)) >= 0.6 * n
        and n > 2
        and re.match(r"(?:---\n|#.*\n)*(?:- |[\w.\"'/-]+:\s)", head)
    ):
        return "yaml"
    return "prose"


def _opens_json(head: str) -> bool:
    """Whether the first tokens are those of JSON."""
    return re.match(r'\s*(?:\[\s*(?:[\[{"\d\]-]|true|false|null)|\{\s*["}])', head) is not None


def blocks(text: str) -> list[tuple[int, int, str]]:
    """Start, stop and kind of the stretches of a mixed document; they tile it.

    The lines of a fence are of the kind `fence`, what stands between them is told alone.
    """
    found: list[tuple[int, int, str]] = []
    at = 0
    if "```" not in text and "~~~" not in text:
        return [(0, len(text), detect(text))]
    for match in _FENCE.finditer(text):
        start, stop = match.span(3)
        found.append((at, match.start(), "prose"))
        found.append((match.start(), start, "fence"))
        named = _NAMES.get(match[2].lower())
        found.append((start, stop, named or detect(match[3])))
        found.append((stop, match.end(), "fence"))
        at = match.end()
    found.append((at, len(text), "prose" if found else detect(text)))
    return [(start, stop, kind) for start, stop, kind in found if start < stop]


def delimiter_of(text: str) -> str | None:
    """The delimiter of a table with a header, judged by its first lines; None for what is no table."""
    head = [*islice(io.StringIO(text[:20_000]), SAMPLE_ROWS + 1)]
    if len(text) > 20_000 and len(head) <= SAMPLE_ROWS:
        head = head[:-1]
    for delimiter in DELIMITERS:
        try:
            widths = [
                len(row) for row in csv.reader(head[:SAMPLE_ROWS], delimiter=delimiter, strict=True)
            ]
        except csv.Error:
            continue
        enough = 2 if delimiter in "\t|" else 3
        if len(widths) >= 4 and len({*widths}) == 1 and widths[0] >= enough:
            return delimiter
    return None
