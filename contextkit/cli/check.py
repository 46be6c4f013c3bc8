"""`contextkit check`: what is wrong with a configuration, or what it means. Opens and makes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from contextkit.cli.faults import find_faults
from contextkit.cli.opening import config_path, open_trial, out, print_json, read_config
from contextkit.config import Config
from contextkit.inspector.words import clean
from contextkit.manager import ContextManager
from contextkit.plugins import find_missing

NAME_WIDTH = 10


def run_check(config: Path | None, *, as_json: bool) -> None:
    """Say it; exit code 1 where anything is wrong."""
    path = config_path(config)
    faults = [] if path is None else find_faults(path)
    meaning: dict[str, Any] = {}
    if not faults:
        with open_trial(config) as manager:
            meaning = _meaning(read_config(path), manager)
    named = None if path is None else str(path)
    if as_json:
        print_json({"config": named, "faults": faults, **meaning})
    elif faults:
        for fault in faults:
            out().print(Text(clean(" ".join(fault.split()))))
    else:
        _show(meaning)
    if faults:
        raise typer.Exit(1)


def _meaning(config: Config, manager: ContextManager) -> dict[str, Any]:
    capabilities = manager.backend.capabilities
    rule = manager.rule
    return {
        "backend": manager.backend.kind,
        "provider": capabilities.provider or None,
        "model": capabilities.model or None,
        "window": manager.window,
        "window_from": _window_from(config, capabilities.context_window),
        "reply_reserve": manager.reply_reserve,
        "limit_tokens": manager.limit_tokens,
        "max_input_tokens": manager.max_input_tokens,
        "counter": manager.counter.name,
        "counts_exactly": manager.counter.exact,
        "prices_as_of": str(rule.as_of) if rule else None,
        "history": _described(config.history),
        "vectors": _described(config.vectors),
        "embedder": _described(config.embedder),
        "policies": [
            {
                "kind": policy.kind,
                "stage": policy.stage.name.lower(),
                "settings": policy.model_dump(mode="json", exclude_defaults=True),
            }
            for policy in config.policies
        ],
        "missing": [
            missing
            for part in (config.backend, config.history, config.vectors, config.embedder)
            if part is not None and (missing := find_missing(part))
        ],
    }


def _window_from(config: Config, own: int | None) -> str:
    """Who set the window: a budget over the backend's own is cut to it."""
    if config.budget.window and not (own and own < config.budget.window):
        return "budget"
    return "backend" if own else "default"


def _described(part: Any) -> str | None:
    """A store or an embedder in one word, a database with its address and without its password."""
    if part is None:
        return None
    url = getattr(part, "url", None)
    if not isinstance(url, str):
        return str(part.kind)
    from sqlalchemy.engine import make_url

    return f"{part.kind}, {make_url(url).render_as_string(hide_password=True)}"


def _show(meaning: dict[str, Any]) -> None:
    console = out()
    for name, text in _lines(meaning):
        console.print(Text.assemble((f"{name:<{NAME_WIDTH}}", "bold"), clean(text)))


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    model = " ".join(found[name] for name in ("provider", "model") if found[name])
    yield "backend", found["backend"] + (f", {model}" if model else "")
    yield (
        "window",
        f"{found['window']:,} tokens ({_WHENCE[found['window_from']]}), {found['reply_reserve']:,} "
        f"for the reply: a call takes up to {found['limit_tokens']:,}{_least(found)}",
    )
    how = "exact" if found["counts_exactly"] else "an estimate with an upper end"
    yield "counter", f"{found['counter']}, {how}"
    as_of = found["prices_as_of"]
    yield "prices", f"cache rules of {as_of}" if as_of else "unknown, and no rules of a cache"
    for name in ("history", "vectors", "embedder"):
        if found[name]:
            yield name, found[name]
    for index, policy in enumerate(found["policies"], 1):
        set_here = ", ".join(f"{name}: {value}" for name, value in policy["settings"].items())
        settings = f" {{{set_here}}}" if set_here else ""
        yield (
            "policies" if index == 1 else "",
            f"{index}. {policy['kind']}{settings} ({policy['stage']})",
        )
    if not found["policies"]:
        yield "policies", "none: nothing is left out"
    for missing in found["missing"]:
        yield "missing", missing


def _least(found: dict[str, Any]) -> str:
    """That the model's own limit of input holds, where it is the lower one."""
    is_models = found["limit_tokens"] < found["window"] - found["reply_reserve"]
    return ", the most that the model takes of input" if is_models else ""


_WHENCE = {
    "budget": "budget.window",
    "backend": "the backend's own",
    "default": "assumed: neither budget.window nor the backend names one",
}
