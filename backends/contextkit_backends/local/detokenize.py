"""Token ids to text while they come: whole characters only, nothing behind a stop string."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

_UNFINISHED = "\ufffd"
_CONTEXT = 6  # tokens decoded again with each new one: some decoders space a token by those before


class Decodes(Protocol):
    """A tokenizer, as far as its way back to text goes."""

    def decode(self, ids: Iterable[int]) -> str: ...


class TextStream:
    """The text of one reply; what `push` and `finish` return adds up to `text`.

    A character of several tokens is held back until it is whole, and text that may be the beginning
    of a stop string until it is known not to be one.
    """

    def __init__(self, tokenizer: Decodes, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(word for word in stop if word)
        self._ids: list[int] = []
        self._read = 0
        self._held = ""
        self.text = ""
        self.stopped = False
        """True once a stop string was found; it and what follows are not part of the text."""

    def push(self, token: int) -> str:
        """Take the next token and return the text that is now certain."""
        self._ids.append(token)
        new = self._decode_new()
        if not new or new.endswith(_UNFINISHED):
            return ""
        self._read = len(self._ids)
        return self._release(new, final=False)

    def finish(self) -> str:
        """The rest of the text, now that no token follows."""
        new, self._read = self._decode_new(), len(self._ids)
        return self._release(new, final=True)

    def _decode_new(self) -> str:
        start = max(0, self._read - _CONTEXT)
        before = self._tokenizer.decode(self._ids[start : self._read])
        return self._tokenizer.decode(self._ids[start:])[len(before) :]

    def _release(self, new: str, *, final: bool) -> str:
        if self.stopped:
            return ""
        self._held += new
        found = [at for at in (self._held.find(word) for word in self._stop) if at >= 0]
        if found:
            self.stopped = True
            out, self._held = self._held[: min(found)], ""
        else:
            keep = 0 if final else self._undecided()
            out = self._held[: len(self._held) - keep]
            self._held = self._held[len(out) :]
        self.text += out
        return out

    def _undecided(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = max((len(word) for word in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(word.startswith(self._held[-length:]) for word in self._stop):
                return length
        return 0
