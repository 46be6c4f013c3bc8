"""What parses still parses when told in fewer tokens; what stays is verbatim; no target is passed."""

from __future__ import annotations

import ast
import json
import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.compression import ProtectedMass
from contextkit.compression.kinds import blocks, detect
from contextkit.compression.structure import Structure
from contextkit.compression.structure.tables import _plain_rows, _read_rows
from tests.compression.documents import KINDS

STUB = Structure("stub")
QUESTIONS = ("", "what of the gate and the quiet river", "3.14 mg")


def count(text: str) -> int:
    return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4


def told_right(name: str, seed: int) -> str:
    """Compresses one drawn document at a drawn rate and checks all; returns how it was taken."""
    draw = random.Random(f"{name} {seed}")
    make, parsed, kind = KINDS[name]
    text = make(draw)
    target = int(count(text) * draw.uniform(0.1, 0.95))
    question = draw.choice(QUESTIONS)
    try:
        made = Structure().compress(text, target, count, question=question, handle="m17")
    except ProtectedMass:
        return "over"
    assert made.achieved_tokens == count(made.text) <= target
    if made.note == kind:
        assert parsed(made.text) == parsed(text)
        assert_verbatim(name, text, made.text)
    return made.note


def assert_verbatim(name: str, text: str, told: str) -> None:
    """Every line that is no stub is a line of the source."""
    if name in ("json", "xml", "sql"):
        return
    ours = [line for line in told.splitlines() if "left out" not in line]
    assert not Counter(ours) - Counter(text.splitlines())


@pytest.mark.parametrize("name", KINDS)
def test_drawn_documents_parse_as_before(name: str) -> None:
    taken = Counter(told_right(name, seed) for seed in range(60))
    assert taken[KINDS[name][2]] >= 45, taken


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_drawn_documents_parse_as_before(name: str) -> None:
    taken = Counter(told_right(name, seed) for seed in range(1000, 1000 + 10_000 // len(KINDS) + 1))
    print(name, dict(taken))
    assert taken[KINDS[name][2]] >= 0.75 * taken.total(), taken


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400) | st.text("{}[]\",:01a\n \\<>-|`'#", max_size=200), st.integers(0, 60))
def test_any_text_stays_within_any_target(text: str, target: int) -> None:
    made = STUB.compress(text, target, count, handle="m1")
    assert count(made.text) <= target
    if count(text) <= target:
        assert made.text == text


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "x" * 1_000_000, "word " * 200_000, "\0\x01\xff" * 5000,
        '{"a": [1, 2, ' + "3, " * 900 + "}", "[" * 5000 + "]" * 5000,
        '{"a": 1, "a": 2, "b": "' + "x " * 900 + '"}', "a < b " * 900, "🙂" * 3000,
        "<!DOCTYPE r [<!ENTITY e 'x'>]><r>" + "<a>&e;</a>" * 300 + "</r>",
        "def f(:\n    pass\n" * 300,
    ],
    ids=["empty", "one", "one-line", "long-line", "binary", "no-json", "deep", "twice", "less", "emoji",
         "entity", "no-python"],
)  # fmt: skip
def test_bad_input_is_told_within_the_target(text: str) -> None:
    for target in (0, 10, 200):
        made = STUB.compress(text, target, count, question="x", handle="m3")
        assert count(made.text) <= target


def test_items_that_the_question_names_stay() -> None:
    rows = [{"id": n, "name": f"user {n}", "note": "all is well"} for n in range(500)]
    made = Structure().compress(json.dumps({"rows": rows}), 200, count, question="user 321")
    assert rows[321] in json.loads(made.text)["rows"]


def test_trouble_stays_in_a_log() -> None:
    lines = [f"2024-05-06 10:00:{n % 60:02} INFO request {n} done" for n in range(900)]
    lines[444] = "2024-05-06 10:00:24 ERROR disk full on node 7"
    made = Structure().compress("\n".join(lines), 150, count, handle="m5")
    assert lines[444] in made.text
    assert "(m5)" in made.text


def test_numbers_are_spelled_as_they_were() -> None:
    text = '{"a": 1.10, "b": 1E5, "c": [' + ", ".join(f"{n}.50" for n in range(300)) + "]}"
    made = Structure().compress(text, 60, count)
    assert '"a": 1.10, "b": 1E5' in made.text
    assert re.search(r"\b0\.50, 1\.50", made.text)


