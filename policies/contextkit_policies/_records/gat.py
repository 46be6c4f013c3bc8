"""A small graph attention network that learns, without labels, which nodes answer a question.

Velickovic et al. 2018 for the layers; Zhang et al. 2024 ("Graph of Records") for what is learned: of
every simulated question the node nearest to the passage it was drawn from is the positive of an InfoNCE
loss, and the whole order of nodes is kept by a pairwise logistic loss. Needs torch (`contextkit[local]`);
weights are kept as plain arrays.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from contextkit_policies._records.packages import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float32]

SLOPE = 0.2
"""Of the leaky rectifier in attention, as in the paper of 2018."""


@dataclass(frozen=True)
class Example:
    """One graph to learn from: its nodes' `features` [n, d] and `edges` as pairs of places.

    `order` [q, n] tells for each of the `questions` [q, d] the nodes from the best to the worst.
    """

    features: Array
    edges: Sequence[tuple[int, int]]
    questions: Array
    order: NDArray[np.int64]


@dataclass(frozen=True)
class Learning:
    """How the network is trained; defaults follow the paper where a thread is small enough for them."""

    heads: int = 4
    layers: int = 2
    dropout: float = 0.2
    rank_weight: float = 0.9
    """What the pairwise loss counts beside InfoNCE."""
    pairs_among: int = 64
    """Nodes at the top of each order whose pairs are compared."""
    epochs: int = 150
    rate: float = 1e-3
    residual: bool = True
    """Add each node's own vector to what was learned; the paper does without, with far more graphs."""
    seed: int = 0


def train(examples: Sequence[Example], learning: Learning) -> dict[str, Array]:
    """The weights after training on the graphs together. Deterministic for a seed on one machine."""
    torch = _torch()
    chance = torch.Generator().manual_seed(learning.seed)
    net = _start(torch, examples[0].features.shape[1], learning, chance)
    inputs = [_tensors(example) for example in examples]
    descend = _descent(torch, [value for name, value in net.items() if "running" not in name])
    for epoch in range(learning.epochs):
        nodes = [
            _forward(torch, net, features, edges, learning, chance)
            for features, edges, _, _ in inputs
        ]
        loss = _loss(torch, nodes, inputs, learning)
        descend(loss, learning.rate * (1 + math.cos(math.pi * epoch / learning.epochs)) / 2)
    return {name: value.detach().numpy() for name, value in net.items()}


def encode(
    weights: Mapping[str, Array],
    features: Array,
    edges: Sequence[tuple[int, int]],
    learning: Learning,
) -> Array:
    """Every node's vector of unit length in the light of its neighbours, `[n, d]`."""
    torch = _torch()
    net = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    with torch.no_grad():
        nodes = torch.from_numpy(np.array(features))
        made = _forward(torch, net, nodes, _edge_tensor(torch, edges), learning).numpy()
    lengths = np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)
    units: Array = (made / lengths).astype(np.float32)
    return units


def dump(weights: Mapping[str, Array]) -> bytes:
    """The weights as an npz archive of plain arrays."""
    body = io.BytesIO()
    arrays: dict[str, Any] = dict(weights)
    np.savez(body, **arrays)
    return body.getvalue()


