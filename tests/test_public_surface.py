"""What users may build on, pinned: names, methods with their parameters, and what an import costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import contextkit

NAMES = {
    "Backend", "BackendError", "BackendUnavailable", "Budget", "BudgetExceeded", "CachePoint",
    "Call", "Capabilities", "Config", "ConfigError", "ContextKitError", "ContextManager",
    "ContextOverflow", "Decision", "Draft", "Expansion", "FilePart", "ImagePart",
    "InvalidMessage", "Ledger", "Message", "MessageTooLarge", "OpaquePart", "Policy",
    "PolicyError", "RateLimited", "ReasoningPart", "Reply", "ReplyChunk", "RequestRefused",
    "Stage", "StoreBusy", "StoreCorrupt", "StoreError", "StoreReadOnly", "StoreTooNew",
    "TextPart", "Thread", "Tool", "ToolCallPart", "ToolResultPart", "Turn", "UnknownHandle",
    "UnknownPlugin", "Usage", "ViewConflict", "load", "__version__", "EmbeddingFailed",
    "EngineError", "InvalidDocument", "NotFinite", "PoolExhausted", "UnsupportedModel",
    "UnknownThread", "VectorsMismatch",
}  # fmt: skip

METHODS = {
    "ContextManager.thread": "name tenant create",
    "ContextManager.forget": "name tenant forks",
    "ContextManager.threads": "tenant",
    "ContextManager.verify": "tenant",
    "ContextManager.reindex": "tenant advance",
    "ContextManager.close": "",
    "ContextManager.__enter__": "",
    "Thread.append": "messages",
    "Thread.assemble": "input tools system",
    "Thread.respond": "input tools system",
    "Thread.stream": "input tools system",
    "Thread.aassemble": "input tools system",
    "Thread.arespond": "input tools system",
    "Thread.astream": "input tools system",
    "Thread.record": "call reply only_next",
    "Thread.keep_warm": "expected_s",
    "Thread.warmed": "",
    "Thread.expand": "handle",
    "Thread.ingest": "source name",
    "Thread.documents": "",
    "Thread.fork": "at name",
    "Thread.history": "start stop",
    "Thread.turns": "",
    "Call.to_openai": "",
    "Call.to_responses": "",
    "Call.to_anthropic": "",
    "Call.to_text": "",
    "Call.to_dict": "",
    "Ledger.explain": "handle",
    "Ledger.find": "handle",
    "Ledger.table": "",
    "Ledger.to_dict": "",
    "Ledger.from_dict": "value",
    "Policy.apply": "draft turn",
    "Backend.complete": "call",
    "Backend.complete_many": "calls",
    "Backend.stream": "call",
}
DRAFT = {
    "keep": "start stop policy why section pinned sticky volatile",
    "drop": "start stop policy why sticky even_protected",
    "replace": "start stop messages policy why section detail sticky even_protected",
    "insert": "at messages section policy why sticky volatile detail ahead",
    "move": "start stop to policy why sticky",
}
FIELDS = {
    "Call": "messages tools input_tokens upper_tokens max_output_tokens cache_points fingerprint ledger",
    "Decision": "piece action policy why section tokens_before tokens_after start stop handle pinned",
    "Ledger": "thread turn window reply_reserve input_tokens upper_tokens frame_tokens exact counter "
    "decisions prefix forecast notes usage cost_usd",
    "Usage": "input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens",
    "Reply": "message usage finish_reason",
    "Turn": "query request task new_from window reply_reserve shares tools rule tenant thread backend",
}
HEAVY = (
    "torch", "transformers", "chromadb", "sqlalchemy", "openai", "anthropic", "typer", "rich", "numpy",
    "bs4", "pypdf", "wordllama", "filelock",
)  # fmt: skip


def parameters(function: object) -> str:
    assert callable(function)
    return " ".join(name for name in inspect.signature(function).parameters if name != "self")


def test_names() -> None:
    assert sorted(contextkit.__all__) == sorted(NAMES)  # each once
    for name in NAMES:
        assert getattr(contextkit, name) is not None
    assert set(dir(contextkit)) >= NAMES


def test_errors_are_one_tree() -> None:
    for name in NAMES:
        value = getattr(contextkit, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, contextkit.ContextKitError)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = contextkit.nonsense


@pytest.mark.parametrize("method", METHODS)
def test_methods(method: str) -> None:
    owner, name = method.split(".")
    assert parameters(getattr(getattr(contextkit, owner), name)) == METHODS[method]


@pytest.mark.parametrize("way", DRAFT)
def test_five_ways_to_change_a_draft(way: str) -> None:
    signature = inspect.signature(getattr(contextkit.Draft, way))
    assert parameters(getattr(contextkit.Draft, way)) == DRAFT[way]
    for name in ("policy", "why"):
        assert signature.parameters[name].default is inspect.Parameter.empty


@pytest.mark.parametrize("value", FIELDS)
def test_fields_of_values(value: str) -> None:
    cls = getattr(contextkit, value)
    known = getattr(cls, "_fields", None) or cls.__dataclass_fields__
    for name in FIELDS[value].split():
        assert name in known, f"{value} has no {name}"


def test_load_takes_parameters_by_keyword_like_the_manager() -> None:
    assert parameters(contextkit.load) == "source"
    assert parameters(contextkit.ContextManager).startswith(
        "backend budget history vectors embedder policies cache_rules"
    )


def imported_by(code: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after `code`."""
    script = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_alone_is_light() -> None:
    loaded = imported_by("import contextkit")
    assert loaded.isdisjoint((*HEAVY, "pydantic", "yaml", "tiktoken", "anyio"))


@pytest.mark.parametrize(
    "code",
    [
        "import contextkit; contextkit.load({}).thread('t').respond('hello')",
        "import contextkit; contextkit.load({'policies': ['tool_results', 'sliding_window', "
        "'pin', 'cacheable_prefix']}).thread('t').assemble('hello')",
        "import contextkit; contextkit.load({'backend': {'kind': 'openai', 'model': 'gpt-4.1'}})",
        "from contextkit import *",
    ],
)
def test_a_turn_in_memory_loads_nothing_heavy(code: str) -> None:
    assert imported_by(code).isdisjoint(HEAVY)
