"""Judges of the laws that share no code with the package: they count, pair and compare by themselves.

Counting follows the OpenAI cookbook ("How to count tokens with tiktoken"): 3 tokens for a message, the
tokens of its fields, 3 for the reply's priming. What surrounds a tool call is documented nowhere, so
calls are judged between bounds, plain text to the token.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import tiktoken

import contextkit
from contextkit import Call, Decision, Message

from .stacks import Stack

Wire = Mapping[str, Any]

MESSAGE, REPLY = 3, 3
CALL_LEAST, CALL_MOST = 3, 16
RESULT_SLACK = 4
LONG = 32_768
"""Longer texts may be counted piecewise by the package: off by a few tokens, upwards or downwards."""


class Broken(AssertionError):
    """A law that does not hold."""


def need(holds: object, law: str, text: object = "") -> None:
    if not holds:
        raise Broken(f"{law}: {text}")


# -- counting ------------------------------------------------------------------------------------


@cache
def _encoding() -> tiktoken.Encoding:
    folder = Path(contextkit.__file__).parent / "data" / "tiktoken"
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(folder))
    return tiktoken.get_encoding("o200k_base")


@lru_cache(maxsize=100_000)
def n_tokens(text: str) -> int:
    return len(_encoding().encode(text, disallowed_special=()))


def is_plain(wire: Sequence[Wire]) -> bool:
    """Whether every message is text of a known cost."""
    return all(
        not (m.keys() - {"role", "content", "name"})
        and m["role"] != "tool"
        and _is_text(m["content"])
        for m in wire
    )


def _is_text(content: Any) -> bool:
    texts = [content] if isinstance(content, str) else [b.get("text") for b in content]
    return all(isinstance(t, str) and len(t) <= LONG for t in texts)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "text":
            yield block["text"]


def count_wire(wire: Sequence[Wire], per_call: int = CALL_LEAST) -> int:
    """Tokens of a Chat Completions request without tools; images count nothing."""
    total = REPLY
    for message in wire:
        total += MESSAGE + n_tokens(message["role"])
        total += sum(map(n_tokens, _texts(message.get("content"))))
        if message.get("name"):
            total += 1 + n_tokens(message["name"])
        for call in message.get("tool_calls", ()):
            body = call.get("function") or call["custom"]
            total += per_call + n_tokens(body["name"]) + n_tokens(body.get("arguments", ""))
    return total


def count_most(messages: Sequence[Message]) -> int:
    """The most that these log messages may be said to cost, images at a generous price."""
    return sum(_most(message) for message in messages)


def _most(message: Message) -> int:
    total = MESSAGE + 1 + sum(map(n_tokens, filter(None, (message.name,)))) + bool(message.name)
    for part in message.parts:
        match part:
            case contextkit.TextPart():
                total += n_tokens(part.text) + 2 * (len(part.text) // LONG)
            case contextkit.ToolCallPart():
                total += CALL_MOST + n_tokens(part.name) + n_tokens(part.arguments)
            case contextkit.ToolResultPart():
                total += RESULT_SLACK + MESSAGE + 1
                inner = (
                    [part.text]
                    if isinstance(part.content, str)
                    else [p.text for p in part.content if isinstance(p, contextkit.TextPart)]
                )
                total += sum(n_tokens(t) + 2 * (len(t) // LONG) for t in inner)
                total += 2000 * (
                    not isinstance(part.content, str) and len(inner) < len(part.content)
                )
            case contextkit.ReasoningPart():
                total += n_tokens(part.text)
            case _:
                total += 2000
    return total


def check_count(call: Call, limit: int) -> None:
    """Law 1: within the budget, exact for plain text, never below what the wire says."""
    need(
        call.input_tokens <= call.upper_tokens <= limit,
        "1 budget",
        f"{call.input_tokens} <= {call.upper_tokens} <= {limit}",
    )
    wire = call.to_openai()["messages"]
    if not call.ledger.exact:
        return
    least = count_wire(wire)
    if call.tools:
        need(call.upper_tokens >= least, "1 count", f"{call.upper_tokens} < {least}")
    elif is_plain(wire):
        need(call.input_tokens == least, "1 exact", f"says {call.input_tokens}, is {least}")
    else:
        slack = sum(2 * (len(t) // LONG) for m in wire for t in _texts(m.get("content")))
        need(least - slack <= call.upper_tokens, "1 count", f"{call.upper_tokens} < {least}")
        need(
            least - slack <= call.input_tokens + 5, "1 count", f"says {call.input_tokens} < {least}"
        )


# -- validity ------------------------------------------------------------------------------------


def check_wires(call: Call) -> None:
    """Law 2 for the three wire forms."""
    check_openai(call.to_openai())
    check_anthropic(call.to_anthropic())
    check_responses(call.to_responses())


def check_openai(request: Wire) -> None:
    law, wire = "2 openai", request["messages"]
    need(wire, law, "no messages")
    waiting: set[str] = set()
    seen: set[str] = set()
    for index, message in enumerate(wire):
        role = message["role"]
        if role == "tool":
            need(message["tool_call_id"] in waiting, law, f"{index}: stray result {message}"[:300])
            waiting.discard(message["tool_call_id"])
            need("content" in message, law, f"{index}: no content")
            continue
        need(not waiting, law, f"{index}: {waiting} not answered before a {role} message")
        need(role in ("system", "developer", "user", "assistant"), law, f"{index}: role {role}")
        content, calls = message.get("content"), message.get("tool_calls")
        if role == "assistant":
            need(content or calls or message.get("refusal"), law, f"{index}: says nothing")
        else:
            need(content, law, f"{index}: empty {role}")
        if isinstance(content, list):
            need(all(b.get("type") for b in content), law, f"{index}: {content}"[:200])
        need(all(t.strip() for t in _texts(content)), law, f"{index}: blank text")
        for call in calls or ():
            need(call["id"] not in seen, law, f"{index}: id {call['id']} used twice")
            need(isinstance(call["function"]["arguments"], str), law, f"{index}: arguments")
            seen.add(call["id"])
            waiting.add(call["id"])
    need(not waiting, law, f"{waiting} not answered at the end")


def check_anthropic(request: Wire) -> None:
    law, wire = "2 anthropic", request["messages"]
    need(wire and wire[0]["role"] == "user", law, "the first message is the user's")
    waiting: list[str] = []
    seen: set[str] = set()
    last = ""
    for index, message in enumerate(wire):
        role, blocks = message["role"], blocks_of(message["content"])
        need(role in ("user", "assistant") and role != last, law, f"{index}: {role} after {last}")
        need(blocks, law, f"{index}: empty")
        last = role
        kinds = [b["type"] for b in blocks]
        for block in blocks:
            need(block["type"] != "text" or block["text"].strip(), law, f"{index}: blank text")
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        need(role == "user" or not results, law, f"{index}: the assistant answers a call")
        need(sorted(results) == sorted(waiting), law, f"{index}: {results} answer {waiting}")
        need(
            kinds[: len(results)] == ["tool_result"] * len(results), law, f"{index}: results first"
        )
        waiting = [b["id"] for b in blocks if b["type"] == "tool_use"]
        need(role == "assistant" or not waiting, law, f"{index}: a user's tool_use")
        need(not seen & set(waiting) and len(set(waiting)) == len(waiting), law, "ids used twice")
        seen |= set(waiting)
        if role == "assistant":
            need(kinds[-1] not in ("thinking", "redacted_thinking"), law, f"{index}: thinking last")
    need(not waiting, law, f"{waiting} not answered at the end")
    need(json.dumps(request).count('"cache_control"') <= 4, law, "more than four cache points")
    need(all(b["text"].strip() for b in request.get("system", ())), law, "blank system")


def check_responses(request: Wire) -> None:
    law = "2 responses"
    waiting: set[str] = set()
    seen: set[str] = set()
    for index, item in enumerate(request["input"]):
        kind = item.get("type", "message")
        if kind.endswith("call_output"):
            need(item["call_id"] in waiting, law, f"{index}: stray output")
            waiting.discard(item["call_id"])
        elif kind in ("function_call", "custom_tool_call"):
            need(item["call_id"] not in seen, law, f"{index}: id used twice")
            seen.add(item["call_id"])
            waiting.add(item["call_id"])
    need(not waiting, law, f"{waiting} never answered")


def blocks_of(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def check_reasoning(call: Call, log: Sequence[Message]) -> None:
    """Law 2: signed reasoning is byte-exact, and stays with the tool call it led to."""
    signed = {
        (p.signature, p.text)
        for m in log for p in m.parts if isinstance(p, contextkit.ReasoningPart) and p.signature
    }  # fmt: skip
    wire = call.to_anthropic()["messages"]
    sent: set[tuple[str, str]] = set()
    for message in wire:
        for block in blocks_of(message["content"]):
            if block["type"] == "thinking":
                sent.add((block["signature"], block["thinking"]))
            elif block["type"] == "redacted_thinking":
                sent.add((block["data"], ""))
    need(sent <= signed, "2 reasoning", "a signed block was changed")
    shown = {canonical(m) for m in call.messages}
    for message in log:
        if message.tool_calls and canonical(message) in shown:
            own = {
                (p.signature, p.text)
                for p in message.parts if isinstance(p, contextkit.ReasoningPart) and p.signature
            }  # fmt: skip
            need(own <= sent, "2 reasoning", "a tool call lost the reasoning that led to it")


# -- what must be there --------------------------------------------------------------------------


def canonical(message: Message) -> str:
    return json.dumps(contextkit.messages.to_json(message), sort_keys=True)


def is_request(message: Message) -> bool:
    """Whether a user says something of their own, beside results and blank text."""
    blank = all(isinstance(p, contextkit.TextPart) and not p.text.strip() for p in message.parts)
    asks = any(not isinstance(p, contextkit.ToolResultPart) for p in message.parts)
    return message.role == "user" and asks and not blank


def newest_request(log: Sequence[Message]) -> int:
    return next((i for i in range(len(log) - 1, -1, -1) if is_request(log[i])), -1)


def said(message: Message) -> list[str]:
    """The texts of a message that a provider must be sent."""
    out: list[str] = []
    for part in message.parts:
        if isinstance(part, contextkit.TextPart) and part.text.strip():
            out.append(part.text)
        elif isinstance(part, contextkit.ToolResultPart):
            if isinstance(part.content, str):
                out.append(part.content)
            else:
                inner = [p for p in part.content if isinstance(p, contextkit.TextPart)]
                out += [p.text for p in inner if p.text.strip()]
    return out


def pinned(log: Sequence[Message], stack: Stack) -> set[int]:
    """What the stack's pins ask for, by the judge's own matching."""
    found = set(range(n_leading_system(log)))
    for row in stack.pins:
        for index, message in enumerate(log):
            if message.role in row.get("roles", ()):
                found.add(index)
            if any(text in "\n".join(said(message)) for text in row.get("contains", ())):
                found.add(index)
            if f"m{index}" in row.get("handles", ()):
                found.add(index)
    return found


def n_leading_system(log: Sequence[Message]) -> int:
    count = 0
    while count < len(log) and log[count].role in ("system", "developer"):
        count += 1
    return count


def check_present(call: Call, log: Sequence[Message], stack: Stack) -> None:
    """Law 3: the newest request and everything pinned, word for word, on the wire."""
    wire = call.to_openai()["messages"]
    texts = [t for m in wire for t in _texts(m.get("content"))]
    texts += [m["refusal"] for m in wire if m.get("refusal")]
    have, users = set(texts), {
        t for m in wire if m["role"] == "user" for t in _texts(m.get("content"))
    }  # fmt: skip
    request = newest_request(log)
    if request >= 0:
        for part in log[request].parts:
            if isinstance(part, contextkit.TextPart) and part.text.strip():
                need(part.text in users, "3 request", f"m{request} {part.text[:80]!r} is not there")
        n_images = sum(isinstance(p, contextkit.ImagePart) for p in log[request].parts)
        shown = sum(
            b.get("type") == "image_url" for m in wire for b in blocks_of(m.get("content") or [])
        )
        need(shown >= n_images, "3 request", "its images are not there")
    for index in sorted(pinned(log, stack)):
        late = bool(
            log[index].tool_results
        )  # a result that came late is shown as text, after a label
        for text in said(log[index]):
            there = text in have or (late and any(text in other for other in texts))
            need(there, "3 pinned", f"m{index} {text[:80]!r} is not there word for word")


# -- the ledger ----------------------------------------------------------------------------------


def check_ledger(call: Call, log: Sequence[Message]) -> None:
    """Law 4: every entry and every shown message has one decision, and the sums balance."""
    ledger = call.ledger
    spans = sorted((d.start, d.stop) for d in ledger.decisions if d.start < d.stop)
    need(
        spans and spans[0][0] == 0 and spans[-1][1] == len(log),
        "4 decisions",
        f"{spans} of {len(log)}",
    )
    for (_, stop), (start, _) in pairwise(spans):
        need(stop == start, "4 decisions", f"{stop} then {start}")
    for decision in ledger.decisions:
        need(decision.why and decision.policy and decision.action, "4 reasons", decision)
        need(decision.tokens_after == 0 or decision.action != "drop", "4 sums", decision)
        need(
            decision.tokens_before == decision.tokens_after or decision.action != "keep",
            "4 sums",
            decision,
        )
    total = ledger.frame_tokens + sum(d.tokens_after for d in ledger.decisions)
    need(
        call.input_tokens == ledger.input_tokens == total, "4 sums", f"{total}, {call.input_tokens}"
    )
    need(sum(ledger.sections.values()) == total, "4 sections", ledger.sections)
    check_shown(call, log)
    before = sum(d.tokens_before for d in ledger.decisions if d.start < d.stop)
    if not ledger.exact:
        return
    if all(_is_plain_message(m) for m in log):
        expected = sum(4 + n_tokens(m.text) for m in log if m.text.strip())
        need(before == expected, "4 before", f"says {before}, the log has {expected}")
    else:
        need(before <= count_most(log), "4 before", f"{before} > {count_most(log)}")


def _is_plain_message(message: Message) -> bool:
    return (
        len(message.parts) <= 1 and message.name is None
        and all(isinstance(p, contextkit.TextPart) and len(p.text) < LONG for p in message.parts)
    )  # fmt: skip


def check_shown(call: Call, log: Sequence[Message]) -> None:
    """The messages of the call are what the decisions say, in their order."""
    at, made = 0, 0
    messages = [canonical(m) for m in call.messages]
    for decision in call.ledger.decisions:
        if decision.action == "drop":
            continue
        if decision.action in ("replace", "insert"):
            made += 1
            continue
        expected = [canonical(m) for m in log[decision.start : decision.stop]]
        found = next(
            (i for i in range(at + made, len(messages) - len(expected) + 1)
             if messages[i : i + len(expected)] == expected), None)  # fmt: skip
        need(found is not None, "4 shown", f"{decision.piece} is kept but is not in its place")
        assert found is not None
        need(found == at or made, "4 shown", f"messages before {decision.piece} have no decision")
        at, made = found + len(expected), 0
    need(at + made <= len(messages), "4 shown", "a decision shows nothing")
    need(made or at == len(messages), "4 shown", "messages at the end have no decision")


# -- across calls --------------------------------------------------------------------------------


def kept_entries(call: Call) -> list[int]:
    """The log entries that a call shows as they were said."""
    kept = (d for d in call.ledger.decisions if d.action == "keep")
    return [seq for d in kept for seq in range(d.start, d.stop)]


def repeatable(call: Call) -> int:
    """How many messages stand before the first one that the ledger says is for that call only."""
    n_messages = 0
    for decision in call.ledger.decisions:
        if decision.volatile:
            break
        if decision.action == "keep":
            n_messages += decision.stop - decision.start
        elif decision.action != "drop":
            n_messages += 1
    return sum(not message.is_empty for message in call.messages[:n_messages])


def check_prefix(earlier: Call | None, later: Call) -> None:
    """Law 6: this call begins with the one before, or says that it moved, by whom and at what cost.

    What was announced as shown once may change and is no move.
    """
    prefix = later.ledger.prefix
    if earlier is None:
        need(not prefix.moved and not prefix.shared_tokens, "6 prefix", f"no call before: {prefix}")
        return
    was, now = [[canonical(m) for m in c.messages if not m.is_empty] for c in (earlier, later)]
    shared = 0
    while shared < min(len(was), len(now)) and was[shared] == now[shared]:
        shared += 1
    if prefix.moved:
        need(prefix.policy and prefix.why, "6 prefix", f"moved without a reason: {prefix}")
        need(prefix.rewritten_tokens > 0 or shared == len(now), "6 prefix", f"no cost: {prefix}")
        before, after = kept_entries(earlier), kept_entries(later)
        if earlier.tools == later.tools and before == after[: len(before)]:
            need(shared < len(was), "6 prefix", f"says it moved, it did not: {prefix}")
    else:
        least = repeatable(earlier)
        need(shared >= least, "6 prefix", f"moved at message {shared} of {least} in silence")
    need(prefix.shared_tokens <= later.input_tokens, "6 shared", prefix)
    if later.ledger.exact and earlier.tools == later.tools and not later.tools:
        part = [m for m in later.messages if not m.is_empty][:shared]
        most = REPLY + count_most(part) + 60 * bool(part)
        need(prefix.shared_tokens <= most, "6 shared", f"{prefix} claims more than {most}")
        if all(_is_plain_message(m) for m in later.messages):
            exact = REPLY + sum(4 + n_tokens(m.text) for m in part if m.text.strip())
            need(prefix.shared_tokens <= exact, "6 shared", f"{prefix}, is {exact}")
            by_entry = kept_entries(earlier)[:shared] == kept_entries(later)[:shared]
            # Equal words from another place of the log may go unnoticed; the same entries may not.
            need(prefix.shared_tokens == exact or not by_entry, "6 shared", f"{prefix}, is {exact}")
    if shared == len(was):
        first, then = _flat(earlier), _flat(later)
        need(then[: len(first) - 1] == first[:-1], "6 wire", "equal messages, other bytes")


def _flat(call: Call) -> list[str]:
    return [json.dumps(m, sort_keys=True) for m in call.to_openai()["messages"]]


# -- refusals ------------------------------------------------------------------------------------


def batch_start(log: Sequence[Message]) -> int:
    """The first entry of what stands at the end: a batch with its results, or one message."""
    start = len(log) - 1
    while start > 0 and log[start].tool_results:
        start -= 1
    if log[-1].tool_results and log[start].role != "assistant":
        return len(log) - 1
    while start > 0 and log[start].role == "assistant" and log[start - 1].role == "assistant":
        start -= 1
    return start


def batch_of(log: Sequence[Message], index: int) -> range:
    """The batch that holds an entry: calls with their results stay or leave together."""
    start = batch_start(log[: index + 1])
    stop = start + 1
    while stop < len(log) and batch_start(log[: stop + 1]) == start:
        stop += 1
    return range(start, max(stop, index + 1))


def least_upper(log: Sequence[Message], stack: Stack) -> int:
    """A generous count of what the call cannot do without: only above it may the core refuse."""
    full = log
    while log and log[-1].is_empty:  # the newest batch is the newest that says something
        log = log[:-1]
    if not log:
        return REPLY
    fixed = {at for index in pinned(full, stack) if index < len(log) for at in batch_of(log, index)}
    request = newest_request(log)
    start = len(log) if request == len(log) - 1 and not log[-1].tool_results else batch_start(log)
    held = set(range(start, len(log)))
    if request >= 0:
        held.add(request)
        if log[request].tool_results:
            held |= set(range(batch_start(log[: request + 1]), request + 1))
    if not stack.sheds:
        held = set(range(len(log)))
    total = REPLY + 8
    for index in sorted(held | fixed):
        cost = count_most([log[index]])
        preview = stack.preview_tokens
        if (
            preview is not None
            and log[index].tool_results
            and index not in fixed
            and index >= start
        ):
            n_results = len(log[index].tool_results)
            others = count_most([log[index]]) - sum(
                n_tokens(r.text) for r in log[index].tool_results
            )
            cost = min(cost, others + n_results * (2 * preview + 60))
        total += cost
        total += 40 * len(log[index].tool_calls)  # stubs of calls nobody answered
        total += 60 * len(log[index].tool_results)  # results that came late become text
    return total


def check_refusal(error: contextkit.BudgetExceeded, log: Sequence[Message], stack: Stack, limit: int,
                  exact: bool) -> None:  # fmt: skip
    """A refusal is right only where what must stay really does not fit, and it says what that is."""
    need(error.needed_tokens > error.limit_tokens, "1 refusal", error)
    need(error.pieces, "1 refusal", f"names nothing: {error}")
    need(any(handle in str(error) for handle, _, _ in error.pieces), "1 refusal", error)
    least = least_upper(log, stack)
    if not exact:  # the upper end of an estimate may be a little over a token a byte
        n_bytes = sum(len(text.encode()) for m in log for text in said(m))
        least = max(3 * least, least + n_bytes * 5 // 4)
    need(least > limit, "1 refusal", f"{least} tokens would have fitted {limit}: {error}")


def left_out(decisions: Sequence[Decision]) -> Iterator[Decision]:
    return (d for d in decisions if d.action in ("drop", "replace"))
