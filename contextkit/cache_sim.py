"""A provider's prompt cache as a state machine: what each call of a run reads, writes and pays fresh.

Prefixes are paths of a tree whose edges are blocks (the digest of a message, or of a content block as
rendered), so two calls share exactly the blocks they have in common at their start: one look-up a
block. What an earlier call left there, and for how long, follows the dated rule of the model. It is
what providers publish, not what they promise: an entry may be evicted sooner, and calls in parallel
do not see each other's entries before the first token was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from contextkit.call import Call
from contextkit.errors import ConfigError
from contextkit.messages import Message
from contextkit.pricing import PER_MILLION, CacheRule, Ttl
from contextkit.usage import Usage

Layer = Literal["tools", "system", "messages"]
_LAYERS: tuple[Layer, ...] = ("tools", "system", "messages")


class Block(NamedTuple):
    """One step of a prefix: `key` says what stands there, `n` how many content blocks it holds."""

    key: Hashable
    tokens: int
    layer: Layer = "messages"
    n: int = 1


class Point(NamedTuple):
    """A cache point behind the first `after` blocks of a call; `ttl` by its name, None: the default."""

    after: int
    ttl: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What became of one call's input; `read + written + fresh` is all of it."""

    usage: Usage
    """As the provider would report it: writes only where they are billed as such."""
    read_tokens: int
    written_tokens: Mapping[str, int]
    """By the name of the TTL they were written with."""
    fresh_tokens: int
    billed_tokens: float
    """The input in tokens at the uncached price."""
    cost_usd: float | None
    """Of the input; None where the price is not known."""

    @property
    def relative_cost(self) -> float:
        """Cost of the input over the cost of the same input without a cache."""
        total = self.usage.input_tokens
        return self.billed_tokens / total if total else 1.0


@dataclass(slots=True, eq=False)
class _Node:
    """A prefix. `until` is when its entry lapses, `ttl_s` what a read renews it by."""

    children: dict[Hashable, _Node] = field(default_factory=dict[Hashable, "_Node"])
    until: float = float("-inf")
    ttl_s: float = 0.0

    def live(self, now: float) -> bool:
        return now <= self.until

    def keep(self, now: float, ttl: Ttl) -> None:
        """An entry of that TTL from `now` on; one that still holds is renewed for its own."""
        if not self.live(now):
            self.ttl_s = float("inf") if ttl.seconds is None else ttl.seconds
        self.renew(now)

    def renew(self, now: float) -> None:
        self.until = now + self.ttl_s


