"""Drawn documents of every kind, and what it means that one still parses as it did."""

from __future__ import annotations

import ast
import csv
import io
import json
import random
from collections.abc import Callable
from xml.etree import ElementTree

import yaml

WORDS = (
    "gate", "error", "naïve", "🙂", "must not", "3.14 mg", "a<b", "x & y", "“so”", "line", "river",
    "don't", "\\n", "it's", 'say "no"', "/usr/lib/x.py", "v2.0.1", "the", "of", "quiet", "{brace}",
    "[x]", "# no", "// no", "--", ";",
)  # fmt: skip
PLAIN = ("gate", "error", "river", "quiet", "line", "total", "left", "next")


def said(draw: random.Random, most: int = 9) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(0, most)))


def json_document(draw: random.Random) -> str:
    def value(depth: int) -> object:
        kind = draw.randint(0, 9 if depth < 4 else 6)
        if kind <= 2:
            return said(draw, 30 if kind == 2 else 5)
        if kind <= 6:
            return draw.choice([None, True, False, -1, 10**30, 1.5e300, 0.1, draw.random()])
        if kind <= 8:
            return {said(draw, 2): value(depth + 1) for _ in range(draw.randint(0, 8))}
        return [value(depth + 1) for _ in range(draw.randint(0, 30))]

    made: object = [value(0) for _ in range(draw.randint(1, 60))]
    if draw.random() < 0.5:
        made = {f"{name} {n}": value(0) for n, name in enumerate(PLAIN * draw.randint(1, 5))}
    indent = draw.choice([None, None, 2, "\t"])
    separators = draw.choice([None, (",", ":")])
    return json.dumps(made, indent=indent, separators=separators, ensure_ascii=draw.random() < 0.5)


def python_document(draw: random.Random) -> str:
    def suite(depth: int, indent: str) -> list[str]:
        lines: list[str] = []
        for n in range(draw.randint(1, 6)):
            kind = draw.randint(0, 9 if depth < 3 else 4)
            if kind <= 2:
                lines.append(f"{indent}{draw.choice(PLAIN)} = {said(draw)!r}")
            elif kind == 3:
                lines += [f"{indent}call(", f"{indent}    {n},  # (", f"{indent})"]
            elif kind == 4:
                body = said(draw, 4).replace('"', "").replace("\\", "")
                lines += [f'{indent}text = """{body}', "def not_code():", f'  {body}"""']
            elif kind <= 6:
                decorated = [f"{indent}@wraps(x)"] if draw.random() < 0.4 else []
                lines += ["", *decorated, f"{indent}def f{n}(a: int = 1, *, b={{'k': 2}}) -> int:"]
                lines += suite(depth + 1, indent + "    ")
            elif kind == 7:
                lines += [f"{indent}class C{n}(Base):  # why", f'{indent}    """Says: so."""']
                lines += suite(depth + 1, indent + "    ")
            elif kind == 8:
                lines += [f"{indent}if a == {{1: 2}}[1]:", *suite(depth + 1, indent + "    ")]
                lines += [f"{indent}else:", *suite(depth + 1, indent + "    ")]
            else:
                lines += [f"{indent}try:", *suite(depth + 1, indent + "  ")]
                lines += [
                    f"{indent}except ValueError:",
                    f"{indent}    # only this",
                    f"{indent}    pass",
                ]
        return lines

    lines = ["from __future__ import annotations", "import os"]
    for _ in range(draw.randint(2, 8)):
        lines += suite(0, "")
    return "\n".join([*lines, "def last():", "    return 1"]) + "\n"


def script_document(draw: random.Random) -> str:
    lines = ["import a from 'b';"]
    for n in range(draw.randint(3, 30)):
        quoted = json.dumps(said(draw, 4))
        lines += [
            f"export function f{n}(a, b) {{",
            f"  const x = [1, {n}, {quoted}];  // it's {{",
            f"  if (a > {n}) {{ return `v ${{x}} {{`; }}",
            "  else if (b)",
            "  {",
            "    throw new Error('bad }');",
            "  }",
            f"  const o = {{\n    k: {n},\n    s: {quoted},\n  }};",
            "  return a.map((y) => {",
            "    return y + 1;",
            "  })",
            "    .filter((z) => z);",
            "}",
            "",
        ]
    return "\n".join(lines)


def sql_document(draw: random.Random) -> str:
    lines = ["CREATE TABLE t (a int, b text); -- it's (open"]
    for n in range(draw.randint(2, 12)):
        rows = ",\n".join(
            f"({i}, '{said(draw, 3).replace(chr(39), chr(39) * 2)}')"
            for i in range(draw.randint(1, 20))
        )
        lines += [
            f"INSERT INTO t (a, b) VALUES\n{rows};",
            f"SELECT b FROM t WHERE a = {n} /* ; */;",
        ]
    return "\n".join(lines) + "\n"


