"""How many contradictions `detect_conflicts` finds among real sentences, and how many it makes up.

    python docs/bench/conflicts.py musique.json --pools 50

Each pool holds the sentences of one question's paragraphs; into some a changed copy is put: another number,
another date, a negation. A find is right where it pairs a sentence with its own copy.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from contextkit.compression.spans import sentences
from contextkit.conflicts import Statement, detect_conflicts

_DATE = re.compile(r"\b(January|March|May|June|July|October|November) (\d{1,2})\b")
_NUMBER = re.compile(r"\b\d{2,4}\b")
_VERB = re.compile(r"\b(was|is|were|are|has)\b")
CHANGED = 6
"""Copies that are put into each pool."""


def changed(sentence: str, draw: random.Random) -> tuple[str, str] | None:
    """The kind of contradiction and the sentence with it, or None where it takes none."""
    kinds = ["date", "number", "negation"]
    draw.shuffle(kinds)
    for kind in kinds:
        if kind == "date" and (found := _DATE.search(sentence)):
            day = int(found[2]) % 28 + 1
            return kind, sentence.replace(found[0], f"{found[1]} {day}", 1)
        if kind == "number" and len(found_all := _NUMBER.findall(sentence)) == 1:
            number = found_all[0]
            return kind, sentence.replace(number, str(int(number) + draw.randint(1, 9)), 1)
        if kind == "negation" and _VERB.search(sentence):
            return kind, _VERB.sub(r"\1 not", sentence, count=1)
    return None


def pools(path: Path) -> Iterator[list[str]]:
    for row in json.loads(path.read_text("utf-8")):
        texts = [paragraph["paragraph_text"] for paragraph in row["paragraphs"]]
        said = [text[a:b].strip() for text in texts for a, b in sentences(text)]
        yield list(dict.fromkeys(s for s in said if 6 <= len(s.split()) <= 40))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--pools", type=int, default=None)
    parser.add_argument("--seed", type=int, default=3)
    settings = parser.parse_args()
    draw = random.Random(settings.seed)
    put: Counter[str] = Counter()
    right: Counter[str] = Counter()
    n_found = n_wrong = n_sentences = 0
    for pool in list(pools(settings.path))[: settings.pools]:
        said = [Statement(f"m{i}", sentence) for i, sentence in enumerate(pool)]
        pairs: dict[tuple[str, str], str] = {}
        for index in draw.sample(range(len(pool)), min(CHANGED, len(pool))):
            made = changed(pool[index], draw)
            if made is not None:
                handle = f"m{len(said)}"
                pairs[f"m{index}", handle] = made[0]
                said.append(Statement(handle, made[1]))
        put.update(pairs.values())
        n_sentences += len(said)
        for conflict in detect_conflicts(said):
            kind = pairs.get((conflict.earlier.handle, conflict.later.handle))
            n_found += 1
            n_wrong += kind is None
            if kind is not None:
                right[kind] += 1
    print("| kind | put in | found |\n| --- | --- | --- |")
    for kind in sorted(put):
        print(f"| {kind} | {put[kind]} | {right[kind]} ({100 * right[kind] / put[kind]:.0f} %) |")
    total = sum(right.values())
    print(
        f"recall {total / sum(put.values()):.3f}, precision {1 - n_wrong / max(1, n_found):.3f} "
        f"({n_wrong} of {n_found} wrong) over {n_sentences:,} sentences"
    )


if __name__ == "__main__":
    main()
