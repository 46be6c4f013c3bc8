"""Whose prices and cache rules a replay goes by: `anthropic:claude-sonnet-4-6`, checked by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from contextkit import cache_rules
from contextkit.backend import Capabilities, DialectName, Reply, ReplyChunk
from contextkit.call import Call
from contextkit.errors import ReplayError
from contextkit.pricing import CacheRule, find_rule
from contextkit.tokens import TokenCounter
from contextkit.tokens.choose import counter_for

WINDOW = 200_000
"""Tokens of a context window where neither the configuration nor the command says."""
YARDSTICK = "cl100k_base"
"""Counts where nothing else is asked for: exact, and the same for every provider."""


@dataclass(frozen=True)
class Provider:
    """A provider's model: its row of the rules, and the counter that its calls are measured by."""

    name: str
    model: str
    rule: CacheRule
    counter: TokenCounter
    notes: tuple[str, ...] = ()

    @property
    def dialect(self) -> DialectName:
        """Whose form a call takes on its way there."""
        return "anthropic" if self.name in ("anthropic", "bedrock") else "openai"

    def __str__(self) -> str:
        return f"{self.name}:{self.model}"


def find_provider(
    name: str, *, tokenizer: str = YARDSTICK, rules: str | Path | None = None
) -> Provider:
    """`provider:model` with its rules; `rules` is a YAML file whose rows come before the shipped.

    `tokenizer` is an encoding, or `estimate` for the counter that contextkit itself would use.
    Raises `ReplayError` naming the nearest provider or model where there is no row.
    """
    vendor, _, model = name.partition(":")
    vendor = vendor.lower()
    overrides: Mapping[str, Any] | None = cache_rules.load_overrides(rules) if rules else None
    rule = find_rule(vendor, model, overrides)
    known = sorted({row.provider for row in cache_rules.all_rules()} | set(overrides or ()))
    if rule is None:
        raise ReplayError(
            f"provider {vendor!r} has no cache rules{_nearest(vendor, known)}; there are "
            f"{', '.join(n for n in known if n != 'as_of')}. Write it provider:model, as "
            "anthropic:claude-sonnet-4-6"
        )
    if rule.pattern == "*" and rule.price is None:
        raise ReplayError(_unknown_model(vendor, model))
    chosen = None if tokenizer == "estimate" else tokenizer
    return Provider(vendor, model, rule, counter_for(vendor, model, chosen))


def _unknown_model(vendor: str, model: str) -> str:
    rows = [row.pattern for row in cache_rules.all_rules() if row.provider == vendor]
    models = [pattern.strip("*") for pattern in rows if pattern != "*"]
    what = f"{vendor} has no model {model!r}{_nearest(model, models)}" if model else (
        f"{vendor}: which model? as {vendor}:{models[0] if models else 'name'}"
    )  # fmt: skip
    return (
        f"{what}. A row of your own, in the file given as --rules: "
        f"{{{vendor}: {{models: {{{model or 'name'}: {{price: {{input_usd: 3, output_usd: 15}}}}}}}}}}"
    )


def _nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


class RecordedBackend:
    """Stands where a configuration's backend stood: counts like it, and is never asked."""

    kind: ClassVar[str] = "recorded"

    def __init__(self, provider: Provider, context_window: int = WINDOW) -> None:
        self._provider = provider
        self._window = context_window

    @cached_property
    def capabilities(self) -> Capabilities:
        at = self._provider
        return Capabilities(self._window, at.dialect, at.name, at.model)

    @property
    def counter(self) -> TokenCounter:
        return self._provider.counter

    def complete(self, call: Call) -> Reply:
        """Nobody answers in a replay."""
        raise ReplayError(
            "a policy asks a model to write; a replay asks none. Leave the policy out, or set it to "
            "a form that needs no model"
        )

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        """Nobody answers in a replay."""
        return [self.complete(call) for call in calls]

    def stream(self, call: Call) -> Any:
        """Nobody answers in a replay."""
        yield ReplyChunk(reply=self.complete(call))
