"""Writes the parts of the documentation that the code already says; `--check` tells which are stale.

    python docs/generate.py            rewrite what is between the markers
    python docs/generate.py --check    change nothing; exit 1 naming every stale file

A part stands between `<!-- generated: name -->` and `<!-- end generated -->`. The same sources give
the same bytes: 80 columns, no colour, nothing that depends on the machine.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from contextkit import plugins

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")))
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end generated -->)", re.DOTALL)
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
SHIPPED = ("contextkit", "contextkit_policies", "contextkit_backends")
"""Where a plug-in must come from to be in the documentation; others may be installed here."""


def main() -> int:
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__)
        return 2
    stale = [page for page in sorted(PAGES) if not _is_fresh(page, write=not sys.argv[1:])]
    for page in stale:
        print(f"{page}: " + ("is stale; run `make docs`" if sys.argv[1:] else "written"))
    return 1 if stale and sys.argv[1:] else 0


def _is_fresh(page: str, *, write: bool) -> bool:
    path = ROOT / page
    text = path.read_text("utf-8")
    fresh = PART.sub(lambda m: f"{m[1]}{_made(page, m[2])}\n{m[3]}", text)
    if write and fresh != text:
        path.write_text(fresh, "utf-8")
    return fresh == text


def _made(page: str, name: str) -> str:
    if name not in MAKERS:
        raise SystemExit(f"{page}: nothing makes {name!r}; there are {', '.join(MAKERS)}")
    return "\n" + MAKERS[name]().strip("\n") + "\n"


# -- policies and configuration --------------------------------------------------------------------


def policies() -> str:
    """A section for each policy: what it does and a table of its fields."""
    out: list[str] = []
    for kind, cls in _plugins("policies"):
        stage = cls.stage.name.lower()
        out += [f"### `{kind}`", f"Stage: {stage}. {_words(cls)}", _fields(cls)]
    return "\n\n".join(out)


def policy_list() -> str:
    """One line a policy."""
    rows = [
        (f"[`{kind}`](policies.md#{kind})", cls.stage.name.lower(), _first(cls))
        for kind, cls in _plugins("policies")
    ]
    return _table(("policy", "stage", "what it does"), rows)


def configuration() -> str:
    """The top level, the budget, the schedule, then every backend, store and embedder."""
    from contextkit.budget import Budget
    from contextkit.config import Config
    from contextkit.scheduler import Schedule

    out = ["### Top level", _fields(Config)]
    for title, section in (("budget", Budget), ("schedule", Schedule)):
        out += [f"### `{title}`", _words(section), _fields(section)]
    groups = (
        ("backends", "backend"),
        ("stores", "history"),
        ("vectors", "vectors"),
        ("embedders", "embedder"),
    )
    for group, title in groups:
        for kind, cls in _plugins(group):
            out += [f"### `{title}: {{kind: {kind}}}`", _words(cls)]
            out += [_fields(cls)] if cls.model_fields else []
    return "\n\n".join(out)


def _plugins(group: Any) -> Iterator[tuple[str, type[Any]]]:
    for kind in plugins.known(group):
        cls = plugins.find(group, kind)
        if cls.__module__.split(".")[0] in SHIPPED:
            yield kind, cls


def _fields(cls: type[Any]) -> str:
    """A table of a pydantic model's fields."""
    schema = cls.model_json_schema()
    definitions = schema.get("$defs", {})
    said = _attribute_docstrings(cls)
    rows: list[tuple[str, str, str, str]] = []
    for name, field in cls.model_fields.items():
        shape: Mapping[str, Any] = schema["properties"].get(name, {})
        plug_in = name in ("backend", "history", "vectors", "embedder", "policies")
        kind = "a plug-in" + (", or a list of them" if name == "policies" else "")
        rows.append(
            (
                f"`{name}`",
                kind if plug_in else _type(shape, definitions),
                _default(field),
                field.description or said.get(name, ""),
            )
        )
    return _table(("field", "type", "default", "what it says"), rows)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in ((), {}, ""):
        return "empty"
    if isinstance(value, Mapping) and "kind" in value:
        return f"`{{kind: {value['kind']}}}`"
    if isinstance(value, BaseModel):
        return "its defaults"
    return f"`{value}`"