class CacheSimulator:
    """The prompt cache of one model and one account; `serve` is called in the order of the calls."""

    def __init__(self, rule: CacheRule) -> None:
        self.rule = rule
        self._blocks: Sequence[Block] = ()
        self._path: tuple[list[_Node], list[int], list[int]] = ([_Node()], [0], [0])
        self._now = float("-inf")

    def serve(
        self,
        blocks: Sequence[Block],
        points: Sequence[Point] = (),
        now: float = 0.0,
        *,
        output: Block | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Served:
        """Answer one call at `now` (seconds; a clock that runs backwards counts as no time).

        `blocks` in render order: tools, system, messages. `output` is what the model answered, for
        caches that keep it too. `settings` are request fields by the names in `rule.invalidates`:
        another value loses the layer and those behind it. Raises `ConfigError` for more points than
        the provider takes or a TTL it does not have.
        """
        rule, now = self.rule, max(now, self._now)
        self._now = now
        if len(points) > rule.max_cache_points and rule.mode == "explicit":
            raise ConfigError(
                f"{len(points)} cache points; {rule.provider} takes at most {rule.max_cache_points}"
            )
        path, totals, counts = self._walk(_seeded(blocks, rule, settings))
        total = totals[-1]
        if rule.mode == "none":
            return self._served(total, 0, {}, rule.ttls[0])
        marks = self._marks(points, totals)
        if rule.reads == "points":
            found = self._found_at_points(path, counts, marks, now)
        else:
            found = next((i for i in range(len(totals) - 1, 0, -1) if path[i].live(now)), 0)
        read = rule.cached(totals[found])
        if found:
            path[found].renew(now)
        self._leave(path, marks, found, now)
        if output is not None and rule.caches_output:
            child = path[-1].children.setdefault(output.key, _Node())
            child.keep(now, rule.ttls[0])
        return self._served(total, read, _written(marks, totals, read, rule), rule.ttls[0])

    # -- inner ---------------------------------------------------------------------------------

    def _walk(self, blocks: Sequence[Block]) -> tuple[list[_Node], list[int], list[int]]:
        """The nodes of a call, and tokens and content blocks up to each.

        As far as the call before went the same way its steps are taken over.
        """
        path, totals, counts = self._path
        same = 0
        for block, before in zip(blocks, self._blocks, strict=False):
            if block is not before and block != before:
                break
            same += 1
        path, totals, counts = path[: same + 1], totals[: same + 1], counts[: same + 1]
        node, tokens, n_blocks = path[-1], totals[-1], counts[-1]
        for block in blocks[same:]:
            child = node.children.get(block.key)
            if child is None:
                child = node.children[block.key] = _Node()
            node = child
            tokens += block.tokens
            n_blocks += block.n
            path.append(node)
            totals.append(tokens)
            counts.append(n_blocks)
        self._blocks, self._path = tuple(blocks), (path, totals, counts)
        return path, totals, counts

    def _marks(self, points: Sequence[Point], totals: Sequence[int]) -> list[tuple[int, Ttl]]:
        """Where this call asks for an entry, in order; too short a prefix is silently left out."""
        rule = self.rule
        asked = {p.after: rule.ttl(p.ttl) for p in points if 0 < p.after < len(totals)}
        if rule.mode == "implicit":
            asked.setdefault(len(totals) - 1, rule.ttls[0])
        return sorted(
            ((at, ttl) for at, ttl in asked.items() if rule.cached(totals[at])),
            key=lambda mark: mark[0],
        )

    def _found_at_points(
        self,
        path: Sequence[_Node],
        counts: Sequence[int],
        marks: Sequence[tuple[int, Ttl]],
        now: float,
    ) -> int:
        """The longest prefix with an entry, looked for backwards from each point."""
        limit = self.rule.look_back_blocks
        best = 0
        for at, _ in reversed(marks):
            index = at
            while index > best and (limit is None or counts[at] - counts[index] <= limit):
                if path[index].live(now):
                    best = index
                    break
                index -= 1
        return best

    def _leave(
        self, path: Sequence[_Node], marks: Sequence[tuple[int, Ttl]], found: int, now: float
    ) -> None:
        """The entries that this call leaves behind."""
        rule = self.rule
        for at, ttl in marks:
            path[at].keep(now, ttl)
        if rule.reads == "prefix" and marks:
            for node in path[1 : marks[-1][0] + 1]:
                node.keep(now, rule.ttls[0])
        elif rule.reads == "units":
            parting = next((i for i in range(len(path) - 2, found, -1) if _is_fork(path[i])), 0)
            if parting:
                path[parting].keep(now, rule.ttls[0])

    def _served(self, total: int, read: int, written: dict[str, int], default: Ttl) -> Served:
        rule = self.rule
        fresh = total - read - sum(written.values())
        billed = read * rule.read_multiplier + fresh
        billed += sum(n * rule.ttl(name).write for name, n in written.items())
        unit = rule.price.tier(total).input_usd / PER_MILLION if rule.price else None
        reported = rule.mode == "explicit" or default.write > 1
        write_tokens = sum(written.values()) if reported else 0
        return Served(
            Usage(total, 0, cache_read_tokens=read, cache_write_tokens=write_tokens),
            read,
            written,
            fresh,
            billed,
            None if unit is None else billed * unit,
        )


def _is_fork(node: _Node) -> bool:
    """Whether calls part here: providers that detect common prefixes keep what is before."""
    return len(node.children) > 1


def _written(
    marks: Sequence[tuple[int, Ttl]], totals: Sequence[int], read: int, rule: CacheRule
) -> dict[str, int]:
    """Tokens behind what was read, by TTL: each up to the last point that asks for it."""
    written: dict[str, int] = {}
    reached = read
    for at, ttl in marks:
        tokens = rule.cached(totals[at])
        if tokens > reached:
            written[ttl.name] = written.get(ttl.name, 0) + tokens - reached
            reached = tokens
    return written


def _seeded(
    blocks: Sequence[Block], rule: CacheRule, settings: Mapping[str, str] | None
) -> Sequence[Block]:
    """The blocks with the settings a layer depends on made part of the first key behind it."""
    if not settings:
        return blocks
    out = list(blocks)
    for depth, layer in enumerate(_LAYERS):
        named: tuple[str, ...] = getattr(rule.invalidates, layer)
        seed = tuple(sorted((k, v) for k, v in settings.items() if k in named))
        first = next((i for i, b in enumerate(out) if _LAYERS.index(b.layer) >= depth), None)
        if seed and first is not None:
            out[first] = out[first]._replace(key=(seed, out[first].key))
    return out


def call_blocks(
    call: Call, tokens: Callable[[Message], int], frame_tokens: int = 0
) -> tuple[list[Block], list[Point]]:
    """The blocks and points of a sealed call, one block a message; the tools are a block of their own.

    `tokens` counts a message; `frame_tokens` are those of the tools and the template.
    """
    tools = tuple(tool.digest for tool in call.tools)
    blocks = [Block(tools, frame_tokens, "tools", len(call.tools))]
    for message in call.messages:
        layer: Layer = "system" if message.role in ("system", "developer") else "messages"
        blocks.append(Block(message.digest, tokens(message), layer, max(1, len(message.parts))))
    return blocks, [Point(point.after + 1, point.ttl) for point in call.cache_points]
