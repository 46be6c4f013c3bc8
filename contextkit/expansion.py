"""What a handle stands for, brought back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from contextkit.messages import Message


class Expansion(Sequence[Message]):
    """The original messages behind a handle, in order; `str()` and `text` give their words."""

    def __init__(self, handle: str, messages: Sequence[Message]) -> None:
        self.handle = handle
        self._messages = tuple(messages)

    @property
    def text(self) -> str:
        """The readable text of all of them; tool calls show as `name(arguments)`."""
        lines: list[str] = []
        for message in self._messages:
            lines += [f"{call.name}({call.arguments})" for call in message.tool_calls]
            if message.text:
                lines.append(message.text)
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Expansion({self.handle!r}, {len(self._messages)} messages)"

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def __contains__(self, value: object) -> bool:
        """Whether a message, or a passage of text, is among what was brought back."""
        return value in self.text if isinstance(value, str) else value in self._messages

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        return self._messages[index]