def test_a_function_keeps_its_name_when_its_body_leaves() -> None:
    text = "".join(
        f"def f{n}(a):\n    x = a * {n}\n    y = x\n    return x + y\n\n\n" for n in range(12)
    )
    made = Structure().compress(text * 1 + "def gate():\n" + "    go()\n" * 40, 180, count)
    assert made.note == "code:python"
    assert "def gate():" in made.text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("items:\n" + "".join(f"- id: {n}\n  name: user {n}\n" for n in range(300)), "yaml"),
        ("class A:\n" + "".join(f"    def f{n}(self):\n        return {n}\n\n" for n in range(99)),
         "code:python"),
        ("class A {\n" + "".join(f"  f{n}() {{\n    go({n});\n  }}\n" for n in range(99)) + "}\n",
         "code:braces"),
    ],
    ids=["yaml", "python", "braces"],
)  # fmt: skip
def test_a_document_of_one_entry_is_opened(text: str, kind: str) -> None:
    made = Structure().compress(text, 200, count)
    assert made.note == kind
    assert made.achieved_tokens > 150


def test_lines_within_brackets_begin_no_statement() -> None:
    text = "def f():\n    return (\n0\n    )\n\n\nx = [\n1,\n2,\n]\n" * 100
    made = Structure().compress(text, 300, count)
    assert made.note == "code:python"
    ast.parse(made.text)


def test_tags_end_behind_their_quotes() -> None:
    rows = "".join(
        f"""<e a="x > {n}" b='it"s >' c="it's">{n}<v k='/>'/></e>\n""" for n in range(200)
    )
    made = Structure().compress(f"<r>\n{rows}</r>", 200, count)
    assert made.note == "xml"
    lines = [line for line in made.text.splitlines() if line.startswith("<e")]
    assert len(lines) > 5
    assert {*lines} <= {*rows.splitlines()}


@given(st.text('ab",;\n', max_size=60), st.sampled_from(",;"))
def test_rows_found_at_once_are_those_that_are_read(text: str, delimiter: str) -> None:
    found = _plain_rows(text, delimiter)
    if found is None:
        return
    edges, widths = _read_rows(text, delimiter)
    if 0 in widths or not text:  # a blank line: told apart by its width either way
        return
    assert (found[0].tolist(), found[1]) == (edges.tolist(), widths)


def test_of_a_long_text_only_samples_and_what_is_told_are_counted() -> None:
    text = "".join(f"2024-05-06 10:00:{n % 60:02} INFO request {n} done\n" for n in range(40_000))
    counted: list[int] = []

    def counting(piece: str) -> int:
        counted.append(len(piece))
        return count(piece)

    made = Structure().compress(text, 500, counting)
    assert sum(counted) < len(text) / 20
    assert made.source_tokens == pytest.approx(count(text), rel=0.05)
    assert 450 <= made.achieved_tokens <= 500
    blanks = " " * 2_000_000
    assert Structure().compress(blanks, 500, lambda piece: len(piece) // 9999).text == blanks


def test_hunks_count_what_is_left_of_them() -> None:
    body = "".join(f" same {n}\n" if n % 3 else f"-old {n}\n+new {n}\n" for n in range(90))
    n_old, n_new = (sum(line[0] in kept for line in body.splitlines()) for kept in (" -", " +"))
    text = f"--- a/x\n+++ b/x\n@@ -5,{n_old} +5,{n_new} @@ def f\n{body}"
    made = Structure().compress(text, 160, count, handle="m2")
    assert made.note == "diff"
    old_lines = {int(line.split()[1]): None for line in body.splitlines()}
    lines = made.text.splitlines()
    at = 0
    n_hunks = 0
    for at, line in enumerate(lines):
        header = re.match(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@ def f", line)
        if header is None:
            continue
        n_hunks += 1
        hunk = lines[at + 1 :]
        stop = next((i for i, x in enumerate(hunk) if x[0] in "@…"), len(hunk))
        assert sum(x[0] in " -" for x in hunk[:stop]) == int(header[2])
        assert sum(x[0] in " +" for x in hunk[:stop]) == int(header[4])
        first = next((int(x.split()[1]) for x in hunk[:stop] if x[0] in " -"), None)
        assert first is None or [*old_lines].index(first) == int(header[1]) - 5
    assert n_hunks > 1


def test_a_trace_keeps_what_was_raised_and_where() -> None:
    frames = "".join(
        f'  File "/x/site-packages/lib.py", line {n}, in f{n}\n    g({n})\n' for n in range(60)
    )
    last = '  File "/app/main.py", line 3, in go\n    boom()\nValueError: bad gate 17\n'
    text = "Traceback (most recent call last):\n" + frames + last
    made = Structure().compress(text, 80, count)
    assert made.text.startswith("Traceback (most recent call last):\n")
    assert made.text.endswith(last)


def test_fences_stay_and_hold_what_parses() -> None:
    rows = json.dumps([{"id": n} for n in range(300)])
    text = f"Look at this.\n\n```json\n{rows}\n```\nAnd then?\n"
    made = Structure().compress(text, 100, count)
    inside = re.search(r"```json\n(.*?)\n```\nAnd then\?", made.text, re.DOTALL)
    assert inside is not None
    assert made.text.startswith("Look at this.")
    assert isinstance(json.loads(inside[1]), list)


def test_too_little_room_is_refused_or_told_in_a_line() -> None:
    text = "".join(f"def f{n}():\n    pass\n" for n in range(50))
    with pytest.raises(ProtectedMass):
        Structure().compress(text, 2, count, handle="m9")
    assert count(STUB.compress(text, 2, count, handle="m9").text) <= 2
    assert "m9" in STUB.compress(text, 12, count, handle="m9").text


@pytest.mark.parametrize("name", KINDS)
def test_kinds_are_told_apart(name: str) -> None:
    kind = KINDS[name][2]
    found = Counter(detect(KINDS[name][0](random.Random(seed))) for seed in range(40))
    assert found["log" if kind == "lines" else kind] >= 34, found


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["```\n", "```py\nx = 1\n", "~~~\n", "a\n"])).map("".join)
)
def test_blocks_tile_the_text(text: str) -> None:
    assert "".join(text[start:stop] for start, stop, _ in blocks(text)) == text


