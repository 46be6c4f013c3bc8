"""Continuous batching: every step reads what each running request has next, all in one batch.

A request is admitted when pages are free for it, its prompt goes through in chunks beside the decoding
of the others, and it leaves as soon as it ends. Where pages run out, the youngest request waits and is
read again later; a request that does not even fit alone fails, and the others never notice.

Work is done only when somebody asks for a token: `tokens` makes steps, for all requests, until its own
next token is there. Several threads may ask at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from contextkit.errors import ContextKitError, EngineError, PoolExhausted
from contextkit_backends.local.engine.batch import Row, reserve
from contextkit_backends.local.engine.sampling import choose, log_probability, not_finite, unusable
from contextkit_backends.local.engine.task import Request, Task

if TYPE_CHECKING:
    from contextkit_backends.local.engine.ahead import Ahead
    from contextkit_backends.local.engine.engine import Engine
    from contextkit_backends.local.engine.graphs import DecodeGraphs

MAX_RUNNING = 64


class Runner:
    """The requests of one engine; its lock is the engine's."""

    def __init__(self, engine: Engine, *, max_running: int = MAX_RUNNING) -> None:
        self._engine, self.max_running = engine, max_running
        self._waiting: deque[Task] = deque()
        self._running: list[Task] = []
        self._n_tasks = 0
        self._is_full = False
        """Pages ran out: nobody is admitted until somebody leaves."""
        self._ahead: Ahead | None = None

    def submit(self, request: Request, sequence: Any = None) -> Task:
        """Queue a request, which then owns `sequence` where it goes on from one.

        ConfigError or ContextOverflow where the model cannot read its prompt.
        """
        with self._engine.lock:
            task = self._task(request, sequence)
            behind = 0 if task.repeatable else task.first
            self._engine.check_tokens(request.prompt, behind, f"request {task.number}")
            self._n_tasks += 1
            self._waiting.append(task)
            return task

    def _task(self, request: Request, sequence: Any) -> Task:
        kept = self._engine.kept
        if sequence is not None or kept is None or not request.keep:
            return Task(request, self._n_tasks, sequence)
        found = kept.take(request.salt, request.prompt)
        if found is None:
            task = Task(request, self._n_tasks)
        else:
            task = Task(request, self._n_tasks, found[0], n_held=found[1])
            self._engine.n_kept += found[1]
        task.keep = partial(kept.put, request.salt)
        return task

    @property
    def graphs(self) -> DecodeGraphs | None:
        """The captured decode steps, once there are some."""
        return None if self._ahead is None else self._ahead.graphs

    def tokens(self, task: Task) -> Generator[int]:
        """The task's tokens as they come. To close the iterator cancels the task and frees its pages."""
        n_given = 0
        try:
            while True:
                while n_given < task.n_new:
                    n_given += 1
                    yield task.ids[len(task.request.prompt) + n_given - 1]
                with self._engine.lock:
                    if n_given < task.n_new:
                        continue
                    if task.ended:
                        break
                    self.step()
        finally:
            self.cancel(task)
        if task.error is not None:
            raise task.error

    def finish(self, tasks: Sequence[Task], enough: Sequence[Callable[[], bool]]) -> None:
        """Make steps until all these tasks have ended; their errors are left in them.

        A task's `enough` is asked when it has a new token, and may end it.
        """
        n_seen = [0] * len(tasks)
        left = {n: task for n, task in enumerate(tasks) if not task.ended}
        while left:
            with self._engine.lock:
                if all(task.n_new == n_seen[n] and not task.ended for n, task in left.items()):
                    self.step()
                for n, task in list(left.items()):
                    is_new, n_seen[n] = task.n_new > n_seen[n], task.n_new
                    if task.ended or (is_new and enough[n]()):
                        self.cancel(task)
                        del left[n]

    def cancel(self, task: Task) -> None:
        """The task is not wanted any more: it leaves, and its pages are free."""
        with self._engine.lock:
            if task in self._running:
                self._running.remove(task)
                self._is_full = False
            elif task in self._waiting:
                self._waiting.remove(task)
            task.close()

    def step(self) -> None:
        """Read one batch: a token of every request that decodes, and the next chunk of prompts."""
        self._admit()
        try:
            if self._step_by_graph():
                return
            rows = self._rows()
            logits = self._read([row for _, row in rows])
        except PoolExhausted as error:
            self._make_room(error)
        except EngineError:
            self._one_by_one(self._rows())
        else:
            self._choose([task for task, _ in rows], logits)

    def _step_by_graph(self) -> bool:
        """One step of all requests by a captured graph, where all of them decode greedily."""
        if self._ahead is None:
            return False
        n_steps, n_tokens = self._ahead.n_steps, self._ahead.n_tokens
        done = self._ahead.step(self._running)
        self._count(self._ahead.n_steps - n_steps, self._ahead.n_tokens - n_tokens)
        for task in [task for task in self._running if task.ended]:
            self._leave(task)
        return done

    def _read(self, rows: Sequence[Row]) -> Any:
        """Logits of each row's last token, by a graph where all rows have one token and one is captured."""
        graphs = self._graphs(rows)
        if graphs is None:
            return self._engine.step(rows)
        sequences = [row.sequence for row in rows]
        reserve(rows)
        graphs.start(sequences, [row.token_ids[0] for row in rows])
        logits = graphs.launch(sequences)
        for row in rows:
            row.sequence.commit(row.token_ids)
        self._count(1, len(rows))
        return logits

    def _count(self, n_steps: int, n_tokens: int) -> None:
        self._engine.n_decode_steps += n_steps
        if self._engine.paged is not None:
            self._engine.paged.n_computed += n_tokens

    def _graphs(self, rows: Sequence[Row]) -> DecodeGraphs | None:
        paged = self._engine.paged
        if paged is None or paged.adapted.one_row or paged.model.device.type != "cuda":
            return None
        if any(len(row.token_ids) > 1 for row in rows):
            return None
        if self._ahead is None:
            from contextkit_backends.local.engine.ahead import Ahead
            from contextkit_backends.local.engine.graphs import DecodeGraphs

            self._ahead = Ahead(DecodeGraphs(paged, most_rows=self.max_running))
            self._engine.n_graphs = len(self._ahead.graphs)
        graphs = self._ahead.graphs
        can = graphs.fits(len(rows)) and all(graphs.holds(row.sequence) for row in rows)
        return graphs if can else None

    def _admit(self) -> None:
        """Begin waiting tasks, oldest first, as long as there are pages for them."""
        begun: list[Task] = []
        while self._waiting and len(self._running) < self.max_running:
            task = self._waiting[0]
            if self._running and (self._is_full or not self._fits(task)):
                break
            if any(self._shares_first_page(task, other) for other in begun):
                break  # its first pages are being computed: in the next step it finds them
            self._begin(self._waiting.popleft())
            begun.append(task)

    def _begin(self, task: Task) -> None:
        self._running.append(task)
        if task.sequence is not None:
            return
        executor: Any = self._engine.paged or self._engine.unpaged
        task.sequence = executor.open(task.request.salt)
        if self._engine.paged is not None:
            found = self._engine.paged.prefix.open(task.sequence, task.ids, task.request.salt)
            task.n_cached = task.n_cached or min(found, len(task.request.prompt))

    def _fits(self, task: Task) -> bool:
        """Whether the free pages hold what the task needs at once, a page for its reply included."""
        paged = self._engine.paged
        if paged is None:
            return True
        settings = self._engine.settings
        n_needed = len(task.ids) + settings.page_tokens
        if settings.context_tokens is not None:
            n_needed = min(n_needed, settings.context_tokens + settings.chunk_tokens)
        packs = settings.kv != "bf16"
        return paged.pages.has_room(-(-n_needed // settings.page_tokens), packed=packs)

    def _shares_first_page(self, task: Task, other: Task) -> bool:
        size = self._engine.settings.page_tokens
        first = task.ids[:size]
        both = len(task.ids) > size and len(other.ids) > size
        return (
            both
            and first == other.ids[:size]
            and task.request.salt == other.request.salt
            and self._engine.paged is not None
        )

    def _rows(self) -> list[tuple[Task, Row]]:
        """All that decode, and of the prompts as much as one chunk holds, oldest first."""
        rows: list[tuple[Task, Row]] = []
        budget = self._engine.settings.chunk_tokens
        for task in self._running:
            n = task.n_unread if task.n_unread == 1 else min(task.n_unread, budget)
            if not n:
                continue
            if task.n_unread > 1:
                budget -= n
            rows.append((task, Row(task.sequence, task.unread(n))))
        return rows

    def _choose(self, tasks: Sequence[Task], logits: Any) -> None:
        """The next token of every task whose tokens have all been read; logits fp32 [tasks, vocab]."""
        ready = [n for n, task in enumerate(tasks) if task.n_unread == 0]
        if not ready:
            return
        broken = unusable(logits[ready]).tolist()
        for n, is_broken in zip(ready, broken, strict=True):
            if is_broken:
                self._fail(tasks[n], not_finite(tasks[n].number, len(tasks[n].ids)))
        ready = [n for n, is_broken in zip(ready, broken, strict=True) if not is_broken]
        if not ready:
            return
        chosen = [tasks[n] for n in ready]
        rows = torch.stack(
            [
                task.constraint.mask(logits[n]) if task.constraint is not None else logits[n]
                for n, task in zip(ready, chosen, strict=True)
            ]
        )
        ids = choose(rows, [t.request.sampling for t in chosen], [t.draws for t in chosen])
        if any(task.request.logprobs for task in chosen):
            for task, value in zip(
                chosen, log_probability(logits[ready], ids).tolist(), strict=True
            ):
                task.logprobs.append(value)
        for task, token in zip(chosen, ids.tolist(), strict=True):
            task.take(token)
            if task.ended:
                self._leave(task)

    def _make_room(self, error: PoolExhausted) -> None:
        """The batch did not fit: the youngest task is read again later, or, where it is alone, fails.

        One that goes on from another's past cannot be read again and fails, too.
        """
        youngest = self._running[-1]
        if len(self._running) == 1 or not youngest.repeatable:
            self._fail(youngest, error)
            return
        self._is_full = True
        self._running.remove(youngest)
        youngest.restart()
        self._waiting.appendleft(youngest)

    def _one_by_one(self, rows: Sequence[tuple[Task, Row]]) -> None:
        """The batch failed as a whole: each row alone, so that only the guilty one fails."""
        for task, row in rows:
            try:
                logits = self._engine.step([row])
            except ContextKitError as error:
                self._fail(task, error)
            else:
                self._choose([task], logits)

    def _fail(self, task: Task, error: ContextKitError) -> None:
        task.fail(error)
        self._leave(task)

    def _leave(self, task: Task) -> None:
        self._running.remove(task)
        self._is_full = False
        task.close()
