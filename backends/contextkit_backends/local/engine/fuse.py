"""A decode step in six kernels a layer, for models whose layers are built like Llama's.

Found by structure, not by name: RMSNorm, query, key and value projections, rotation in halves, output
projection, RMSNorm, gated SiLU, each added to the residual stream. What is fused (norm and residual,
packed projections, gate and up, rotation and write) is then compared with the modules it stands for, on
the model's own activations, and dropped where it is unequal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from contextkit_backends.local import kernels
from contextkit_backends.local.engine.adapter import AttentionLayer
from contextkit_backends.local.engine.context import Call, running
from contextkit_backends.local.engine.paged import Paged
from contextkit_backends.local.kernels.base import PagedMeta
from contextkit_backends.local.kernels.gemv import gemv
from contextkit_backends.local.kernels.pointwise import add_norm, rotate_write, silu_product
from contextkit_backends.local.kernels.qkv import project

_TOLERANCE = {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 3e-2}
"""Largest ‖fused - own‖ / ‖own‖ of one layer."""


class Unlike(Exception):
    """The model is not built so, or does not compute what the fused kernels do; the message says where."""


@dataclass(frozen=True, eq=False)
class Step:
    """One new token of every row: where it stands, what it sees."""

    ids: Tensor
    positions: Tensor
    gaps: Tensor
    slots: Tensor
    meta: PagedMeta
    turned: bool
    """Whether any gap can be over 0."""


Attend = Callable[[int, Tensor, "Tensor | None", Tensor, Tensor], Tensor]
"""(layer, q, q_head, keys, values) -> [rows, Hq, Dv]."""


@dataclass(frozen=True, eq=False)
class _Norm:
    weight: Tensor
    eps: float

    @classmethod
    def of(cls, module: Any) -> _Norm:
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        weight = getattr(module, "weight", None)
        if not isinstance(eps, float) or not isinstance(weight, Tensor) or weight.ndim != 1:
            raise Unlike(f"{type(module).__name__} is no RMSNorm")
        return cls(weight.detach(), eps)


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """The weights of one layer, packed; the modules' own weights are views of them."""

    before: _Norm
    qkv: tuple[Tensor, Tensor | None]
    q_norm: _Norm | None
    k_norm: _Norm | None
    out: tuple[Tensor, Tensor | None]
    after: _Norm
    gate_up: tuple[Tensor, Tensor | None]
    down: tuple[Tensor, Tensor | None]
    n_heads: int
    frequencies: Tensor
    factor: float

    @classmethod
    def of(cls, layer: Any, seen: AttentionLayer) -> FusedLayer:
        """Raises Unlike. Packs the layer's projections."""
        attention, mlp = _child(layer, "self_attn"), _child(layer, "mlp")
        rope = seen.rope
        if rope is None or rope.pairing != "halves" or rope.start:
            raise Unlike("its rotation is not one of halves from the first channel on")
        if 2 * len(rope.frequencies) != seen.key_dim or seen.key_dim != seen.value_dim:
            raise Unlike("it rotates a part of a key, or its values are of another size")
        q_norm, k_norm = (getattr(attention, name, None) for name in ("q_norm", "k_norm"))
        return cls(
            _Norm.of(_child(layer, "input_layernorm")),
            _pack(attention, "q_proj", "k_proj", "v_proj"),
            None if q_norm is None else _Norm.of(q_norm),
            None if k_norm is None else _Norm.of(k_norm),
            _pack(attention, "o_proj"),
            _Norm.of(_child(layer, "post_attention_layernorm")),
            _pack(mlp, "gate_proj", "up_proj"),
            _pack(mlp, "down_proj"),
            seen.n_heads,
            rope.frequencies.double().contiguous(),
            rope.scaling,
        )

    def decode(
        self, hidden: Tensor, step: Step, keys: Tensor, values: Tensor, attend: Any
    ) -> Tensor:
        """The residual stream `[rows, K]` behind the layer."""
        q, q_head = self._queries(hidden, step, keys, values)
        found = attend(q, q_head if step.turned else None).reshape(hidden.shape[0], -1)
        if hidden.shape[0] == 1:
            hidden = gemv(found, *self.out, residual=hidden)
            eps = self.after.eps
            inner = gemv(hidden, *self.gate_up, norm=self.after.weight, eps=eps, gated=True)
            behind: Tensor = gemv(inner, *self.down, residual=hidden)
            return behind
        hidden = hidden.clone()
        normed = add_norm(hidden, linear(found, *self.out), self.after.weight, self.after.eps)
        return hidden + linear(silu_product(linear(normed, *self.gate_up)), *self.down)

    def _queries(
        self, hidden: Tensor, step: Step, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        where: dict[str, Any] = {
            "positions": step.positions,
            "gaps": step.gaps,
            "frequencies": self.frequencies,
            "factor": self.factor,
            "keys": keys,
            "values": values,
            "slots": step.slots,
            "n_heads": self.n_heads,
        }
        norm = self.before
        if hidden.shape[0] == 1 and self.q_norm is None and self.k_norm is None:
            return project(hidden, *self.qkv, norm.weight, norm.eps, **where)
        if hidden.shape[0] == 1:
            made = gemv(hidden, *self.qkv, norm=norm.weight, eps=norm.eps)
        else:
            made = linear(add_norm(hidden, None, norm.weight, norm.eps), *self.qkv)
        for name, own in (("q_norm", self.q_norm), ("k_norm", self.k_norm)):
            where[name] = None if own is None else own.weight
        return rotate_write(made, eps=0.0 if self.q_norm is None else self.q_norm.eps, **where)


@dataclass(frozen=True, eq=False)
class FusedModel:
    """The whole decode step over the pool's pages."""

    embeddings: Tensor
    layers: tuple[FusedLayer, ...]
    calls: tuple[Call, ...]
    """What each layer says to its attention."""
    norm: _Norm
    head: Tensor
    paged: Paged = field(repr=False)

    @classmethod
    def of(cls, paged: Paged) -> FusedModel:
        """Raises Unlike where the model is built in another way or the check fails."""
        model = paged.model
        decoder = model.get_decoder()
        head: Any = model.get_output_embeddings()
        layers = list(getattr(decoder, "layers", ()))
        if len(layers) != len(paged.adapted.layers):
            raise Unlike("not every layer has attention")
        if not _is_linear(head) or head.bias is not None:
            raise Unlike("its output embeddings are no linear layer without a bias")
        watch = _Watch.of(model, layers)
        fused = cls(
            model.get_input_embeddings().weight.detach(),
            tuple(map(FusedLayer.of, layers, paged.adapted.layers)),
            tuple(watch.calls[layer.index] for layer in paged.adapted.layers),
            _Norm.of(_child(decoder, "norm")),
            head.weight.detach(),
            paged,
        )
        fused.check(watch)
        return fused

    def forward(self, step: Step) -> Tensor:
        """Logits fp32 `[rows, vocabulary]`; writes the rows' keys and values to their slots."""
        pool = self.paged.pool
        hidden = embedding(step.ids, self.embeddings)
        for place, (layer, call) in enumerate(zip(self.layers, self.calls, strict=True)):
            keys, values = pool.keys[place], pool.values[place]

            def attend(
                q: Tensor, q_head: Tensor | None, place: int = place, call: Call = call
            ) -> Tensor:
                found: Tensor = kernels.decode(
                    q,
                    q_head,
                    pool.keys[place],
                    pool.values[place],
                    step.meta,
                    scale=call.scale,
                    softcap=call.softcap,
                    sink_logits=call.sink_logits,
                    layer_window=call.window,
                    packed=pool.packed[place] if pool.packed else None,
                )
                return found

            hidden = layer.decode(hidden, step, keys, values, attend)
        return self.logits(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """fp32 `[rows, vocabulary]` of the residual stream behind the last layer."""
        if hidden.shape[0] == 1:
            out = torch.empty(1, self.head.shape[0], dtype=torch.float32, device=hidden.device)
            norm = self.norm
            gemv(hidden, self.head, norm=norm.weight, eps=norm.eps, out=out)
            return out
        return linear(add_norm(hidden, None, self.norm.weight, self.norm.eps), self.head).float()

    def check(self, watch: _Watch) -> None:
        """Every layer on what the model's own layer was given; Unlike names the first that differs."""
        for n_rows in (1, 2):
            ids, positions = watch.ids[:n_rows], watch.positions[:n_rows]
            _compare("the embedding", embedding(ids, self.embeddings), watch.hidden[0][:n_rows])
            for place, layer in enumerate(self.layers):
                self._check_layer(place, layer, watch, positions)
            _compare("the head", self.logits(watch.hidden[-1][:n_rows]), watch.logits[:n_rows])

    def _check_layer(self, place: int, layer: FusedLayer, watch: _Watch, positions: Tensor) -> None:
        n = len(positions)
        seen = self.paged.adapted.layers[place]
        room = torch.zeros(2, 1, seen.n_kv_heads, 4, seen.key_dim, dtype=self.head.dtype)
        keys, values = room.to(self.head.device)
        slots = torch.arange(1, n + 1, device=keys.device)
        none: Any = None
        step = Step(watch.ids[:n], positions, torch.zeros_like(slots), slots, none, False)
        q, k, v = (x[:n] for x in watch.asked[seen.index])
        found: list[Tensor] = []

        def attend(query: Tensor, _: Tensor | None) -> Tensor:
            found.append(query)
            return v.repeat_interleave(seen.n_heads // seen.n_kv_heads, dim=1)

        hidden = layer.decode(watch.hidden[place][:n], step, keys, values, attend)
        name = f"layer {seen.index}"
        _compare(f"the queries of {name}", found[0], q)
        _compare(f"the keys of {name}", keys[0].transpose(0, 1)[1 : n + 1], k)
        _compare(f"the values of {name}", values[0].transpose(0, 1)[1 : n + 1], v)
        _compare(name, hidden, watch.hidden[place + 1][:n])


class _Watch:
    """What the model's own modules compute for two tokens that attend each to itself alone."""

    def __init__(self, device: torch.device) -> None:
        self.ids = torch.tensor([3, 5], device=device)
        self.positions = torch.tensor([11, 1000], device=device)
        self.hidden: list[Tensor] = []
        self.asked: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self.calls: dict[int, Call] = {}
        self.logits = torch.empty(0)

    @classmethod
    def of(cls, model: Any, layers: list[Any]) -> _Watch:
        watch = cls(model.device)
        hooks = [layer.register_forward_pre_hook(watch._before) for layer in layers]
        hooks.append(layers[-1].register_forward_hook(watch._behind))
        try:
            with torch.inference_mode(), running(_SelfOnly(watch)):
                output = model(
                    input_ids=watch.ids[None], position_ids=watch.positions[None], use_cache=False
                )
        finally:
            for hook in hooks:
                hook.remove()
        watch.logits = output.logits[0].float()
        return watch

    def _before(self, _: Any, given: tuple[Any, ...]) -> None:
        if not given:
            raise Unlike("its layers are given the residual stream by name")
        self.hidden.append(given[0][0].clone())

    def _behind(self, _: Any, __: Any, output: Any) -> None:
        hidden: Any = output if hasattr(output, "shape") else output[0]
        self.hidden.append(hidden[0].clone())


class _SelfOnly:
    """A forward in which every token reads its own value."""

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch
        self.positions: Tensor | None = watch.positions[None]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, call: Call) -> Tensor:
        """`query [1, Hq, n, D]` to `[1, n, Hq, Dv]`."""
        q, k, v = (x[0].transpose(0, 1).clone() for x in (query, key, value))
        self.watch.asked[layer], self.watch.calls[layer] = (q, k, v), call
        return value.repeat_interleave(query.shape[1] // value.shape[1], dim=1).transpose(1, 2)


def _compare(name: str, found: Tensor, own: Tensor) -> None:
    linalg: Any = torch.linalg
    size = linalg.vector_norm
    error = float(size(found.float() - own.float()) / size(own.float()).clamp(min=1e-20))
    tolerance = _TOLERANCE[found.dtype if found.dtype in _TOLERANCE else torch.float32]
    if own.dtype == torch.float32 and found.dtype == torch.float32 and name == "the head":
        tolerance = max(_TOLERANCE.values())  # logits were rounded by the model, not by us
    if not error <= tolerance:
        raise Unlike(f"{name} differs by {error:.2g} of its size")


def _is_linear(module: Any) -> bool:
    """Not a subclass: those may quantise, adapt or scale."""
    return type(module) is torch.nn.Linear


def _child(module: Any, name: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        raise Unlike(f"{type(module).__name__} has no {name}")
    return found


def _pack(module: Any, *names: str) -> tuple[Tensor, Tensor | None]:
    """Weights and biases of linear layers one below the other; the layers keep views of them."""
    parts = [_child(module, name) for name in names]
    if not all(map(_is_linear, parts)):
        raise Unlike(f"{names[0]} of {type(module).__name__} is no plain linear layer")
    has_bias = {part.bias is not None for part in parts}
    if len(has_bias) > 1:
        raise Unlike(f"only some of {', '.join(names)} have a bias")
    sizes = [part.out_features for part in parts]
    packed: list[Tensor | None] = []
    for name in ("weight", "bias"):
        if name == "bias" and not has_bias.pop():
            packed.append(None)
            continue
        whole: Any = torch.cat([getattr(part, name).detach() for part in parts])
        for part, view in zip(parts, whole.split(sizes), strict=True):
            setattr(part, name, torch.nn.Parameter(view, requires_grad=False))
        packed.append(whole)
    weight, bias = packed
    assert weight is not None
    return weight, bias
