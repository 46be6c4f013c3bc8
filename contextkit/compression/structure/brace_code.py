"""Languages with braces (JavaScript, Java, C, Go, Rust, CSS, …): bodies leave, brackets stay balanced."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

from contextkit.compression.structure.eliding import NotThis, Parts, counted

# It begins with one set of letters, so that what is none of them is passed over quickly.
_TOKEN = re.compile(
    r"[\"'`/{}()\[\]\n](?:(?<=\")(?:[^\"\\\n]++|\\.)*+\"|(?<=')(?:[^'\\\n]++|\\.)*+'|(?<=`)(?:[^`\\]++|\\.)*+`"
    r"|(?<=/)(?:/[^\n]*+|\*.*?\*/)|(?:(?<=[=(,:;!&|?{\[\n]/)|(?<=[=(,:;!&|?{\[] /)|(?<=return /))"
    r"(?![*/ ])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/)?",
    re.DOTALL,
)
_CLOSES = {"}": "{", ")": "(", "]": "["}
_GOES_ON = re.compile(
    r"[ \t]*(?:[.?:+*&|=<>)\]},;-]|/(?![/*])|(?:else|catch|finally|while|instanceof|in|of"
    r"|extends|implements|where)\b)"
)
_OPEN_END = re.compile(
    r"(?:[=+*/%&|?:<>(.!~^\[-]|=>|\b(?:return|else|extends|throws|new|await))\s*(?://[^\n]*)?$"
)


@dataclass(frozen=True)
class Braces:
    """Statements are the parts; one with a braced body opens into it."""

    stub_is_part: bool = False
    _of: dict[str, _Brackets] = field(default_factory=dict[str, "_Brackets"])

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Raises `NotThis` where brackets do not match, or nothing is in braces."""
        if start == 0 and stop == len(text):
            self._of[""] = found = _Brackets(text)
            if not found.bodies:
                raise NotThis("nothing in braces")
            return self._parts(text, 0, stop, False)
        body = self._of[""].largest(start, stop)
        if body is None:
            return None
        opening, closing = body
        return self._parts(text, opening + 1, closing, _is_literal(text, opening))

    def _parts(self, text: str, head: int, tail: int, literal: bool) -> Parts | None:
        starts = self._of[""].statements(head, tail, literal)
        if not starts:
            return None
        # What stands behind the brace on its own line belongs to the head, the last indent to the tail.
        last = text.rfind("\n", head, tail) + 1
        tail = last if last > starts[-1] and not text[last:tail].strip() else tail
        starts = [at for at in starts if at < tail]
        return Parts(starts, [*starts[1:], tail], starts[0], tail, skeleton=True, what="lines")

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment."""
        gone = text[parts.starts[low] : parts.stops[high - 1]]
        code = next((line for line in gone.splitlines() if line.strip()), "")
        indent = code[: len(code) - len(code.lstrip())]
        n = counted(max(1, gone.count("\n")), parts.what)
        return f"{indent}/* … {n} left out{where.replace('*/', '')} */\n"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """Simple statements stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Raises `NotThis` where brackets do not match any more."""
        _Brackets(told)
        return told


def _is_literal(text: str, opening: int) -> bool:
    """Whether a brace opens a value (an object, a list) rather than a block."""
    before = text[max(0, opening - 80) : opening].rstrip()
    return not before.endswith("=>") and (before[-1:] in "=(,:[?" or text[opening] == "[")


class _Brackets:
    """The brackets of a text and its lines at each depth; raises `NotThis` where they do not match."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.bodies: list[tuple[int, int]] = []
        """Braces over several lines, by where they open."""
        self._lines: dict[int, list[int]] = {-1: [0]}
        """Lines that begin directly within a bracket, by where it opens."""
        self._scan(text)

    def _scan(self, text: str) -> None:
        stack: list[int] = []
        lines = self._lines
        for match in _TOKEN.finditer(text):
            char = match.group()
            if len(char) > 1 or char in "\"'`/":
                continue
            at = match.start()
            if char == "\n":
                lines.setdefault(stack[-1] if stack else -1, []).append(at + 1)
            elif char in "{([":
                stack.append(at)
            elif not stack or text[stack[-1]] != _CLOSES[char]:
                raise NotThis(f"brackets do not match at {at}")
            else:
                opening = stack.pop()
                if char != ")" and opening in lines:
                    self.bodies.append((opening, at))
        if stack:
            raise NotThis(f"a bracket is open at {stack[-1]}")
        self.bodies.sort()

    def largest(self, start: int, stop: int) -> tuple[int, int] | None:
        """The longest body inside `text[start:stop]`."""
        low, high = bisect_left(self.bodies, (start, 0)), bisect_left(self.bodies, (stop, 0))
        inside = [body for body in self.bodies[low:high] if body[1] < stop]
        return max(inside, key=lambda body: body[1] - body[0], default=None)

    def statements(self, head: int, tail: int, literal: bool) -> list[int]:
        """Where statements begin between brackets, at line beginnings; elements where `literal`."""
        opening = head - 1 if head else -1
        text, found = self._text, list[int]()
        open_end = bool(literal)
        previous = head
        for at in self._lines.get(opening, []):
            if at >= tail:
                break
            line_end = text.find("\n", at, tail)
            line = text[at : line_end if line_end >= 0 else tail]
            ended = text[previous:at].rstrip()
            previous = at
            if not line.strip():
                continue
            if found and (
                _GOES_ON.match(line)
                or (
                    not ended.endswith(",")
                    if literal
                    else ended.endswith(",") or _OPEN_END.search(ended[-80:])
                )
            ):
                continue
            found.append(at)
        return found if found or not open_end else []
