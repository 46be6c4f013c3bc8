"""One thread: append, assemble, respond, record, expand, fork. Values go in, sealed calls come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from contextkit.backend import Reply, ReplyChunk
from contextkit.call import Call
from contextkit.committing import commit
from contextkit.dialects import parse_messages, parse_tools
from contextkit.documents import Document
from contextkit.errors import (
    ContextKitError,
    ContextOverflow,
    InvalidMessage,
    MessageTooLarge,
    StoreError,
    UnknownThread,
)
from contextkit.expansion import Expansion
from contextkit.handles import expand
from contextkit.instructions import instructed, instructions_of, parse_instructions
from contextkit.ledger import Ledger
from contextkit.messages import Message
from contextkit.piece import entry_handle
from contextkit.pipeline import begin, run
from contextkit.reader import TurnLog
from contextkit.replies import reply_of
from contextkit.seal import Plan, seal
from contextkit.store import ThreadRecord
from contextkit.stores.refusals import check_place
from contextkit.thread_log import ThreadLog
from contextkit.view import View
from contextkit.warming import Warming, plan

if TYPE_CHECKING:
    from contextkit.manager import ContextManager
    from contextkit.recall.memory import Memory
    from contextkit.summaries.in_force import Summaries


T = TypeVar("T")


class Thread:
    """A conversation of one tenant. Safe to share between Python threads; processes may share it too.

    Made by `ContextManager.thread`.
    """

    def __init__(self, manager: ContextManager, record: ThreadRecord) -> None:
        self.manager = manager
        self.record_ = record
        self._lock = RLock()
        self._log = ThreadLog(manager.history, record, manager.counter)
        self.last_call: Call | None = None
        """The call that was recorded last through this object."""
        self.warm_at = float("-inf")
        """When its cache was read last without a turn, seconds since the epoch; see `keep_warm`."""

    @property
    def name(self) -> str:
        return self.record_.name

    @property
    def tenant(self) -> str:
        return self.record_.tenant

    def __repr__(self) -> str:
        return f"Thread({self.name!r}, tenant={self.tenant!r})"

    def __len__(self) -> int:
        """Entries in the log, those of other processes included."""
        with self._lock:
            self._refresh()
            return self._log.n_entries

    # -- the log -------------------------------------------------------------------------------

    def append(self, messages: Any) -> tuple[str, ...]:
        """Store one message or several, whole or not at all; returns their handles.

        Takes `Message` objects, dictionaries in OpenAI or Anthropic form, or a string for a user's
        message. Raises `InvalidMessage` naming the message; `StoreError` where it could not be kept.
        """
        parsed = self._parse(messages)
        measures = [self.manager.counter.measure(message) for message in parsed]
        if not parsed:
            return ()
        with self._lock:
            store = self._log.store
            entries, _ = self._log.write(
                parsed, measures, lambda entries: store.append(self.record_, entries)
            )
        return tuple(entry_handle(e.seq, e.seq + 1) for e in entries)

    def history(self, start: int = 0, stop: int | None = None) -> list[Message]:
        """The log's messages `start <= seq < stop`, exactly as they were said."""
        check_place(start, "history(start=…)")
        check_place(0 if stop is None else stop, "history(stop=…)")
        with self._lock:
            self._refresh()
            end = self._log.n_entries if stop is None else min(stop, self._log.n_entries)
            store, record = self.manager.history, self.record_
            return [entry.message for entry in store.entries(record, max(0, start), end)]

    def ingest(self, source: str | Path | bytes, *, name: str | None = None) -> Document:
        """Keep a document beside the log: text, Markdown, HTML or PDF, found from its content.

        `source` is a path, the text itself, or its bytes. A string of one line that names a file is read
        as a path: text from strangers is best given as bytes. The document is cut into chunks of about 200
        tokens, which can be searched and expanded by their handles (`d1.0`); the same content again gives
        the document that is there. Raises `InvalidDocument`.
        """
        from contextkit.documents.reading import read

        document, chunks = read(source, name=name)
        return self.manager.history.add_document(self.record_, document, chunks)

    def documents(self) -> list[Document]:
        """The documents that were ingested, in order; a fork has those that came before its point."""
        return self.manager.history.documents(self.record_)

    def expand(self, handle: str) -> Expansion:
        """The original messages, or the text of a document's chunk, behind a handle.

        A summary's handle leads past every level below it to what was said.

        Raises `UnknownHandle`.
        """
        with self._lock:
            self._refresh()
            return expand(self.manager.history, self.record_, self._log.n_entries, handle)

    def fork(self, at: int | None = None, name: str | None = None) -> Thread:
        """A new thread that shares entries `0 <= seq < at` (all of them without `at`)."""
        check_place(0 if at is None else at, "fork(at=…)")
        with self._lock:
            self._refresh()
            n_entries = self._log.n_entries
            stop = n_entries if at is None else at
            if not 0 <= stop <= n_entries:
                raise StoreError(
                    f"fork(at={at}): thread {self.name!r} has entries 0..{n_entries - 1}"
                )
            return self.manager.adopt(self.record_, name, stop)

    @cached_property
    def memory(self) -> Memory:
        """What was said in this thread and its documents, searchable; see `Memory.search`."""
        from contextkit.recall.memory import Memory

        manager = self.manager
        return Memory(
            manager.history,
            self.record_,
            manager.embedder,
            manager.vector_index,
            manager.background,
        )

    @cached_property
    def summaries(self) -> Summaries:
        """What stands for older parts of the log in calls with `cascade`."""
        from contextkit.summaries.in_force import Summaries

        manager = self.manager
        return Summaries(manager.history, self.record_, manager.counter, manager.background)

    def turns(self) -> list[Ledger]:
        """The ledgers of all recorded turns, oldest first."""
        return [turn.ledger for turn in self.manager.history.turns(self.record_)]

    # -- the turn ------------------------------------------------------------------------------

    def assemble(self, input: Any = None, *, tools: Sequence[Any] = (), system: Any = None) -> Call:
        """The next call: history, this input, these tools, under the budget. Sends and writes nothing.

        Without an input the log itself asks (in a tool loop, after the results were appended). `system`
        are the instructions from this call on; without it they stay as they are.
        Raises `BudgetExceeded` naming what does not fit, `InvalidMessage` for an input that is none.
        """
        return self._assemble(input, tools, system, None)

    def respond(self, input: Any = None, *, tools: Sequence[Any] = (), system: Any = None) -> Reply:
        """Assemble, send, append what was asked and answered, close the ledger.

        Where the provider counts more tokens than its window has, the call is made once more with
        the corrected count; a second refusal is raised as `ContextOverflow`.
        """
        call = self.assemble(input, tools=tools, system=system)
        backend = self.manager.backend
        try:
            reply = backend.complete(call)
        except ContextOverflow as error:
            call = self.corrected(call, error, input, tools=tools, system=system)
            reply = backend.complete(call)
        self.record(call, reply)
        return reply

    def stream(
        self, input: Any = None, *, tools: Sequence[Any] = (), system: Any = None
    ) -> Iterator[ReplyChunk]:
        """Like `respond`, handing on chunks as they come; recorded once the last one has come.

        A reader that stops early leaves the thread as it was.
        """
        call = self.assemble(input, tools=tools, system=system)
        try:
            chunks = self.manager.backend.stream(call)
            first = next(chunks, None)
        except ContextOverflow as error:
            call = self.corrected(call, error, input, tools=tools, system=system)
            chunks = self.manager.backend.stream(call)
            first = next(chunks, None)
        if first is None:
            raise ContextKitError("the backend's stream ended before its first chunk")
        yield from self._recorded(call, first, chunks)

    def corrected(
        self,
        call: Call,
        error: ContextOverflow,
        input: Any = None,
        *,
        tools: Sequence[Any] = (),
        system: Any = None,
    ) -> Call:
        """The call made again after a provider found it too long; for callers who send it themselves.

        Where the provider counted more than fits here, smaller by as much as it counted more than we
        did; else its window is narrower than is known here, and the call is made a fifth smaller. What
        it counted is learned.
        """
        counter, measure = self.manager.counter, call.plan.draft.measure
        limit, actual = call.ledger.limit_tokens, error.actual_tokens
        if actual:
            counter.observe(measure, actual)
        if actual and actual > limit:
            shrink = min(0.99, 0.99 * counter.upper(measure) / actual)
        else:
            limit, shrink = min(limit, call.upper_tokens), 0.8
        return self._assemble(input, tools, system, int(limit * shrink))

    def record(
        self, call: Call, reply: Reply | Message | Any, *, only_next: bool = False
    ) -> Ledger:
        """Append the call's input and the reply, commit its sticky edits, close its ledger.

        For callers who send the call themselves: `reply` may be a `Reply`, a message, a text, the whole
        response of a provider's SDK, or the list of all events of a stream. One transaction: all of it
        is stored or nothing. What others appended since `assemble` stays before it; with `only_next`
        nothing is stored then and `ViewConflict` is raised.
        """
        if not isinstance(cast("object", call), Call):
            raise ContextKitError(
                f"record(call, reply): {type(call).__name__} is no call; give what assemble returned, "
                "then the reply"
            )
        answer = reply_of(reply)
        if answer.message.role != "assistant":
            raise InvalidMessage(
                f"reply.role: {answer.message.role!r}; a reply is the assistant's, append the others"
            )
        plan: Plan | None = call.plan
        if plan is None or (plan.thread is not self and not plan.is_recorded):
            raise ContextKitError(
                f"this call was not assembled by thread {self.name!r}; record it there"
            )
        with self._lock:
            if plan.is_recorded:
                raise ContextKitError("this call was recorded already; assemble the next one")
            ledger: Ledger = commit(self.manager, self._log, call, plan, answer, only_next)
            plan.is_recorded, plan.thread, self.last_call = True, None, call
        if self.manager.observer is not None:
            self.manager.observer.recorded(call, ledger, answer)
        return ledger

    def keep_warm(self, expected_s: float | None = None) -> Warming | None:
        """How to keep the provider's cache while the thread pauses, or None where that does not pay.

        Ask once a pause begins. `expected_s`: how long it is going to be, where that is known (a tool
        that runs for ten minutes); else the thread's latest pauses are gone by. Send the `call` to the
        backend when it is due, and tell `warmed`; nothing of it is recorded.
        """
        with self._lock:
            self._refresh()
            sent = self._log.view.sent
            if self.last_call is None or sent is None:
                return None
            return plan(
                self.last_call,
                self.manager.rule,
                ttl=sent.ttl or None,
                pauses_s=sent.pace.gaps_s,
                expected_s=expected_s,
                dialect=self.manager.backend.capabilities.dialect,
            )

    def warmed(self) -> None:
        """The call of `keep_warm` was answered just now: what it read holds for another lifetime."""
        self.warm_at = self.manager.clock()

    async def aappend(self, messages: Any) -> tuple[str, ...]:
        """`append` in a worker thread."""
        return await _beside(self.append, messages)

    async def arecord(self, call: Call, reply: Reply | Message | Any) -> Ledger:
        """`record` in a worker thread."""
        return await _beside(self.record, call, reply)

    async def aexpand(self, handle: str) -> Expansion:
        """`expand` in a worker thread."""
        return await _beside(self.expand, handle)

    async def aassemble(
        self, input: Any = None, *, tools: Sequence[Any] = (), system: Any = None
    ) -> Call:
        """`assemble` in a worker thread."""
        return await _beside(self.assemble, input, tools=tools, system=system)

    async def arespond(
        self, input: Any = None, *, tools: Sequence[Any] = (), system: Any = None
    ) -> Reply:
        """`respond` in a worker thread."""
        return await _beside(self.respond, input, tools=tools, system=system)

    def astream(self, input: Any = None, *, tools: Sequence[Any] = (), system: Any = None) -> Any:
        """`stream` as an async iterator of chunks."""
        from contextkit import bridge

        return bridge.iterate(lambda: self.stream(input, tools=tools, system=system))

    # -- inner: the log ------------------------------------------------------------------------

    def _refresh(self) -> None:
        """See what other processes did; a thread that was forgotten is opened anew next time."""
        try:
            self._log.refresh()
        except UnknownThread:
            self.manager.discard(self)
            raise

    def _parse(self, messages: Any) -> list[Message]:
        parsed = parse_messages(messages)
        limit = self.manager.max_message_bytes
        for index, message in enumerate(parsed):
            if len(message.canonical) > limit:
                raise MessageTooLarge(
                    f"messages.{index}: {len(message.canonical):,} bytes, at most {limit:,} fit one "
                    "message; split it, store a reference to a file, or raise max_message_bytes"
                )
        return parsed

    # -- inner: the turn -----------------------------------------------------------------------

    def _assemble(
        self, input: Any, tools: Sequence[Any], system: Any, limit_tokens: int | None
    ) -> Call:
        observer = self.manager.observer
        if observer is None:
            return self._sealed(input, tools, system, limit_tokens)
        with observer.assembling(self.name, self.tenant) as tell:
            call = self._sealed(input, tools, system, limit_tokens)
            tell(call)
            return call

    def _sealed(
        self, input: Any, tools: Sequence[Any], system: Any, limit_tokens: int | None
    ) -> Call:
        manager = self.manager
        new = [] if input is None else self._parse(input)
        if new and new[-1].is_empty and new[-1].role == "user":
            at = len(new) - 1
            raise InvalidMessage(f"input.{at}: empty; say something or leave the input out")
        opening = [] if system is None else self._parse(parse_instructions(system))
        parsed_tools = tuple(parse_tools(tools))
        with self._lock:
            self._refresh()
            view, n_entries = self._log.view, self._log.n_entries
            if not n_entries and new and not instructions_of(new):
                new = [*opening, *new]
            measures = [manager.counter.measure(message) for message in new]
            pending = self._log.chained(new, measures)
            if not n_entries and not pending:
                raise InvalidMessage(
                    f"thread {self.name!r} is empty; give an input or append messages"
                )
            log = TurnLog(self._log.reader, pending, n_entries)
            start, turn = begin(self, log, view, parsed_tools, limit_tokens)
            if opening:
                start = instructed(start, opening)
            irregular = self._log.is_irregular() or any(entry.irregular for entry in pending)
            draft = run(manager.policies, start, turn, irregular)
            if manager.schedule is not None:
                draft = manager.schedule.settle(start, draft, turn, view.sent)
            call = seal(
                draft,
                turn,
                sent=view.sent,
                gap_s=max(0.0, manager.clock() - self.used_at(view)) if view.sent else None,
                plan=Plan(self, draft, view.version, n_entries),
            )
            self._log.reader.trim(len(call.messages))
            return call

    def used_at(self, view: View) -> float:
        """When what the view's call has left in the cache was used last, seconds since the epoch."""
        return max(view.sent.at, self.warm_at) if view.sent else self.warm_at

    def _recorded(
        self, call: Call, first: ReplyChunk, chunks: Iterator[ReplyChunk]
    ) -> Iterator[ReplyChunk]:
        chunk: ReplyChunk | None = first
        try:
            while chunk is not None:
                if chunk.reply is not None:
                    self.record(call, chunk.reply)
                yield chunk
                chunk = next(chunks, None)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()


async def _beside(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """In a worker thread; what that takes is imported with the first such call."""
    from contextkit import bridge

    return await bridge.call(function, *args, **kwargs)
