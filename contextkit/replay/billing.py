"""What a provider's prompt cache makes of the calls of one run: reads, writes, and the bill."""

from __future__ import annotations

from collections.abc import Sequence

from contextkit.cache_sim import Block, CacheSimulator, Layer, Point, Served
from contextkit.call import Call
from contextkit.messages import Message
from contextkit.replay.provider import Provider
from contextkit.tools import Tool


class Cashier:
    """Serves the calls of one conversation from a simulated cache of its own."""

    def __init__(self, provider: Provider, tools: tuple[Tool, ...], frame_tokens: int) -> None:
        self._counter = provider.counter
        self._cache = CacheSimulator(provider.rule)
        digests = tuple(tool.digest for tool in tools)
        self._frame = Block(digests, frame_tokens, "tools", len(tools))
        self._known: dict[bytes, Block] = {}

    def serve(self, call: Call, now: float, answer: Message | None) -> Served:
        """One call at `now`, and what the model answered; None: nothing that is kept."""
        points = [Point(point.after + 1, point.ttl) for point in call.cache_points]
        return self.bill(call.messages, points, now, answer)

    def bill(
        self,
        messages: Sequence[Message],
        points: Sequence[Point],
        now: float,
        answer: Message | None,
    ) -> Served:
        """`serve` for messages that no call was assembled for; the frame is block 0 before them."""
        known = self._known
        blocks = [self._frame]
        blocks += [known.get(message.digest) or self._block(message) for message in messages]
        said = None if answer is None else self._block(answer)
        return self._cache.serve(blocks, points, now, output=said)

    def _block(self, message: Message) -> Block:
        layer: Layer = "system" if message.role in ("system", "developer") else "messages"
        tokens = self._counter.tokens(self._counter.measure(message))
        block = Block(message.digest, tokens, layer, max(1, len(message.parts)))
        self._known[message.digest] = block
        return block
