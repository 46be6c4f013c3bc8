"""Greedy decoding one step ahead: the GPU has the next step before the host has read this one's tokens.

A step's input is on the GPU already, so launching it needs only a slot in each sequence. Where it turns
out that a reply had ended, its row of the step ahead is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence as Items

from contextkit.errors import PoolExhausted
from contextkit_backends.local.engine.batch import Row, reserve
from contextkit_backends.local.engine.graphs import Answers, DecodeGraphs
from contextkit_backends.local.engine.sampling import not_finite
from contextkit_backends.local.engine.task import Task


class Ahead:
    """The tasks that are being decoded by graphs, and the step that is under way."""

    def __init__(self, graphs: DecodeGraphs) -> None:
        self.graphs = graphs
        self.n_steps = 0
        self.n_tokens = 0
        """Tokens that these steps have read."""
        self._tasks: list[Task] = []
        self._under_way: Answers | None = None

    def step(self, tasks: Items[Task]) -> bool:
        """Take one token for each of `tasks`, or what was under way; False where this is no work for us.

        Raises PoolExhausted, and changes nothing, where a sequence cannot grow.
        """
        if self._under_way is not None and [*tasks] != self._tasks:
            self._take(self._commit())
            return True
        if not tasks or not all(map(self._can, tasks)) or not self.graphs.fits(len(tasks)):
            return False
        if self._under_way is None:
            self._tasks = [*tasks]
            _reserve(tasks)
            self.graphs.start([t.sequence for t in tasks], [t.ids[-1] for t in tasks])
            self._under_way = self._launch()
        answers = self._commit()
        self._under_way = self._go_ahead()
        self._take(answers)
        return True

    def _can(self, task: Task) -> bool:
        return task.plain and task.n_unread == 1 and self.graphs.holds(task.sequence)

    def _commit(self) -> Answers:
        """What the step under way reads is known by now, and in its page as far as later steps can tell."""
        assert self._under_way is not None
        for task in self._tasks:
            if not task.ended and task.sequence is not None:
                task.sequence.commit([task.ids[-1]])
        answers, self._under_way = self._under_way, None
        return answers

    def _go_ahead(self) -> Answers | None:
        """The next step, unless some task ends before it or has no room."""
        if any(task.n_new + 1 >= task.request.max_new_tokens for task in self._tasks):
            return None
        try:
            _reserve(self._tasks)
        except PoolExhausted:
            return None
        return self._launch()

    def _launch(self) -> Answers:
        self.graphs.launch([task.sequence for task in self._tasks])
        self.n_steps += 1
        self.n_tokens += len(self._tasks)
        return self.graphs.answers()

    def _take(self, answers: Answers) -> None:
        tokens = answers.wait()[: len(self._tasks)]
        for task, token in zip(self._tasks, tokens, strict=True):
            if task.ended or task.sequence is None:
                continue
            if token < 0:
                task.fail(not_finite(task.number, len(task.ids)))
            else:
                task.take(token)


def _reserve(tasks: Items[Task]) -> None:
    # A slot depends on the length alone; which token goes there is known when it is committed.
    reserve([Row(task.sequence, task.ids[-1:]) for task in tasks])