def csv_document(draw: random.Random) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=draw.choice(",\t;"), lineterminator="\n")
    writer.writerow(["id", "name", "note"])
    for n in range(draw.randint(5, 80)):
        writer.writerow(
            [n, said(draw, 2), said(draw, 4) + ("\nmore" if draw.random() < 0.1 else "")]
        )
    return out.getvalue()


def markdown_table(draw: random.Random) -> str:
    rows = [f"| {n} | {said(draw, 4)} |" for n in range(draw.randint(5, 80))]
    return "\n".join(["| a | b |", "|---|:-:|", *rows]) + "\n"


def log_document(draw: random.Random) -> str:
    return "".join(
        f"2024-05-06 10:{n // 60:02}:{n % 60:02} {draw.choice(['INFO', 'WARN', 'ERROR'])} {said(draw)}\n"
        for n in range(draw.randint(5, 200))
    )


def xml_document(draw: random.Random) -> str:
    def element(depth: int) -> str:
        text = said(draw, 3).replace("&", "&amp;").replace("<", "&lt;").replace("--", "-")
        inner = "".join(element(depth + 1) for _ in range(draw.randint(0, 5 if depth < 3 else 0)))
        comment = "<!-- <b> -->" if draw.random() < 0.1 else ""
        return f'\n<e a="x > {depth}">{text}{comment}{inner}</e>' if draw.random() < 0.9 else "<v/>"

    return f"<r>{''.join(element(0) for _ in range(draw.randint(1, 12)))}\n</r>"


def yaml_document(draw: random.Random) -> str:
    def value(depth: int) -> object:
        kind = draw.randint(0, 6 if depth < 3 else 3)
        if kind <= 3:
            return draw.choice([said(draw, 4), 1.5, None, True, "two\nlines\n", 17])
        if kind <= 5:
            return {
                draw.choice(PLAIN) + str(n): value(depth + 1) for n in range(draw.randint(1, 6))
            }
        return [value(depth + 1) for _ in range(draw.randint(1, 8))]

    made = {f"key{n}": value(0) for n in range(draw.randint(3, 30))}
    text = yaml.safe_dump(made, sort_keys=False, allow_unicode=True)
    return text if isinstance(text, str) else ""


def _json(text: str) -> object:
    return type(json.loads(text))


def _python(text: str) -> object:
    ast.parse(text)
    return True


def _columns(text: str) -> object:
    delimiter = next(d for d in ",\t;" if f"id{d}name{d}note" in text)
    return delimiter, {len(row) for row in csv.reader(io.StringIO(text), delimiter=delimiter)}


def _pipes(text: str) -> object:
    return {line.count("|") for line in text.splitlines()}


def _balanced(text: str) -> object:
    """Brackets outside strings, templates and comments, scanned letter by letter."""
    stack: list[str] = []
    quote, at = "", 0
    while at < len(text):
        char, two = text[at], text[at : at + 2]
        if quote:
            at += 1 if char == "\\" else 0
            quote = "" if char == quote else quote
        elif two == "//":
            at = text.find("\n", at)
        elif two == "/*":
            at = text.find("*/", at) + 1
        elif char in "\"'`":
            quote = char
        elif char in "([{":
            stack.append(char)
        elif char in ")]}":
            assert stack.pop() == {")": "(", "]": "[", "}": "{"}[char]
        at += 1
    assert not stack
    assert not quote
    return True


def _sql(text: str) -> object:
    """SQLite itself runs every statement."""
    import sqlite3

    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE IF NOT EXISTS t (a int, b text)")
        db.executescript(text.replace("CREATE TABLE t", "CREATE TABLE IF NOT EXISTS t"))
    db.close()
    return True


def _xml(text: str) -> object:
    return ElementTree.fromstring(text).tag


def _yaml(text: str) -> object:
    return type(yaml.safe_load(text))


KINDS: dict[str, tuple[Callable[[random.Random], str], Callable[[str], object], str]] = {
    "json": (json_document, _json, "json"),
    "python": (python_document, _python, "code:python"),
    "script": (script_document, _balanced, "code:braces"),
    "sql": (sql_document, _sql, "code:sql"),
    "csv": (csv_document, _columns, "table"),
    "markdown": (markdown_table, _pipes, "table"),
    "log": (log_document, lambda text: True, "lines"),
    "xml": (xml_document, _xml, "xml"),
    "yaml": (yaml_document, _yaml, "yaml"),
}
