"""The manager: a configuration brought to life, and the threads it opens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4
from weakref import WeakValueDictionary

from contextkit import pricing
from contextkit.backend import Backend
from contextkit.background import Background
from contextkit.budget import Budget, input_limit
from contextkit.calibration import Calibration
from contextkit.config import DEFAULT_POLICIES, Config, check_order, find_limits, find_notes, read
from contextkit.config_source import Source
from contextkit.embedding import Embedder
from contextkit.errors import ConfigError, StoreBusy, StoreError, UnknownThread
from contextkit.ledger import Ledger
from contextkit.observer import Observer
from contextkit.policy import Policy
from contextkit.scheduler import Schedule
from contextkit.store import HistoryStore, Problem, SeqTaken, ThreadRecord
from contextkit.stores.refusals import check_names
from contextkit.thread import Thread
from contextkit.tokens import Measure
from contextkit.tools import Tool
from contextkit.usage import Usage
from contextkit.vector_index import VectorIndex
from contextkit.vectors import VectorStore

if TYPE_CHECKING:
    from contextkit.recall.memory import Memory

DEFAULT_SCHEDULE = Schedule()
RECOUNTS = 5
"""Times a recount is tried anew where another process appended meanwhile."""


class ContextManager:
    """Opens threads whose calls fit the budget of one backend under one list of policies.

    Every argument may be left out and takes what the YAML field of its name takes. Use as a context
    manager, or call `close`, to give back the store's files and connections.
    """

    def __init__(
        self,
        backend: Backend | str | Mapping[str, Any] = "echo",
        *,
        budget: Budget | Mapping[str, Any] | None = None,
        history: HistoryStore | str | Mapping[str, Any] = "memory",
        vectors: VectorStore | str | Mapping[str, Any] | None = None,
        embedder: Embedder | str | Mapping[str, Any] | None = None,
        policies: Sequence[Policy | str | Mapping[str, Any]] = DEFAULT_POLICIES,
        cache_rules: str | None = None,
        schedule: Schedule | Mapping[str, Any] | None = DEFAULT_SCHEDULE,
        max_message_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        config = read(
            {
                "backend": backend,
                "budget": budget or {},
                "history": history,
                "vectors": vectors,
                "embedder": embedder,
                "policies": list(policies) if isinstance(policies, tuple) else policies,
                "cache_rules": cache_rules,
                "schedule": schedule,
                "max_message_bytes": max_message_bytes,
            }
        )
        self._set_up(config)

    @classmethod
    def from_config(cls, config: Config) -> ContextManager:
        """The manager that a validated configuration describes; `contextkit.load` reads and makes one."""
        if not isinstance(cast("object", config), Config):
            kind = type(config).__name__
            raise ConfigError(
                f"from_config: takes a Config as contextkit.config.read makes it, not {kind}; "
                "contextkit.load takes a path, YAML text or a dict"
            )
        manager = cls.__new__(cls)
        manager._set_up(config)
        return manager

    def _set_up(self, config: Config) -> None:
        check_order(config.policies)
        self.config = config
        self.clock: Callable[[], float] = time.time
        self.backend: Backend = config.backend
        self.history: HistoryStore = config.history
        self.vectors: VectorStore | None = config.vectors
        self.embedder: Embedder | None = config.embedder
        self.vector_index: VectorIndex | None = None
        if self.vectors is not None and self.embedder is not None:
            self.vector_index = VectorIndex(
                self.history, self.vectors, self.embedder, self._passages_of
            )
        self.policies: tuple[Policy, ...] = config.policies
        self.budget = config.budget
        self.max_message_bytes = config.max_message_bytes
        self.schedule = config.schedule
        self.counter = self.backend.counter
        capabilities = self.backend.capabilities
        self.window, self.reply_reserve = find_limits(config)
        self.max_input_tokens = capabilities.max_input_tokens
        self.limit_tokens = input_limit(self.window, self.reply_reserve, self.max_input_tokens)
        """What the input of a call may take."""
        self.notes = find_notes(config)
        """What every call of this manager has to say: an assumed window, an estimating counter."""
        self.rule: pricing.CacheRule | None = _rule(
            capabilities.provider, capabilities.model, config.cache_rules
        )
        self._stated_rule, self._calibration_key = (
            self.rule,
            f"cache/{capabilities.provider}/{capabilities.model}",
        )
        self._calibration = Calibration.load(self.history.load_state(self._calibration_key) or "")
        if self.rule is not None:
            self.rule = self._calibration.applied(self.rule)
        self._threads: WeakValueDictionary[tuple[str, str], Thread] = WeakValueDictionary()
        self._frames: dict[bytes, Measure] = {}
        self._rules: dict[str, pricing.CacheRule | None] = {}
        self._lock = RLock()
        self.observer: Observer | None = None
        """Told of every assembled and recorded call; `contextkit.telemetry` sets one."""
        self.background = Background()
        """What is built beside the conversations; `wait` for it to see it done."""
        if not self.counter.exact:
            learned = self.history.load_state(f"counter/{self.counter.name}")
            if learned:
                self.counter.restore(learned)

    def __repr__(self) -> str:
        stack = ", ".join(policy.kind for policy in self.policies)
        history = type(self.history).__name__
        return f"ContextManager({self.window:,} tokens, {history}, policies: {stack or 'none'})"

    def __enter__(self) -> ContextManager:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back files and connections; threads of this manager can't be used after."""
        self.background.close()
        self.history.close()
        if self.vectors is not None:
            self.vectors.close()
        for part in (self.backend, self.embedder):
            close = getattr(part, "close", None)
            if close is not None:
                close()

    def thread(self, name: str, *, tenant: str = "default", create: bool = True) -> Thread:
        """Open a thread, or create it. The same name gives the same object while one is in use.

        With `create=False` a thread that is not there raises `UnknownThread`.
        """
        check_names(tenant=tenant, thread=name)
        if name == "" and create:
            raise StoreError("the thread name is empty; give it some text, such as 'support/42'")
        with self._lock:
            found = self._threads.get((tenant, name))
            if found is None:
                found = self._adopt(self._record(name, tenant, create))
            return found

    def forget(self, name: str, *, tenant: str = "default", forks: bool = False) -> int:
        """Delete a thread for good: messages, ledgers, summaries, documents, vectors; returns its entries.

        What was derived for its tenant (embeddings, model-made text) goes with it and is made again where
        it is needed. Raises `UnknownThread`; `StoreError` where forks share its entries, unless `forks`
        says that they go too.
        """
        with self._lock:
            record = self._record(name, tenant, create=False)
            n_entries = self.history.head(record).n_entries
            for gone in self.history.forget(record, forks=forks):
                self._threads.pop((gone.tenant, gone.name), None)
                if self.vector_index is not None:
                    self.vector_index.forget(gone)
            return n_entries

    def discard(self, thread: Thread) -> None:
        """Open a thread anew when it is asked for next; for a thread whose store has it no more."""
        with self._lock:
            if self._threads.get((thread.tenant, thread.name)) is thread:
                del self._threads[thread.tenant, thread.name]

    def _record(self, name: str, tenant: str, create: bool) -> ThreadRecord:
        counter, creates = self.counter.name, create and tenant != ""
        record = self.history.open_thread(tenant, name, counter=counter, create=creates)
        if record is None and create:
            raise StoreError("the tenant name is empty; leave it out, or name whose thread it is")
        if record is None:
            raise UnknownThread(f"tenant {tenant!r} has no thread {name!r}")
        return record

    def threads(self, tenant: str | None = "default") -> list[ThreadRecord]:
        """The threads of a tenant (of all with None), by name."""
        _check_tenant(tenant)
        return self.history.list_threads(tenant)

    def adopt(self, parent: ThreadRecord, name: str | None, at: int) -> Thread:
        """Fork `parent` at entry `at` and open the new thread; for `Thread.fork`."""
        with self._lock:
            record = self.history.fork(parent, name or f"{parent.name}~{uuid4().hex[:8]}", at=at)
            return self._adopt(record)

    def _adopt(self, record: ThreadRecord) -> Thread:
        if record.counter != self.counter.name:
            record = _recounted(self.history, record, self.counter)
        thread = Thread(self, record)
        self._threads[record.tenant, record.name] = thread
        return thread

    def verify(self, tenant: str | None = None) -> list[Problem]:
        """Re-derive every digest, chain, total and view of the store; empty where all is well.

        A vector index is compared with the history by its ids and by a sample of its rows.
        """
        _check_tenant(tenant)
        problems = list(self.history.verify(tenant))
        if self.vector_index is not None:
            for each in sorted({record.tenant for record in self.history.list_threads(tenant)}):
                problems += self.vector_index.check(each)
        return problems

    def reindex(
        self, tenant: str | None = None, *, advance: Callable[[int], None] | None = None
    ) -> int:
        """Make the vector index again from the history, for one tenant or all; returns its rows.

        `advance` is told how many more entries and chunks are done. What was embedded before is taken
        from the memo. Raises `ConfigError` where there are no vectors or no embedder.
        """
        if self.vectors is None or self.vector_index is None:
            raise ConfigError(
                "vectors, embedder: an index needs both, such as vectors: {kind: chroma, path: …} and "
                "embedder: {kind: minilm}"
            )
        tenants = {record.tenant for record in self.history.list_threads(tenant)}
        if tenant is None:
            self.vectors.reset()
        return sum(self.vector_index.rebuild(each, advance) for each in sorted(tenants))

    def _passages_of(self, record: ThreadRecord) -> Memory:
        """What is indexed of a thread, for checking the index and making it again."""
        from contextkit.recall.memory import Memory

        return Memory(self.history, record, self.embedder)

    def frame(self, tools: tuple[Tool, ...]) -> Measure:
        """What the tools and the template cost; counted once for each list of tools."""
        key = b"".join(tool.digest for tool in tools)
        if key not in self._frames:
            if len(self._frames) > 64:
                self._frames.clear()
            self._frames[key] = self.counter.measure_frame(tools)
        return self._frames[key]

    def cost_of(self, usage: Usage | None, model: str = "") -> float | None:
        """The bill of a usage in USD, where the price of the model that answered is known."""
        rule = self.other_rule(model) or self.rule
        if usage is None or rule is None:
            return None
        bill = pricing.cost(rule, usage)
        return bill.total_usd if bill else None

    def other_rule(self, model: str) -> pricing.CacheRule | None:
        """The rule of a model of other prices than the one that calls are made for; None for this one."""
        if model not in self._rules:
            if len(self._rules) > 64:
                self._rules.clear()
            capabilities, overrides = self.backend.capabilities, self.config.cache_rules
            found = _rule(capabilities.provider, model, overrides) if model else None
            ours = self._stated_rule.price if self._stated_rule else None
            is_other = found is not None and None not in (found.price, ours) and found.price != ours
            self._rules[model] = found if is_other else None
        return self._rules[model]

    def calibrate(self, ledger: Ledger, gap_s: float | None) -> Ledger:
        """The closed ledger with what its usage says against the cache rules, which learn from it."""
        stated, usage = self._stated_rule, ledger.usage
        if stated is None or usage is None:
            return ledger
        with self._lock:
            known = self._calibration
            self._calibration = known.observe(stated, ledger, usage, gap_s)
            if self._calibration != known:
                self.history.save_state(self._calibration_key, self._calibration.dump())
                self.rule = self._calibration.applied(stated)
            found = tuple(self._calibration.contradictions(stated))
        return replace(ledger, notes=(*ledger.notes, *found)) if found else ledger

    def save_counter(self) -> None:
        """Keep what the counter has learned for later processes."""
        self.history.save_state(f"counter/{self.counter.name}", self.counter.state())


def load(source: Source = None) -> ContextManager:
    """The manager that a YAML file, YAML text or a dict describes; without one, the defaults.

    Raises `ConfigError`.
    """
    return ContextManager.from_config(read(source))


def _check_tenant(tenant: str | None) -> None:
    """Raises `StoreError`: nobody's threads would be all well."""
    if tenant is not None:
        check_names(tenant=tenant)


def _rule(provider: str, model: str, overrides: str | None) -> pricing.CacheRule | None:
    rows: Mapping[str, Any] | None = None
    if overrides:
        import yaml

        try:
            rows = yaml.safe_load(Path(overrides).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"cache_rules: {overrides} cannot be read: {error}") from None
    return pricing.find_rule(provider, model, rows) if provider else None


def _recounted(history: HistoryStore, record: ThreadRecord, counter: Any) -> ThreadRecord:
    """The thread with every entry counted anew: another model's tokenizer, another count."""
    from contextkit.recount import recounted

    for _ in range(RECOUNTS):
        with suppress(SeqTaken):
            return history.recount(record, counter.name, recounted(history, record, counter))
    raise StoreBusy(
        f"thread {record.name!r} grows faster than it can be counted anew; open it when it is quiet"
    )
