"""Records, their graph and the network, each against a reference that is written another way."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import contextkit
from contextkit.compression.spans import sentences
from contextkit.memo import Memo
from contextkit_policies._records import gat
from contextkit_policies._records.build import STRETCH_CHARS, load_records, space_of, stretches
from contextkit_policies._records.graph import Record, RecordGraph
from contextkit_policies._records.simulate import Extracted, Rarity
from contextkit_policies.graph_of_records import GraphOfRecords


def _record(number: int, passages: Sequence[str], records: Sequence[str] = ()) -> Record:
    return Record(f"k{number}", number, "q?", "a.", ("m0",), tuple(passages), tuple(records))


def _drawn(seed: int) -> RecordGraph:
    draw = random.Random(seed)
    handles = [f"m{i}" for i in range(draw.randint(3, 12))]
    records: list[Record] = []
    for number in range(draw.randint(1, 8)):
        earlier = [f"k{i}" for i in range(number)]
        read = draw.sample(handles, draw.randint(0, 3))
        records.append(_record(number, read, draw.sample(earlier, min(len(earlier), 2))))
    return RecordGraph(handles, records)


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("seed", range(12))
def test_a_walk_is_the_solution_of_its_equations(seed: int, direction: Any) -> None:
    graph = _drawn(seed)
    draw = random.Random(seed + 1000)
    seeds = {node: draw.random() for node in draw.sample(graph.nodes, 2)}
    damping = draw.uniform(0.1, 0.8)
    n = len(graph)
    start = np.array([seeds.get(node, 0.0) for node in graph.nodes])
    start /= start.sum()
    step = np.zeros((n, n))
    for source, target in graph.edges(direction):
        step[source, target] += 1
    for row in range(n):
        step[row] = step[row] / step[row].sum() if step[row].any() else start
    wanted = np.linalg.solve(np.eye(n) - damping * step.T, (1 - damping) * start)
    walked = graph.walk(seeds, damping=damping, direction=direction)
    assert sum(walked.values()) == pytest.approx(1)
    for place, node in enumerate(graph.nodes):
        assert walked.get(node, 0.0) == pytest.approx(wanted[place], abs=1e-6)


def test_nothing_to_start_from_is_nothing() -> None:
    assert _drawn(1).walk({}, damping=0.5) == {}
    assert _drawn(1).walk({"m999": 1.0}, damping=0.5) == {"m999": 1.0}
    assert RecordGraph([], []).walk({"m1": 0.0}, damping=0.5) == {}


def test_edges_have_types_and_records_stand_on_passages() -> None:
    records = [_record(2, ["m4"], ["k1"]), _record(0, ["m1", "m2"]), _record(1, ["m3"], ["k0"])]
    graph = RecordGraph(["m1", "m2", "m3", "m4"], records)
    assert graph.graph.edges["m4", "k2"]["kind"] == "passage"
    assert graph.graph.edges["k1", "k2"]["kind"] == "record"
    assert graph.stands_on("k2") == ("m4", "m3", "m1", "m2")
    assert [Record.load(record.dump()) for record in records] == records


def test_stretches_never_change_once_something_follows() -> None:
    draw = random.Random(4)
    log = [(f"m{i}", "x" * draw.randint(1, 700)) for i in range(60)]
    documents = [("d1.0", "a"), ("d1.1", "b" * STRETCH_CHARS), ("d1.2", "c"), ("d2.0", "d")]
    whole = stretches([*log, *documents])
    for cut in (1, 13, 40, 59):
        short = [s for s in stretches(log[:cut]) if s.handles]
        assert short == whole[: len(short)]
    of_log = [h for s in whole for h in s.handles if h.startswith("m")]
    assert of_log == [handle for handle, _ in log[: len(of_log)]]
    assert [s.handles for s in whole if s.handles[0].startswith("d")] == [
        ("d1.0", "d1.1"), ("d1.2",), ("d2.0",)
    ]  # fmt: skip


PLACES = "harbour mill bridge tower garden station market chapel orchard quarry".split()


def _talk(n: int, start: int = 0) -> list[dict[str, str]]:
    said: list[dict[str, str]] = []
    for i in range(start, start + n):
        place = PLACES[i % len(PLACES)]
        said.append({"role": "user", "content": f"What about the {place} in year {1900 + i}? " * 4})
        fact = f"In {1900 + i} the {place} got {i + 3} new lamps and a keeper named K{i}. "
        said.append({"role": "assistant", "content": fact * 5})
    return said


def _manager(**settings: Any) -> contextkit.ContextManager:
    return contextkit.load({"policies": [], "embedder": "hashing", **settings})


def test_a_build_goes_on_where_it_stopped_and_makes_only_what_is_new(tmp_path: Any) -> None:
    settings = {"history": {"kind": "sql", "url": f"sqlite:///{tmp_path}/h.db"}}
    policy = GraphOfRecords(every=1)
    with _manager(**settings) as cm:
        thread = cm.thread("t")
        thread.append(_talk(40))
        steps: list[int] = []
        building = policy.start(thread)
        n_first = building.stop()
        assert not building.is_running
        n_rest = policy.build(thread, advance=steps.append)
        records = load_records(Memo(cm.history, "default"), "t")
        assert len(records) == n_first + n_rest == sum(steps)
        assert policy.build(thread) == 0
    with _manager(**settings) as cm:
        thread = cm.thread("t")
        assert load_records(Memo(cm.history, "default"), "t") == records
        assert policy.build(thread) == 0
        thread.append(_talk(10, start=40))
        assert 0 < policy.build(thread) < len(records)
        kept = load_records(Memo(cm.history, "default"), "t")
        assert kept[: len(records)] == records
        assert not cm.verify()


def test_every_record_stands_on_passages_that_are_there() -> None:
    with _manager() as cm:
        thread = cm.thread("t")
        thread.append(_talk(40))
        thread.ingest("The ferry leaves at noon. " * 60, name="ferry")
        GraphOfRecords(every=1).build(thread)
        records = load_records(Memo(cm.history, "default"), "t")
        graph = RecordGraph([], records)
        known = {r.key: r.number for r in records}
        assert any(r.records for r in records)
        for record in records:
            assert record.answer
            assert all(known[key] < record.number for key in record.records)
            read = [thread.expand(h)[0].text for h in graph.stands_on(record.key)]
            for start, stop in sentences(record.answer):
                assert any(record.answer[start:stop].strip() in text for text in read)


def test_tenants_and_threads_have_their_own() -> None:
    with _manager() as cm:
        for tenant, name in (("a", "t"), ("b", "t"), ("a", "u")):
            cm.thread(name, tenant=tenant).append(_talk(12))
        GraphOfRecords(every=1).build(cm.thread("t", tenant="a"))
        assert load_records(Memo(cm.history, "a"), "t")
        assert not load_records(Memo(cm.history, "b"), "t")
        assert not load_records(Memo(cm.history, "a"), "u")


def _asked(call: contextkit.Call) -> str:
    return "Who keeps it?" if "Write one question" in call.messages[0].text else "A keeper."


def test_a_model_is_asked_once_for_the_same_words() -> None:
    backend = {"kind": "scripted", "replies": _asked}
    with _manager(backend=backend) as cm:
        thread = cm.thread("t")
        thread.append(_talk(20))
        policy = GraphOfRecords(asked_by="model", every=1)
        made = policy.build(thread)
        records = load_records(Memo(cm.history, "default"), "t")
        scripted: Any = cm.backend
        n_calls = len(scripted.calls)
        assert 0 < n_calls <= 2 * made
        for call in scripted.calls:
            assert call.upper_tokens <= call.ledger.limit_tokens
        assert {record.question for record in records} == {"Who keeps it?"}
        cm.history.drop_memo("default", space_of("t"))
        assert policy.build(thread) == made
        assert load_records(Memo(cm.history, "default"), "t") == records
        assert len(scripted.calls) == n_calls


def test_a_failing_model_costs_the_step_in_work_alone() -> None:
    asked: list[str] = []

    def script(call: contextkit.Call) -> Any:
        if "Write one question" not in call.messages[0].text:
            return "A keeper."
        asked.append(call.messages[0].text)
        return {"error": "unavailable"} if len(asked) == 12 else f"Who keeps number {len(asked)}?"

    with _manager(backend={"kind": "scripted", "replies": script}) as cm:
        thread = cm.thread("t")
        thread.append(_talk(60))
        policy = GraphOfRecords(asked_by="model", every=1)
        with pytest.raises(contextkit.BackendUnavailable):
            policy.build(thread)
        assert len(load_records(Memo(cm.history, "default"), "t")) == 8
        assert policy.build(thread) > 0


def test_extracted_words_are_the_passages_own() -> None:
    texts = ["The old mill was sold in 1931. It rained. Nobody knew why.", "Lamps cost 40 crowns."]
    extracted = Extracted(Rarity(texts))
    (headline, _) = extracted.questions(texts)
    assert headline == "The old mill was sold in 1931."
    (answer,) = extracted.answers([("When was the mill sold?", texts)])
    assert answer.startswith("The old mill was sold in 1931.")
    assert extracted.questions([""]) == [""]
    assert extracted.answers([("", ["anything"]), ("what?", [])]) == ["", ""]


# -- the network ------------------------------------------------------------------------------------


def _forward_by_hand(
    weights: dict[str, Any], features: Any, edges: list[tuple[int, int]], learning: gat.Learning
) -> Any:
    """One node and one head at a time, in double precision."""
    n, width = features.shape
    h, outs = features.astype(float), []
    for layer in range(learning.layers):
        w = {k[2:]: v.astype(float) for k, v in weights.items() if k.startswith(f"{layer}.")}
        heads = w["project"].reshape(learning.heads, width, width)
        out = np.zeros((n, width))
        for node in range(n):
            read = [a for a, b in edges if b == node] + [node]
            for head in range(learning.heads):
                told = {a: heads[head] @ h[a] for a in {*read, node}}
                raw = np.array([
                    told[a] @ w["from_read"][head] + told[node] @ w["from_reader"][head] for a in read
                ])  # fmt: skip
                raw = np.where(raw > 0, raw, 0.2 * raw)
                share = np.exp(raw) / np.exp(raw).sum()
                out[node] += sum(s * told[a] for s, a in zip(share, read, strict=True))
        out /= learning.heads
        scale = w["scale"] / np.sqrt(w["running_var"] + 1e-5)
        out = (out - w["running_mean"]) * scale + w["shift"]
        h = np.where(out > 0, out, w["slope"] * out)
        outs.append(h)
    made = np.max(outs, axis=0) + (features if learning.residual else 0)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def _example(seed: int, n: int = 30, d: int = 8, q: int = 6) -> gat.Example:
    """Record nodes have noise for features; what they are about only their neighbours tell."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(n, d)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    edges = [(i, n - 1 - i) for i in range(q)]
    questions = features[:q] + 0.1 * draw.normal(size=(q, d)).astype(np.float32)
    order = np.stack(
        [np.argsort([j != n - 1 - i for j in range(n)], kind="stable") for i in range(q)]
    )
    return gat.Example(features, edges, questions, order)