def load(body: bytes) -> dict[str, Array]:
    """What `dump` wrote; an archive with anything but plain arrays is refused."""
    with np.load(io.BytesIO(body), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _torch() -> Any:
    return require("torch", "local")


def _tensors(example: Example) -> tuple[Any, Any, Any, Any]:
    torch = _torch()
    return (
        torch.from_numpy(np.array(example.features)),
        _edge_tensor(torch, example.edges),
        torch.from_numpy(np.array(example.questions)),
        torch.from_numpy(np.array(example.order)),
    )


def _edge_tensor(torch: Any, edges: Sequence[tuple[int, int]]) -> Any:
    return torch.as_tensor(list(edges), dtype=torch.int64).reshape(-1, 2)


def _loss(torch: Any, nodes: Sequence[Any], inputs: Sequence[Any], learning: Learning) -> Any:
    """Mean over the graphs; negatives of a question are all other nodes of all graphs."""
    functional = torch.nn.functional
    everything = torch.cat(list(nodes))
    total, offset = 0.0, 0
    for own, (_, _, questions, order) in zip(nodes, inputs, strict=True):
        contrast = functional.cross_entropy(questions @ everything.T, offset + order[:, 0])
        top = order[:, : learning.pairs_among]
        scores = torch.gather(questions @ own.T, 1, top)
        ahead = scores[:, :, None] - scores[:, None, :]
        better, worse = torch.triu_indices(top.shape[1], top.shape[1], offset=1)
        pairs = functional.softplus(-ahead[:, better, worse])
        ranked = pairs.mean() if pairs.numel() else 0.0
        total = total + contrast + learning.rank_weight * ranked
        offset += len(own)
    return total / len(nodes)


def _descent(torch: Any, parameters: Sequence[Any]) -> Callable[[Any, float], None]:
    """Steps of Adam (Kingma and Ba 2015). Written out: torch's own loads a compiler first, for seconds."""
    means = [torch.zeros_like(p) for p in parameters]
    squares = [torch.zeros_like(p) for p in parameters]
    n_steps = 0

    def step(loss: Any, rate: float) -> None:
        nonlocal n_steps
        n_steps += 1
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, slope, mean, square in zip(parameters, slopes, means, squares, strict=True):
                mean.lerp_(slope, 1 - 0.9)
                square.lerp_(slope * slope, 1 - 0.999)
                spread = (square / (1 - 0.999**n_steps)).sqrt() + 1e-8
                p -= rate * mean / (1 - 0.9**n_steps) / spread

    return step


def _start(torch: Any, width: int, learning: Learning, chance: Any) -> dict[str, Any]:
    """The weights before training, by name."""
    heads = learning.heads
    net: dict[str, Any] = {}
    for layer in range(learning.layers):
        shapes = {"project": (heads * width, width), "from_read": (heads, width)}
        shapes["from_reader"] = shapes["from_read"]
        for name, shape in shapes.items():
            spread = math.sqrt(4 / sum(shape))  # Glorot and Bengio 2010, for a rectifier
            drawn = spread * torch.randn(shape, generator=chance)
            net[f"{layer}.{name}"] = drawn.requires_grad_()
        net[f"{layer}.scale"] = torch.ones(width, requires_grad=True)
        net[f"{layer}.shift"] = torch.zeros(width, requires_grad=True)
        net[f"{layer}.slope"] = torch.full((1,), 0.25, requires_grad=True)
        net[f"{layer}.running_mean"] = torch.zeros(width)
        net[f"{layer}.running_var"] = torch.ones(width)
    return net


def _forward(
    torch: Any, net: Mapping[str, Any], x: Any, edges: Any, learning: Learning, chance: Any = None
) -> Any:
    """Every node's vector `[n, d]`, the largest of what the layers give; `chance` is for training."""
    loops = torch.arange(len(x)).repeat(2, 1).T
    read, reader = torch.cat([edges, loops]).unbind(1)
    outs: list[Any] = []
    h = x
    for layer in range(learning.layers):
        own = {n.partition(".")[2]: value for n, value in net.items() if n.startswith(f"{layer}.")}
        if chance is not None and learning.dropout:
            kept = torch.rand(h.shape, generator=chance) >= learning.dropout
            h = h * kept / (1 - learning.dropout)
        h = _attend(torch, own, h, read, reader, learning.heads)
        h = torch.nn.functional.batch_norm(
            h, own["running_mean"], own["running_var"], own["scale"], own["shift"],
            training=chance is not None,
        )  # fmt: skip
        h = torch.nn.functional.prelu(h, own["slope"])
        outs.append(h)
    learned = torch.stack(outs).amax(0)
    return x + learned if learning.residual else learned


def _attend(torch: Any, own: Mapping[str, Any], x: Any, read: Any, reader: Any, heads: int) -> Any:
    """The mean over the heads of what each node reads, by attention over its incoming edges."""
    n_nodes, width = x.shape
    h = (x @ own["project"].T).view(n_nodes, heads, width)
    raw = (h * own["from_read"]).sum(-1)[read] + (h * own["from_reader"]).sum(-1)[reader]
    raw = torch.nn.functional.leaky_relu(raw, SLOPE)
    index = reader[:, None].expand_as(raw)
    lowest = torch.full((n_nodes, heads), float("-inf"))
    highest = lowest.scatter_reduce(0, index, raw.detach(), "amax")
    weight = (raw - highest[reader]).exp()
    sums = torch.zeros(n_nodes, heads).scatter_add(0, index, weight)
    share = (weight / sums[reader])[:, :, None]
    return torch.zeros(n_nodes, heads, width).index_add(0, reader, share * h[read]).mean(1)