def _type(shape: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in shape:
        shape = definitions[shape["$ref"].rsplit("/", 1)[-1]]
        if (section := str(shape.get("title")).lower()) in ("budget", "schedule"):
            return f"[{section}](#{section})"
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    if "anyOf" in shape:
        kinds = [_type(one, definitions) for one in shape["anyOf"]]
        return " or ".join(kind for kind in kinds if kind != "null")
    kind = shape.get("type", "any")
    if kind == "array":
        return f"list of {_type(shape.get('items', {}), definitions)}"
    if kind == "object":
        inner = shape.get("additionalProperties")
        return f"name: {_type(inner, definitions)}" if isinstance(inner, dict) else "mapping"
    limits = [f"{sign} {shape[word]:g}" for word, sign in LIMITS.items() if word in shape]
    return f"{kind} {', '.join(limits)}".rstrip()


def _attribute_docstrings(cls: type[Any]) -> dict[str, str]:
    """Field name to the text under it, own fields over inherited ones."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.split(".")[0] not in SHIPPED:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found


# -- the rest ----------------------------------------------------------------------------------------


def cli() -> str:
    """The help of every command, or a line that says that there is none yet."""
    if find_spec("contextkit.cli") is None:
        return "_The command line is not part of this version yet._"
    from typer.main import get_command

    app = import_module("contextkit.cli.commands").app
    command = get_command(app)
    pages: list[tuple[str, ...]] = [("contextkit",)]
    pages += [("contextkit", name) for name in sorted(getattr(command, "commands", {}))]
    parts = [f"## `{' '.join(page)}`\n\n```text\n{_help(app, page[1:])}\n```" for page in pages]
    return "\n\n".join(parts)


def _help(app: Any, words: tuple[str, ...]) -> str:
    """What `contextkit … --help` prints on a plain terminal of 80 columns."""
    from typer.testing import CliRunner

    plain = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner().invoke(app, [*words, "--help"], env=plain, prog_name="contextkit")
    if result.exit_code:
        raise SystemExit(f"contextkit {' '.join(words)} --help failed:\n{result.output}")
    return "\n".join(line.rstrip() for line in result.output.strip("\n").split("\n"))


def providers() -> str:
    """The shipped cache rules, one table for each provider."""
    from contextkit.cache_rules import all_rules

    out: list[str] = []
    for provider, rules in groupby(all_rules(), key=lambda rule: rule.provider):
        rows = [
            (
                f"`{rule.pattern}`",
                rule.mode,
                f"{rule.minimum_tokens:,}" if rule.mode != "none" else "",
                str(rule.max_cache_points or "") if rule.mode == "explicit" else "",
                ", ".join(f"{ttl.name} ×{ttl.write:g}" for ttl in rule.ttls)
                if rule.mode != "none"
                else "",
                f"×{rule.read_multiplier:g}" if rule.mode != "none" else "",
                f"{rule.price.input_usd:g} / {rule.price.output_usd:g}" if rule.price else "",
                rule.as_of.isoformat(),
            )
            for rule in rules
        ]
        head = (
            "model",
            "mode",
            "minimum",
            "points",
            "TTL and write",
            "read",
            "USD in / out",
            "as of",
        )
        out += [f"### {provider}", _table(head, rows)]
    return "\n\n".join(out)


def errors() -> str:
    """The tree that `contextkit.errors` draws."""
    doc = inspect.getdoc(import_module("contextkit.errors")) or ""
    return "```text\n" + doc[doc.index("ContextKitError\n") :] + "\n```"


def reference() -> str:
    """The public names of `contextkit`: signatures and docstrings, grouped by module."""
    import contextkit

    named = [(name, getattr(contextkit, name)) for name in contextkit.__all__]
    known = [(name, value) for name, value in named if hasattr(value, "__module__")]
    known.sort(key=lambda pair: (pair[1].__module__, pair[0]))
    out: list[str] = []
    for module, values in groupby(known, key=lambda pair: pair[1].__module__):
        out += [f"## `{module}`", _module_line(ROOT / Path(*module.split(".")).with_suffix(".py"))]
        out += [_entry(name, value) for name, value in values]
    return "\n\n".join(out)


class _Bare(str):
    """An annotation as it was written: `inspect` shows strings by their `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _entry(name: str, value: Any) -> str:
    """One public name: a class with its fields, methods and properties, or a function."""
    if not inspect.isclass(value):
        return f"### `{name}`\n\n`{name}{_signature(value)}`\n\n{_prose(value)}"
    out = [f"### `{name}`", _prose(value)]
    if is_dataclass(value):
        said = _attribute_docstrings(value)
        shown = [field for field in fields(value) if not field.name.startswith("_")]
        out += [_item(f"{field.name}: {field.type}", said.get(field.name, "")) for field in shown]
    for member, held in _members(value).items():
        inner = held.__func__ if isinstance(held, classmethod | staticmethod) else held
        if member.startswith("_") or not inspect.getdoc(inner):
            continue
        if inspect.isfunction(inner):
            out.append(_item(f"{member}{_signature(inner)}", _prose(inner)))
        elif isinstance(inner, property | cached_property):
            out.append(_item(member, _prose(inner)))
    return "\n\n".join(part for part in out if part)


def _members(cls: type[Any]) -> dict[str, Any]:
    """What a class has by name, its shipped bases' first."""
    bases = [base for base in reversed(cls.__mro__) if base.__module__.split(".")[0] in SHIPPED]
    return {name: held for base in bases for name, held in vars(base).items()}


def _item(what: str, said: str) -> str:
    """A list item; what is said in several paragraphs stays inside it."""
    return f"- `{what}`" + (": " + said.replace("\n", "\n    ") if said else "")


def _signature(function: Any) -> str:
    """Parameters and result as they are written, without `self`."""
    given = inspect.signature(function)
    kept = [
        parameter.replace(annotation=_annotation(parameter.annotation))
        for name, parameter in given.parameters.items()
        if name not in ("self", "cls")
    ]
    returned = _annotation(given.return_annotation)
    return str(given.replace(parameters=kept, return_annotation=returned))


def _annotation(written: Any) -> Any:
    return _Bare(written) if isinstance(written, str) else written


def _prose(value: Any) -> str:
    """A docstring as Markdown: its paragraphs on one line each, indented code fenced."""
    out: list[str] = []
    for block in (inspect.getdoc(value) or "").split("\n\n"):
        if block.startswith("    "):
            out.append(f"```text\n{textwrap.dedent(block)}\n```")
        else:
            out.append(" ".join(block.split()))
    return "\n\n".join(out)


def modules() -> str:
    """One line a module: the first sentence of its docstring."""
    out: list[str] = []
    for package, folder in (
        ("contextkit", "contextkit"),
        ("contextkit_policies", "policies/contextkit_policies"),
        ("contextkit_backends", "backends/contextkit_backends"),
    ):
        rows = [
            (f"`{path.relative_to(ROOT / folder)}`", said)
            for path in sorted((ROOT / folder).rglob("*.py"))
            if "models" not in path.parts and (said := _module_line(path))
        ]
        out += [f"`{package}`:", _table(("module", "what it is for"), rows)]
    return "\n\n".join(out)


def _module_line(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return " ".join(doc.split("\n\n")[0].split())


def law_tests() -> str:
    """What stands in tests/laws, by the first sentence of each file."""
    files = sorted((ROOT / "tests" / "laws").glob("*.py"))
    rows = [
        (f"[{file.name}](../tests/laws/{file.name})", said)
        for file in files
        if (said := _module_line(file))
    ]
    return _table(("file", "what it does"), rows)


def ledger() -> str:
    """What `examples/agent_loop.py` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(str(ROOT / "examples" / "agent_loop.py"), run_name="__main__")
    return f"```text\n{out.getvalue().rstrip()}\n```"


def _words(cls: type[Any]) -> str:
    return " ".join((inspect.getdoc(cls) or "").split())


def _first(cls: type[Any]) -> str:
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


MAKERS: dict[str, Callable[[], str]] = {
    maker.__name__: maker
    for maker in (
        policies,
        policy_list,
        configuration,
        cli,
        providers,
        errors,
        reference,
        modules,
        law_tests,
        ledger,
    )
}

if __name__ == "__main__":
    sys.exit(main())
