"""Speed of `structure`: made documents of a megabyte of every kind, told in 2,000 tokens.

    python -P docs/bench/structure.py [--kinds json xml] [--runs 10] [--characters 1000000]

Megabytes a second of CPU time, the best of the runs, with a question and without; tokens are counted by the
characters (which costs nothing) and by tiktoken.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count as numbers
from time import process_time

from contextkit.compression.structure import Structure
from contextkit.tokens import TiktokenCounter

TARGET = 2000
QUESTION = "What is wrong with the order of user 4711 at the north gate?"
PLACES = ("north gate", "harbour", "old mill", "station")


def by_characters(text: str) -> int:
    """About the tokens of a text, at no cost."""
    return (len(text) + 3) // 4


def row(n: int) -> dict[str, object]:
    return {
        "id": n, "name": f"user {n}", "place": PLACES[n % 4], "paid": n % 3 == 0,
        "total": n * 1.25, "tags": ["a", "b", str(n % 7)], "note": "It's as it was; nothing to say.",
    }  # fmt: skip


def joined(pieces: Iterator[str], characters: int, head: str = "", tail: str = "") -> str:
    """The pieces up to a length, between a head and a tail."""
    found, length = [head], 0
    for piece in pieces:
        if length >= characters:
            break
        found.append(piece)
        length += len(piece)
    return "".join([*found, tail])


def javascript(n: int) -> str:
    return (
        f"export async function show{n}(request, response) {{\n"
        f"  const user = await find({{ id: request.id, place: '{PLACES[n % 4]}' }});\n"
        "  if (!user) {\n    return response.fail(404, `no user ${request.id}`);\n  }\n"
        "  for (const item of user.items) {\n    total += item.price * item.n; // it's gross\n  }\n"
        "  response.send({ user, total });\n}\n\n"
    )


def python(n: int) -> str:
    return (
        f"@route('/{n}')\ndef show_{n}(request: Request, limit: int = {n}) -> Reply:\n"
        f'    """Shows the orders of user {n}.\n\n    Newest first.\n    """\n'
        f"    user = find(request.id, place='{PLACES[n % 4]}')\n    if user is None:\n"
        "        raise NotFound(request.id)  # it's gone\n"
        "    total = sum(\n        item.price\n        for item in user.items\n    )\n"
        "    return Reply(user, total)\n\n\n"
    )


def sql(n: int) -> str:
    values = ",\n".join(f"({n + i}, 'user {n + i}', 'It''s paid')" for i in range(40))
    return f"INSERT INTO orders (id, name, note) VALUES\n{values};\nUPDATE seen SET n = {n};\n"


def diff(n: int) -> str:
    body = "".join(f" same {i}\n-old {i}\n+new {i}\n" for i in range(n, n + 8))
    return f"--- a/src/{n}.py\n+++ b/src/{n}.py\n@@ -{n},16 +{n},16 @@ def show\n{body}"


def told(of: Callable[[int], str]) -> Callable[[int], str]:
    return lambda characters: joined(map(of, numbers(1)), characters)


MAKERS: dict[str, Callable[[int], str]] = {
    "json": lambda n: json.dumps([row(i) for i in range(n // 150)]),
    "json, compact": lambda n: json.dumps([row(i) for i in range(n // 135)], separators=(",", ":")),
    "json, indented": lambda n: json.dumps([row(i) for i in range(n // 240)], indent=2),
    "json, numbers": lambda n: json.dumps([*range(n // 7)]),
    "yaml": told(lambda i: f"user{i}:\n  place: {PLACES[i % 4]}\n  paid:\n    - {i}\n    - two\n"),
    "xml": lambda n: joined(
        (f'  <user id="{i}"><name>user {i}</name><note>it\'s paid</note></user>\n' for i in numbers()),
        n, "<users>\n", "</users>\n",
    ),
    "csv": lambda n: joined(
        (f'{i},user {i},"{PLACES[i % 4]}, as it was",{i * 1.25}\n' for i in numbers()),
        n, "id,name,place,total\n",
    ),
    "markdown table": lambda n: joined(
        (f"| {i} | user {i} | {PLACES[i % 4]} |\n" for i in numbers()), n,
        "| id | name | place |\n| --- | --- | --- |\n",
    ),
    "log": told(
        lambda i: f"2024-05-06 10:{i // 60 % 60:02}:{i % 60:02} INFO worker {i % 9} order {i} done\n"
    ),
    "diff": told(diff),
    "python": told(python),
    "javascript": told(javascript),
    "sql": told(sql),
}  # fmt: skip


def speed(text: str, count: Callable[[str], int], question: str, runs: int) -> float:
    """Megabytes a second of CPU time, the best of the runs."""
    took: list[float] = []
    for _ in range(runs):
        began = process_time()
        Structure("stub").compress(text, TARGET, count, question=question, handle="m17")
        took.append(process_time() - began)
    return len(text.encode()) / min(took) / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", choices=[*MAKERS], default=[*MAKERS])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--characters", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    tiktoken = TiktokenCounter().count
    print("| kind | taken as | tokens | MB/s | with a question | with tiktoken |\n|" + " --- |" * 6)
    for kind in options.kinds:
        text = MAKERS[kind](options.characters)
        made = Structure("stub").compress(text, TARGET, tiktoken, handle="m17")
        cells = [
            f"{speed(text, count, question, options.runs):.0f}"
            for count, question in ((by_characters, ""), (by_characters, QUESTION), (tiktoken, ""))
        ]
        print(
            f"| {kind} | {made.note} | {made.achieved_tokens} | {' | '.join(cells)} |", flush=True
        )


if __name__ == "__main__":
    main()
