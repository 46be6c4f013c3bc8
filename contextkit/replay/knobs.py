"""What of a configuration can be searched: the numbers, switches and choices of its policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args, get_origin

from contextkit import plugins
from contextkit.replay.setup import Setup

Value = bool | int | float | str
_SHARE_STEPS = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)
_FACTORS = (0.5, 0.75, 1.5, 2.0)
_SMALL = 8
"""Whole numbers up to here are moved by one, larger ones by a factor."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One field of one policy, as it stands in a list of policies."""

    policy: int
    field: str
    value: Value
    neighbours: tuple[Value, ...]

    def __str__(self) -> str:
        return f"policies.{self.policy}.{self.field}"

    def set(self, setup: Setup, value: Value) -> Setup:
        """The same configuration with another value there."""
        rows = [dict(row) for row in policy_rows(setup)]
        rows[self.policy][self.field] = value
        return Setup(setup.name, {**setup.fields, "policies": rows})


def policy_rows(setup: Setup) -> list[Mapping[str, Any]]:
    """The policies of a configuration, each as a mapping with its kind."""
    rows: Sequence[Any] = setup.fields.get("policies") or ()
    return [{"kind": row} if isinstance(row, str) else row for row in rows]


def find_knobs(setup: Setup) -> list[Knob]:
    """Every field that can be turned, with the values next to its present one."""
    return [
        knob
        for index, row in enumerate(policy_rows(setup))
        for knob in _of_policy(index, row)
    ]  # fmt: skip


def _of_policy(index: int, row: Mapping[str, Any]) -> Iterator[Knob]:
    model = plugins.find("policies", str(row.get("kind")))
    for name, info in model.model_fields.items():
        value = row.get(name, info.default)
        neighbours = _neighbours(info.annotation, value, list(info.metadata))
        if neighbours:
            yield Knob(index, name, value, tuple(neighbours))


def _neighbours(annotation: Any, value: Any, limits: Sequence[Any]) -> list[Value]:
    if isinstance(value, bool):
        return [not value]
    if get_origin(annotation) is Literal:
        return [other for other in get_args(annotation) if other != value]
    if isinstance(value, int):
        return [n for n in _whole(value) if n != value and _fits(n, limits)]
    if isinstance(value, float):
        return [x for x in _real(value, limits) if x != value and _fits(x, limits)]
    return []


def _whole(value: int) -> list[int]:
    if value <= _SMALL:
        return [value - 1, value + 1, value + 3]
    return [round(value * factor) for factor in _FACTORS]


def _real(value: float, limits: Sequence[Any]) -> list[float]:
    is_share = any(getattr(limit, name, None) == 1 for limit in limits for name in ("le", "lt"))
    if is_share:
        return [round(value + step, 3) for step in _SHARE_STEPS]
    return [round(value * factor, 4) for factor in _FACTORS]


def _fits(value: float, limits: Sequence[Any]) -> bool:
    for limit in limits:
        bounds = {name: getattr(limit, name, None) for name in ("ge", "gt", "le", "lt")}
        low, above, high, below = (
            cast("float | None", bounds[n]) for n in ("ge", "gt", "le", "lt")
        )
        if (low is not None and value < low) or (above is not None and value <= above):
            return False
        if (high is not None and value > high) or (below is not None and value >= below):
            return False
    return True
