"""The methods by their names, as `compress` and the evaluation ask for them."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeAlias, get_args

from contextkit.compression.base import Method
from contextkit.compression.scoring import Scorer, SurprisalScorer
from contextkit.compression.telling import OnProtected
from contextkit.compression.word_reader import Encoder

EncoderKind: TypeAlias = Literal["minilm"]
MethodName: TypeAlias = Literal[
    "structure",
    "words",
    "selective_context",
    "llmlingua",
    "longllmlingua",
    "llmlingua2",
    "scope",
]
NAMES: tuple[MethodName, ...] = get_args(MethodName)


def scorer(kind: str, **fields: Any) -> Scorer:
    """The scorer of a kind. Raises `UnknownPlugin`, `ConfigError`."""
    if kind == SurprisalScorer.kind:
        return SurprisalScorer()
    from contextkit import plugins

    made: Scorer = plugins.find("scorers", kind)(**fields)
    return made


@cache
def encoder(kind: EncoderKind) -> Encoder:
    """The encoder of a kind, one for the process; it loads its weights at its first use."""
    from contextkit import plugins

    made: Encoder = plugins.find("embedders", kind)()
    return made


def method(
    name: MethodName,
    on_protected: OnProtected = "error",
    by: Scorer | None = None,
    reader: Encoder | None = None,
) -> Method:
    """The method of that name; `by` scores for those that ask a scorer, `llmlingua2` asks the `reader`."""
    by = by or SurprisalScorer()
    match name:
        case "structure":
            from contextkit.compression.structure import Structure

            return Structure(on_protected)
        case "words":
            from contextkit.compression.by_words import Words

            return Words(on_protected)
        case "selective_context":
            from contextkit.compression.selective_context import SelectiveContext

            return SelectiveContext(by, on_protected)
        case "llmlingua":
            from contextkit.compression.llmlingua import LLMLingua

            return LLMLingua(by, on_protected)
        case "longllmlingua":
            from contextkit.compression.longllmlingua import LongLLMLingua

            return LongLLMLingua(by, on_protected)
        case "llmlingua2":
            from contextkit.compression.llmlingua2 import LLMLingua2

            return LLMLingua2(on_protected, encoder=reader)
        case "scope":
            from contextkit.compression.scope import Scope

            return Scope(scorer=by, on_protected=on_protected)
