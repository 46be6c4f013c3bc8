"""Rotary positions: angles in double precision, and the turn that brings a query nearer.

Angle `p * w` of a position beyond 2^24 has no digit left in single precision (Su et al. 2021 leave this
open), so angles are formed in fp64 here and only their cosines are rounded.

Reference of a turn by `n` positions, channels `start … start + 2 len(w)` of x `[..., D]`:

    a, b = the channels of a pair: (i, i + len(w)) in halves, (2i, 2i + 1) interleaved
    a', b' = a cos(n w) - b sin(n w), b cos(n w) + a sin(n w)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor

from contextkit_backends.local.engine.context import positions_of_this_forward
from contextkit_backends.local.load import require

Pairing: TypeAlias = Literal["halves", "interleaved"]
Layout: TypeAlias = Literal["halves", "interleaved", "single", "complex"]


@dataclass(frozen=True, eq=False)
class Rope:
    """How one attention layer is rotated: `frequencies` fp64 `[n]`, the first channel, the pairing."""

    frequencies: Tensor
    start: int
    pairing: Pairing
    scaling: float = 1.0
    """The factor on cosine and sine that the model's own rotation has (YaRN); a turn has none."""

    def cos_sin(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines fp32 `[n_tokens, 1, n]` of a turn by `shift` int64 `[n_tokens]` positions."""
        angles = shift[:, None, None].double() * self.frequencies
        return angles.cos().float(), angles.sin().float()

    def turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """`x [n_tokens, n_heads, D]` turned, computed in fp32, in the dtype of `x`."""
        n = self.frequencies.shape[0]
        stop = self.start + 2 * n
        part = x[..., self.start : stop].float()
        if self.pairing == "halves":
            a, b = part[..., :n], part[..., n:]
            turned = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
        else:
            a, b = part[..., 0::2], part[..., 1::2]
            turned = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
        return torch.cat((x[..., : self.start], turned.to(x.dtype), x[..., stop:]), dim=-1)


class RotaryAngles(torch.nn.Module):
    """Stands in for a model's rotary module: same call, same answer, angles in fp64.

    Positions come from the forward in progress where it has its own, and from the call otherwise: so a
    model may be told positions inside its trained range while its keys are rotated by the true ones.
    """

    def __init__(self, original: Any, sets: dict[str | None, _Frequencies]) -> None:
        super().__init__()
        self.original = original
        self._sets = sets

    def forward(
        self, x: Tensor, position_ids: Tensor, layer_type: str | None = None
    ) -> tuple[Tensor, Tensor] | Tensor:
        """Cosines and sines `[batch, n, …]` in the layout of the module that this one replaces."""
        positions = positions_of_this_forward()
        if positions is None:
            positions = position_ids[0] if position_ids.ndim == 3 else position_ids
        return self._sets[layer_type].cos_sin(positions, x.device)

    def ropes(self) -> Iterator[Rope]:
        """What a layer may be rotated by, from its first channel on; the pairing is a guess."""
        return (Rope(s.values, 0, "halves", s.scaling) for s in self._sets.values())


@dataclass(eq=False)
class _Frequencies:
    values: Tensor
    scaling: float
    layout: Layout
    dtype: torch.dtype

    def cos_sin(self, positions: Tensor, device: torch.device) -> tuple[Tensor, Tensor] | Tensor:
        if self.values.device != device:
            self.values = self.values.to(device)
        angles = positions.to(device)[..., None].double() * self.values
        if self.layout == "complex":
            return torch.polar(torch.full_like(angles, self.scaling), angles).to(self.dtype)
        cos, sin = angles.cos() * self.scaling, angles.sin() * self.scaling
        return self._lay_out(cos.to(self.dtype)), self._lay_out(sin.to(self.dtype))

    def _lay_out(self, x: Tensor) -> Tensor:
        if self.layout == "halves":
            return torch.cat((x, x), dim=-1)
        return x.repeat_interleave(2, dim=-1) if self.layout == "interleaved" else x


def replace_rotary(model: Any, context_tokens: int | None) -> Callable[[], None]:
    """Put `RotaryAngles` where the model has rotary modules that it can stand in for.

    Factors that depend on the length of the text (dynamic NTK, LongRoPE) are chosen once, for a context of
    `context_tokens`, or as the checkpoint was trained where that is None: a cached key is never rotated
    again, so its factor must not change under it. Returns what puts the model's own modules back.
    """
    replaced: list[tuple[Any, str, Any]] = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if not _is_rotary(child) or isinstance(parent, RotaryAngles):
                continue
            sets = _frequency_sets(child, model.dtype, context_tokens)
            if sets:
                setattr(parent, name, RotaryAngles(child, sets))
                replaced.append((parent, name, child))

    def undo() -> None:
        for parent, name, child in replaced:
            setattr(parent, name, child)

    return undo


def find_rope(model: Any, before: Tensor, after: Tensor, shift: int) -> Rope | None:
    """Which turn by `shift` positions takes the queries `before` to `after`, both `[n_tokens, n_heads, D]`.

    None where no turn does; a turn of no channels where nothing moved.
    """
    moved = torch.tensor([shift], device=before.device)
    tolerance = (1e-4 if before.dtype == torch.float32 else 4e-2) * float(before.abs().max())

    def error(rope: Rope) -> float:
        cos, sin = rope.cos_sin(moved)
        return float((rope.turn(before.float(), cos, sin) - after.float()).abs().max())

    best = min(_candidates(model, before), key=error)
    return best if error(best) <= tolerance else None


def _candidates(model: Any, query: Tensor) -> Iterator[Rope]:
    yield Rope(torch.zeros(0, dtype=torch.float64, device=query.device), 0, "halves")
    for module in model.modules():
        if not isinstance(module, RotaryAngles):
            continue
        for rope in module.ropes():
            frequencies = rope.frequencies.to(query.device)
            rest = query.shape[-1] - 2 * len(frequencies)
            for start in sorted({0, rest}) if rest >= 0 else ():
                for pairing in get_args(Pairing):
                    yield Rope(frequencies, start, pairing, rope.scaling)


def _is_rotary(module: Any) -> bool:
    names = [name for name, _ in module.named_buffers(recurse=False)]
    return any(name.endswith("inv_freq") for name in names) and hasattr(module, "config")


def _frequency_sets(
    module: Any, dtype: torch.dtype, context_tokens: int | None
) -> dict[str | None, _Frequencies]:
    """One set a layer type; empty where the module does something that no layout here explains."""
    buffers = dict(module.named_buffers(recurse=False))
    if any(values.dtype != torch.float32 for values in buffers.values()):
        # Rounded with the weights: made anew from the configuration.
        module = type(module)(module.config).to(next(iter(buffers.values())).device)
    kinds: list[str | None] = [
        name.removesuffix("_inv_freq")
        for name in buffers
        if name.endswith("_inv_freq") and not name.endswith("original_inv_freq")
    ]
    sets: dict[str | None, _Frequencies] = {}
    for kind in kinds or [None]:
        layout = _layout(module, kind)
        if layout is None:
            return {}
        values, scaling = _chosen(module, kind, context_tokens)
        sets[kind] = _Frequencies(values.double(), scaling, layout, _out_dtype(module, kind, dtype))
    return sets


def _layout(module: Any, kind: str | None) -> Layout | None:
    positions = torch.arange(8, device=_own(module, kind)[0].device)[None]
    answer = _ask(module, kind, torch.float32, positions)
    values, scaling = _own(module, kind)  # a module that scales with the text has just gone back
    layouts: tuple[Layout, ...] = ("halves", "interleaved", "single")
    for layout in ("complex",) if answer[0].is_complex() else layouts:
        mine = _Frequencies(values.double(), scaling, layout, answer[0].dtype)
        made = mine.cos_sin(positions, values.device)
        pairs = zip(made if isinstance(made, tuple) else (made,), answer, strict=False)
        if all(a.shape == b.shape and torch.allclose(a, b, atol=1e-5) for a, b in pairs):
            return layout
    return None


def _out_dtype(module: Any, kind: str | None, dtype: torch.dtype) -> torch.dtype:
    device = _own(module, kind)[0].device
    return _ask(module, kind, dtype, torch.zeros((1, 1), dtype=torch.int64, device=device))[0].dtype


def _ask(
    module: Any, kind: str | None, dtype: torch.dtype, positions: Tensor
) -> tuple[Tensor, ...]:
    x = torch.zeros((1, positions.shape[1], 1), dtype=dtype, device=positions.device)
    with torch.no_grad():
        answer: Any = module(x, positions) if kind is None else module(x, positions, kind)
    return cast("tuple[Tensor, ...]", answer) if isinstance(answer, tuple) else (answer,)


def _own(module: Any, kind: str | None) -> tuple[Tensor, float]:
    prefix = "" if kind is None else f"{kind}_"
    return getattr(module, f"{prefix}inv_freq"), getattr(module, f"{prefix}attention_scaling")


def _chosen(module: Any, kind: str | None, context_tokens: int | None) -> tuple[Tensor, float]:
    """Frequencies and the factor on cosine and sine for a context of that many tokens."""
    values, scaling = _own(module, kind)
    rope_type = module.rope_type if kind is None else module.rope_type[kind]
    if context_tokens is None or not ("dynamic" in rope_type or rope_type == "longrope"):
        return values, scaling
    functions = require("transformers.modeling_rope_utils").ROPE_INIT_FUNCTIONS
    extra = {} if kind is None else {"layer_type": kind}
    found: tuple[Tensor, float] = functions[rope_type](
        module.config, values.device, seq_len=context_tokens, **extra
    )
    return found
