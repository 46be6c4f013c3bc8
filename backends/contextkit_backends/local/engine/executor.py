"""How a model is run: on pages, or else with a cache of transformers' kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contextkit.errors import UnsupportedModel
from contextkit_backends.local.engine.adapter import Adapted, Bypassed, adapt
from contextkit_backends.local.engine.fallback import Unpaged
from contextkit_backends.local.engine.limits import attention_chunk
from contextkit_backends.local.engine.paged import Paged
from contextkit_backends.local.engine.selftest import Trial
from contextkit_backends.local.engine.settings import EngineSettings


def choose_executor(
    model: Any, settings: EngineSettings, folder: Path | None
) -> tuple[Paged | None, Unpaged | None]:
    """The model over pages where it proves that it runs so, or else with a cache of transformers' kind.

    UnsupportedModel where neither does what the settings ask.
    """
    try:
        return _on_pages(model, settings, folder), None
    except Bypassed as why:
        return None, Unpaged(model, settings, str(why))


def _on_pages(model: Any, settings: EngineSettings, folder: Path | None) -> Paged:
    adapted = adapt(model, context_tokens=settings.context_tokens)
    try:
        _check_window(adapted, settings)
        trial = Trial.of(adapted, settings)
        paged = Paged(adapted, settings, _identity(model, settings, folder))
        trial.check(paged)
    except BaseException:
        adapted.undo()
        raise
    return paged


def _identity(model: Any, settings: EngineSettings, folder: Path | None) -> dict[str, str]:
    """What the content of a page depends on, beside its tokens."""
    text = model.config.get_text_config()
    return {
        "model": f"{model.config.model_type} {folder or id(model)}",
        "dtype": str(model.dtype),
        "rope": repr(getattr(text, "rope_parameters", None)),
        "kv": settings.kv,
    }


def _check_window(adapted: Adapted, settings: EngineSettings) -> None:
    if settings.window is not None and adapted.no_sinks:
        raise UnsupportedModel(
            f"window: {adapted.model.config.model_type} cannot stream, {adapted.no_sinks}; "
            "load it without a window"
        )
    chunk, context = attention_chunk(adapted.model), settings.context_tokens
    if chunk is not None and context is not None and context > chunk:
        raise UnsupportedModel(
            f"window: sinks + window + 1 = {context} is over the {chunk} tokens of this model's "
            "attention chunks; use a smaller window"
        )
