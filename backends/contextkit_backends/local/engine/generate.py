"""Prompts in, replies out: many at once, or one token by token."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from contextkit.errors import ConfigError, ContextKitError
from contextkit_backends.local.detokenize import TextStream
from contextkit_backends.local.engine.constrain import Grammars, JsonConstraint
from contextkit_backends.local.engine.runner import Runner
from contextkit_backends.local.engine.sampling import Sampling
from contextkit_backends.local.engine.task import FinishReason, Request, Task
from contextkit_backends.local.engine.text import PlainTokenizer

if TYPE_CHECKING:
    from contextkit_backends.local.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Generation:
    """One reply. `text` has neither end token nor stop string, and is empty without a tokenizer."""

    token_ids: tuple[int, ...]
    """Every token that was decoded, the end token and a stop string's tokens included."""
    text: str
    finish_reason: FinishReason
    """`stop` (end token, stop string, complete JSON), `length`, or `error`."""
    n_prompt: int
    n_cached: int
    """Prompt tokens that were not read again because another request had read them."""
    logprobs: tuple[float, ...] = ()
    """The model's log-probability of each token, where they were asked for."""
    error: ContextKitError | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one token of a streamed reply added; the last piece carries the whole `generation`."""

    text: str = ""
    token_id: int | None = None
    generation: Generation | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What all prompts of one `generate` share."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    eos: frozenset[int] | None = None
    """The tokens that end a reply; None: the checkpoint's."""
    salt: str = ""
    logprobs: bool = False
    keep: bool = False
    """Go on from the sequence of an earlier call where the prompt is that call's, longer or with a
    stretch cut out; and keep this one's for the next."""

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.top_k, self.min_p, self.seed)


Prompt: TypeAlias = Sequence[int] | str
"""Token ids, or text as it is, without a chat template."""


class Replies:
    """Turns prompts into requests to a runner, and what comes back into generations."""

    def __init__(self, engine: Engine, runner: Runner) -> None:
        self._engine, self._runner = engine, runner
        self._grammars: dict[frozenset[int], Grammars] = {}

    def generate(
        self, asked: Sequence[tuple[Prompt, Options]], *, keep_errors: bool = False
    ) -> list[Generation]:
        """A reply to every prompt, all decoded together, in the order of the prompts.

        A prompt that fails does not stop the others; its error is raised when they are done, or with
        `keep_errors` left in its generation.
        """
        writers: list[_Writer] = []
        try:
            for prompt, options in asked:
                writers.append(self._writer(prompt, options))
            tasks = [writer.task for writer in writers]
            self._runner.finish(tasks, [w.wants_no_more for w in writers])
        finally:
            for writer in writers:
                self._runner.cancel(writer.task)
        errors = [writer.task.error for writer in writers if writer.task.error is not None]
        if errors and not keep_errors:
            raise errors[0]
        return [writer.generation() for writer in writers]

    def stream(self, prompt: Prompt, options: Options) -> Generator[Piece]:
        """A reply token by token; to close the generator stops the model and frees the pages."""
        writer = self._writer(prompt, options)
        with closing(self._runner.tokens(writer.task)) as tokens:
            for token in tokens:
                yield Piece(writer.read(), token)
                if writer.stopped:
                    break
        rest = writer.finish()
        yield Piece(rest, None, writer.generation())

    def resume(self, sequence: Any, prompt: Prompt, options: Options) -> Generation:
        """A reply behind `sequence` and `prompt`; the sequence is closed with the reply."""
        writer = self._writer(prompt, options, sequence)
        try:
            self._runner.finish([writer.task], [writer.wants_no_more])
        finally:
            self._runner.cancel(writer.task)
        if writer.task.error is not None:
            raise writer.task.error
        return writer.generation()

    def _writer(self, prompt: Prompt, options: Options, sequence: Any = None) -> _Writer:
        tokenizer = self._engine.tokenizer
        if tokenizer is None:
            asked = {"stop": options.stop != (), "json_schema": options.json_schema is not None}
            for name, is_asked in asked.items():
                if is_asked:
                    raise ConfigError(f"{name}: needs a tokenizer; load the engine from a folder")
        eos = self._engine.eos if options.eos is None else options.eos
        request = Request(
            self._encode(prompt),
            options.max_new_tokens,
            options.sampling,
            eos,
            options.salt,
            self._constraint(options.json_schema, eos),
            options.logprobs,
            options.keep,
        )
        return _Writer(self._runner.submit(request, sequence), tokenizer, options.stop)

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        if not isinstance(prompt, str):
            return tuple(prompt)
        if self._engine.tokenizer is None:
            raise ConfigError("prompt: this engine has no tokenizer, give it token ids")
        return tuple(self._engine.tokenizer.encode(prompt))

    def _constraint(
        self, schema: Mapping[str, Any] | None, eos: frozenset[int]
    ) -> Callable[[], JsonConstraint] | None:
        if schema is None:
            return None
        if eos not in self._grammars:
            assert self._engine.tokenizer is not None
            self._grammars[eos] = Grammars(self._engine.tokenizer.source, eos)
        return partial(self._grammars[eos].constraint, schema)


class _Writer:
    """The text of one task, as far as its tokens have been read."""

    def __init__(self, task: Task, tokenizer: PlainTokenizer | None, stop: Sequence[str]) -> None:
        self.task = task
        self._stream = None if tokenizer is None else TextStream(tokenizer, stop)
        self._n_read = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string has been met."""
        return self._stream is not None and self._stream.stopped

    def read(self) -> str:
        """The text that the task's new tokens make certain, up to a stop string."""
        out = ""
        if self.stopped:
            return out
        for token in self.task.tokens[self._n_read :]:
            self._n_read += 1
            if self._stream is not None and token not in self.task.request.eos:
                out += self._stream.push(token)
            if self.stopped:
                break
        return out

    def wants_no_more(self) -> bool:
        """Read on; whether a stop string has been met."""
        self.read()
        return self.stopped

    def finish(self) -> str:
        """The rest, now that no token follows."""
        return self.read() + (self._stream.finish() if self._stream is not None else "")

    def generation(self) -> Generation:
        self.finish()
        task, n = self.task, self._n_read
        return Generation(
            tuple(task.tokens[:n]),
            "" if self._stream is None else self._stream.text,
            "stop" if self.stopped or task.finish_reason is None else task.finish_reason,
            len(task.request.prompt),
            task.n_cached,
            tuple(task.logprobs[:n]),
            task.error,
        )
