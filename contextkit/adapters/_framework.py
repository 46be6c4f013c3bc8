"""What the adapters of agent frameworks share: their messages in, the same objects out, then the record.

    assembled = bridge.begin(units_of(history, parse), tools)
    reply = model(assembled.show(make))
    bridge.finish(assembled, lambda: Reply(parse(reply), usage))

A framework sends its whole history each time; what of it the call keeps goes back as the framework's
own objects, so that nothing contextkit does not know can change. Only what a policy put in another's
place is made new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from contextkit import bridge
from contextkit.adapters._conversations import Begun, Conversations
from contextkit.adapters._said import Whole
from contextkit.errors import ConfigError, InvalidMessage
from contextkit.instructions import is_instruction
from contextkit.overflow import Overflow, find_overflow, overflow_of

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.call import CachePoint, Call
    from contextkit.manager import ContextManager
    from contextkit.messages import Message
    from contextkit.tools import Tool

Item = TypeVar("Item")
Mark: TypeAlias = Callable[[Item, "CachePoint"], Sequence[Item] | None]
"""What stands for an item that a cache point is put behind; None where it has no place for one."""


@dataclass(frozen=True, slots=True)
class Unit(Generic[Item]):
    """Framework objects that together say some messages; shown as they are, or not at all."""

    items: tuple[Item, ...]
    messages: tuple[Message, ...]


def units_of(
    items: Iterable[Item], parse: Callable[[Item], Sequence[Message]], name: str = "messages"
) -> list[Unit[Item]]:
    """Every object a unit of its own; raises `InvalidMessage` naming the place, as `messages.3.role`."""
    units: list[Unit[Item]] = []
    for index, item in enumerate(items):
        try:
            units.append(Unit((item,), tuple(parse(item))))
        except InvalidMessage as error:
            raise type(error)(f"{name}.{index}.{error}") from None
    return units


@dataclass(frozen=True, slots=True)
class Assembled(Generic[Item]):
    """A model call under way: what the framework said, and what is sent for it."""

    begun: Begun
    units: tuple[Unit[Item], ...]

    @property
    def call(self) -> Call:
        return self.begun.call

    def show(
        self, make: Callable[[Message], Sequence[Item]], mark: Mark[Item] | None = None
    ) -> list[Item]:
        """The call in the framework's objects: those it shows unchanged, others by `make`.

        `mark` puts the provider's cache points on them, where the framework has a form for that.
        """
        starts = self._starts()
        rows = list(self._rows())
        out: list[tuple[int, Sequence[Item]]] = []
        at = 0
        while at < len(rows):
            index, message = rows[at]
            whole = None if index is None else starts.get(index)
            size = len(whole.messages) if whole else 1
            if whole and [row[0] for row in rows[at : at + size]] == _counting(index, size):
                at += size
                out.append((at, whole.items))
            else:
                at += 1
                out.append((at, make(message)))
        if mark is not None:
            _put_points(out, self.call.cache_points, mark)
        return [item for _, items in out for item in items]

    def _starts(self) -> dict[int, Unit[Item]]:
        """The units by the place of their first message."""
        starts: dict[int, Unit[Item]] = {}
        n_messages = 0
        for unit in self.units:
            if unit.messages:
                starts[n_messages] = unit
            n_messages += len(unit.messages)
        return starts

    def _rows(self) -> Iterator[tuple[int | None, Message]]:
        """Every message of the call, with its place in what the framework said where it is from there."""
        draft = self.call.plan.draft
        for piece in draft.pieces:
            is_said = piece.is_log or is_instruction(piece)
            for offset, message in enumerate(draft.shown(piece)):
                yield (self._place(piece.start + offset) if is_said else None), message

    def _place(self, seq: int) -> int | None:
        """Where entry `seq` was said; None for what another process appended meanwhile."""
        new: int = seq - self.call.plan.n_entries
        if new >= 0:
            return self.begun.n_entries + new
        return seq if seq < self.begun.n_entries else None


def _put_points(
    out: list[tuple[int, Sequence[Item]]], points: Sequence[CachePoint], mark: Mark[Item]
) -> None:
    """Each point on the last item up to it that takes one; a little early is better than none."""
    taken: set[int] = set()
    for point in points:
        for index in range(len(out) - 1, -1, -1):
            end, items = out[index]
            if end > point.after or not items:
                continue
            marked = None if index in taken else mark(items[-1], point)
            if marked is not None:
                taken.add(index)
                out[index] = end, (*items[:-1], *marked)
            if marked is not None or index in taken:
                break


def _counting(start: int | None, size: int) -> list[int]:
    return [] if start is None else list(range(start, start + size))


class Bridge:
    """Finds the thread, assembles, records; one for every adapter object, safe to share.

    `thread` names the conversation; without it the messages do. Frameworks that know the name only
    at the call give it to `begin`.
    """

    def __init__(
        self, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
    ) -> None:
        self.manager = manager
        self.thread = thread
        self.tenant = tenant
        self._conversations = Conversations(manager, thread, tenant)

    def begin(
        self, units: Sequence[Unit[Item]], tools: Sequence[Tool] = (), *, thread: str | None = None
    ) -> Assembled[Item]:
        """The call for a full history. Raises `BudgetExceeded` and `InvalidMessage`; writes nothing."""
        messages = [message for unit in units for message in unit.messages]
        begun = self._conversations.begin_said(Whole(messages), tools, thread=thread)
        return Assembled(begun, tuple(units))

    def smaller(self, assembled: Assembled[Item], error: Exception) -> Assembled[Item]:
        """The call again, after the provider found it too long; any other error is raised again."""
        overflow = _overflow_in(error)
        if overflow is None:
            raise error
        return replace(assembled, begun=self._conversations.again(assembled.begun, overflow))

    def finish(self, assembled: Assembled[Item], read: Callable[[], Reply]) -> None:
        """Record what was asked and answered. The answer is the user's: failures are only logged."""
        self._conversations.finish(assembled.begun, read)

    async def abegin(
        self, units: Sequence[Unit[Item]], tools: Sequence[Tool] = (), *, thread: str | None = None
    ) -> Assembled[Item]:
        """`begin` in a worker thread."""
        return await bridge.call(self.begin, units, tools, thread=thread)

    async def asmaller(self, assembled: Assembled[Item], error: Exception) -> Assembled[Item]:
        """`smaller` in a worker thread."""
        return await bridge.call(self.smaller, assembled, error)

    async def afinish(self, assembled: Assembled[Item], read: Callable[[], Reply]) -> None:
        """`finish` in a worker thread."""
        await bridge.call(self.finish, assembled, read)


def missing(adapter: str, extra: str, error: ImportError) -> ConfigError:
    """What an adapter raises where its framework is not installed."""
    return ConfigError(
        f'adapters.{adapter}: {error.name} is not installed; pip install "contextkit[{extra}]"'
    )


def _overflow_in(error: BaseException | None) -> Overflow | None:
    """What an error, or the provider's error it was made from, says about a context overflow."""
    while error is not None:
        if isinstance(error, Exception) and (found := overflow_of(error)) is not None:
            return found
        if any("ContextOverflow" in cls.__name__ for cls in type(error).__mro__):
            return find_overflow(str(error)) or Overflow(None)
        error = error.__cause__
    return None
