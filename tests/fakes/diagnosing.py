"""Why the cache was missed, as both providers say it where a request names the answer before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .counting import count_json

LAYERS = {
    "/v1/messages": ("model", "tools", "system", "messages"),
    "/v1/responses": ("model", "tools", "input"),
}


class Diagnoses:
    """The requests behind the answers that were given, by the answer's id."""

    def __init__(self) -> None:
        self._asked: dict[str, dict[str, Any]] = {}

    def complete(self, path: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """The answer with its diagnosis, if one was asked for; remembered for the next request."""
        if path == "/v1/messages" and "diagnostics" in body:
            found = self._reason(path, body, body["diagnostics"]["previous_message_id"])
            said = found and {"type": found[0], "cache_missed_input_tokens": found[1]}
            answer["diagnostics"] = {"cache_miss_reason": said} if said else None
        named = (body.get("prompt_cache_options") or {}).get("comparison_response_id")
        if path == "/v1/responses" and named:
            answer["prompt_cache_diagnostics"] = _as_openai(self._reason(path, body, named))
        self._asked[answer["id"]] = body
        return answer

    def through(
        self, path: str, body: dict[str, Any], events: Iterator[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """A stream whose answer is completed where it stands whole, or begins."""
        for event in events:
            if event.get("type") == "message_start":
                self.complete(path, body, event["message"])
            elif event.get("type") in ("response.completed", "response.incomplete"):
                self.complete(path, body, event["response"])
            yield event

    def _reason(self, path: str, body: dict[str, Any], named: str | None) -> tuple[str, int] | None:
        if named is None:
            return None
        before = self._asked.get(named)
        if before is None:
            return "previous_message_not_found", 0
        for layer in LAYERS[path]:
            if layer in ("messages", "input"):
                missed = _missed(before[layer], body[layer])
                if missed:
                    return f"{layer}_changed", missed
            elif before.get(layer) != body.get(layer):
                return f"{layer}_changed", count_json([before.get(layer) or []])
        return None


def _as_openai(found: tuple[str, int] | None) -> dict[str, Any]:
    if found is None:
        return {"type": "cache_hit"}
    if found[0] == "previous_message_not_found":
        return {"type": "comparison_response_not_found"}
    return {"type": "cache_miss", "reason": found[0], "cache_missed_tokens": found[1]}


def _missed(before: Sequence[Any], after: Sequence[Any]) -> int:
    """Tokens of what was sent before and is not repeated; what marks a cache point does not count."""
    old, new = [_bare(item) for item in before], [_bare(item) for item in after]
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return sum(map(count_json, old[same:]))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _bare(v) for k, v in value.items() if k not in ("cache_control", "id", "status")}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value