PASSAGE = (
    "The ferry left the old harbour at dawn. Its captain, Ilse Brandt, had sailed the strait for thirty "
    "years and knew each light. Passengers slept on the benches below. By noon the coast of Gotland lay "
    "ahead, grey and flat, and the engines were slowed so that the pilot could come aboard."
)


@pytest.mark.parametrize("rate", [0.2, 0.35, 0.5, 0.7, 0.9])
def test_short_prose_is_told_by_words_where_sentences_leave_much_of_the_target(rate: float) -> None:
    tokens = count(PASSAGE)
    target = int(rate * tokens)
    made = Structure().compress(PASSAGE, target, count)
    assert target - max(1, 0.02 * tokens) <= made.achieved_tokens <= target
    assert made.note in ("prose", "words")
    if made.note == "prose":
        assert "left out" in made.text


def test_words_of_short_prose_are_those_asked_for() -> None:
    for divisor in (5, 8):
        target = count(PASSAGE) // divisor
        made = Structure().compress(PASSAGE, target, count, question="Who was the ferry's captain?")
        assert (made.method, made.note) == ("structure", "words")
        assert "Ilse Brandt" in made.text


def test_sentences_stay_whole_where_they_fill_the_target() -> None:
    text = " ".join(f"{PASSAGE[:-1]}, as in {year}." for year in range(1900, 1960))
    made = Structure().compress(text, count(text) // 2, count)
    assert made.note == "prose"
    kept = [part.strip() for part in made.text.replace("]", "[").split("[")[::2]]
    assert all(part in text for part in kept)


def test_prose_beside_a_structure_is_told_by_sentences() -> None:
    text = f'{PASSAGE}\n\n```json\n{{"a": [1, 2, 3], "b": "{"x" * 80}"}}\n```\n'
    made = Structure().compress(text, count(text) // 2, count)
    assert "json" in made.note
    assert "words" not in made.note


@pytest.mark.parametrize(
    "odd", ["这是一个测试句子。" * 40, "🙂🙃" * 200, "\x00\x01ÿ" * 300, PASSAGE]
)
@pytest.mark.parametrize("target", [8, 12, 30])
def test_what_has_no_words_is_never_told_by_nothing(odd: str, target: int) -> None:
    assert STUB.compress(odd, target, count, handle="m7").text.strip()


def test_where_not_even_an_outline_fits_words_do_not_stand_in_for_it() -> None:
    with pytest.raises(ProtectedMass):
        Structure().compress(PASSAGE, 3, count)
    assert STUB.compress(PASSAGE, 3, count, handle="m7").text == "[m7]"