@pytest.mark.parametrize("residual", [True, False])
def test_the_network_is_what_its_formulas_say(residual: bool) -> None:
    pytest.importorskip("torch").set_num_threads(1)
    example = _example(3)
    learning = gat.Learning(epochs=3, residual=residual, heads=2)
    weights = gat.load(gat.dump(gat.train([example], learning)))
    made = gat.encode(weights, example.features, example.edges, learning)
    wanted = _forward_by_hand(weights, example.features, list(example.edges), learning)
    assert np.allclose(made, wanted, atol=1e-4)


def test_training_learns_what_only_the_neighbours_tell() -> None:
    pytest.importorskip("torch").set_num_threads(1)
    example = _example(5)
    learning = gat.Learning(epochs=120, rate=5e-3, dropout=0.0, pairs_among=8)

    def mean_rank(nodes: Any) -> float:
        scores = example.questions @ nodes.T
        best = example.order[:, 0]
        return float(np.mean([(s > s[b]).sum() for s, b in zip(scores, best, strict=True)]))

    weights = gat.train([example], learning)
    trained = gat.encode(weights, example.features, example.edges, learning)
    assert mean_rank(trained) < 2 < mean_rank(example.features)
    again = gat.train([example], learning)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def test_the_losses_are_those_of_the_paper() -> None:
    torch = pytest.importorskip("torch")
    example, other = _example(1, n=7), _example(2, n=5, q=2)
    learning = gat.Learning(rank_weight=0.7, pairs_among=4)
    nodes = [torch.from_numpy(e.features) for e in (example, other)]
    inputs = [gat._tensors(e) for e in (example, other)]
    everything = np.concatenate([example.features, other.features]).astype(float)
    total = 0.0
    for offset, e in ((0, example), (7, other)):
        contrast, pairs = [], []
        for q, order in zip(e.questions.astype(float), e.order, strict=True):
            logits = everything @ q
            contrast.append(np.log(np.exp(logits).sum()) - logits[offset + order[0]])
            s = e.features.astype(float) @ q
            top = order[: learning.pairs_among]
            pairs += [
                np.log1p(np.exp(-(s[top[i]] - s[top[j]])))
                for i in range(len(top))
                for j in range(i + 1, len(top))
            ]
        total += float(np.mean(contrast)) + learning.rank_weight * float(np.mean(pairs))
    assert float(gat._loss(torch, nodes, inputs, learning)) == pytest.approx(total / 2, rel=1e-4)


def test_steps_are_those_of_adam() -> None:
    torch = pytest.importorskip("torch")
    at = torch.tensor([3.0, -2.0], requires_grad=True)
    descend = gat._descent(torch, [at])
    x, mean, square = np.array([3.0, -2.0]), np.zeros(2), np.zeros(2)
    for step in range(1, 6):
        descend(((at - 1) ** 2 * torch.tensor([1.0, 5.0])).sum(), 0.1)
        slope = 2 * (x - 1) * np.array([1.0, 5.0])
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        x = x - 0.1 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    assert at.detach().numpy() == pytest.approx(x, rel=1e-5)


def test_weights_are_plain_arrays() -> None:
    body = io.BytesIO()
    np.savez(body, weights=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        gat.load(body.getvalue())
