"""A checkpoint's chat template, rendered the way transformers renders it, without importing torch.

Templates come from strangers: they run in jinja2's immutable sandbox and see JSON values only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from contextkit.errors import ConfigError
from contextkit_backends.local.load import read_json, require, table

WireMessage: TypeAlias = Mapping[str, Any]
WireTool: TypeAlias = Mapping[str, Any]

_REASONING_NAMES = ("reasoning_content", "thinking", "reasoning")


class TemplateRefused(Exception):
    """The template raised: it does not take these messages in this order."""


class ChatTemplate:
    """Messages and tools in, the text the model reads out.

    `source` is the jinja text; `special` gives it `bos_token` and its like. `tool_source`, where a
    checkpoint has one, is used for calls with tools.
    """

    def __init__(self, source: str, special: Mapping[str, str], tool_source: str = "") -> None:
        self.source = source
        self.tool_source = tool_source
        self.special = dict(special)
        environment = _environment()
        self._compiled = environment.from_string(source)
        self._with_tools = environment.from_string(tool_source) if tool_source else self._compiled

    @classmethod
    def read(cls, folder: Path) -> ChatTemplate:
        """The template of a checkpoint's folder; ConfigError where it has none."""
        config = read_json(folder / "tokenizer_config.json")
        special = _special_tokens(config, read_json(folder / "special_tokens_map.json"))
        default, with_tools = _sources(folder, config)
        if not default:
            raise ConfigError(
                f"model: {folder.name} has no chat template (chat_template in "
                "tokenizer_config.json, or chat_template.jinja); use the model's chat or instruct "
                "edition, or put a chat_template.jinja into its folder"
            )
        return cls(default, special, with_tools)

    def render(
        self,
        messages: Sequence[WireMessage],
        tools: Sequence[WireTool] = (),
        *,
        add_generation_prompt: bool = False,
    ) -> str:
        """The conversation as text; raises `TemplateRefused` where the template does."""
        compiled = self._with_tools if tools else self._compiled
        try:
            return str(
                compiled.render(
                    **self.special,
                    messages=[_present(message) for message in messages],
                    tools=list(tools) or None,
                    documents=None,
                    add_generation_prompt=add_generation_prompt,
                )
            )
        except Exception as error:  # a template may fail in any way
            raise TemplateRefused(f"{type(error).__name__}: {error}") from error


def _present(message: WireMessage) -> dict[str, Any]:
    """Without null fields, and with reasoning under every name that templates look for."""
    out = {key: value for key, value in message.items() if value is not None}
    for name in _REASONING_NAMES:
        if name in out:
            return {"thinking": out[name], **out, "reasoning_content": out[name]}
    return out


def _sources(folder: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    """(default template, template for calls with tools), empty where there is none."""
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        extra = folder / "additional_chat_templates" / "tool_use.jinja"
        with_tools = extra.read_text(encoding="utf-8") if extra.is_file() else ""
        return jinja.read_text(encoding="utf-8"), with_tools
    found: Any = config.get("chat_template")
    if found is None:
        found = read_json(folder / "chat_template.json").get("chat_template")
    if found is None or isinstance(found, str):
        return found or "", ""
    named: dict[str, str] = {entry["name"]: entry["template"] for entry in found}
    return named.get("default", ""), named.get("tool_use", "")


def _special_tokens(*tables: Mapping[str, Any]) -> dict[str, str]:
    out: dict[str, str] = {}
    for entries in tables:
        for key, value in entries.items():
            token = table(value).get("content", value)
            if key.endswith("_token") and isinstance(token, str):
                out.setdefault(key, token)
    return out


def _environment() -> Any:
    """The sandbox that transformers renders in, with the same filters and globals."""
    jinja2, sandbox = require("jinja2"), require("jinja2.sandbox")
    ext, utils = require("jinja2.ext"), require("jinja2.utils")
    if tuple(int(part) for part in jinja2.__version__.split(".")[:3]) < (3, 1, 6):
        raise ConfigError("backend local: jinja2 older than 3.1.6 has known sandbox escapes")

    class Generation(ext.Extension):  # type: ignore[name-defined,misc]
        """`{% generation %}` marks the model's own words for training; here it changes nothing."""

        tags: set[str] = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    plain_namespace: Any = utils.Namespace

    class Namespace(utils.Namespace):  # type: ignore[name-defined,misc]
        """jinja2's namespace without underscored names, the way into Python's own objects."""

        def __setitem__(self, name: str, value: Any) -> None:
            if name.startswith("_"):
                raise jinja2.exceptions.SecurityError(f"namespace attribute {name!r}")
            plain_namespace.__setitem__(self, name, value)

    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals.update(
        namespace=Namespace, raise_exception=_raise_exception, strftime_now=_strftime_now
    )
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise ValueError(message)


def _strftime_now(format: str) -> str:
    return datetime.now().strftime(format)
