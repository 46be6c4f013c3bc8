"""What an SDK or its transport raised, told as one of contextkit's errors.

Both SDKs come from one generator, so one reading serves: `status_code`, `body`, `response.headers`.
The message always says what failed, which model where, and what would work.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from typing import Any, cast

from contextkit.errors import (
    BackendError,
    BackendUnavailable,
    ContextOverflow,
    RateLimited,
    RequestRefused,
)
from contextkit.overflow import find_overflow

_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "h11", "ssl", "anyio")
_STATUS_OF_TYPE = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
}
"""Status of errors that come inside a stream, whose own HTTP status was 200."""


class AnsweredWithError(Exception):
    """An answer of status 200 that is an error all the same; `body` is the error object in it."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(str(body.get("message") or "the response failed"))
        self.body = {"type": "server_error", **body}


def cut_stream(place: str) -> BackendUnavailable:
    """The error for a stream that ended before the provider said that the reply was whole."""
    return BackendUnavailable(
        f"{place}: the stream was cut before the reply ended. Nothing was stored; the same request "
        f"may be sent again."
    )


def describe(
    error: Exception, sdk: str, place: str, key_variable: str, secrets: tuple[str, ...]
) -> BackendError | None:
    """The error to raise for `error`, or None where it is not the provider's (a bug should show)."""
    origin = type(error).__module__.partition(".")[0]
    known = (OSError, json.JSONDecodeError, AnsweredWithError)
    if origin not in (sdk, *_TRANSPORTS) and not (isinstance(error, known) or _no_key(error)):
        return None
    said, code, kind = _words(error)
    for secret in secrets:
        said = said.replace(secret, "***")
    status = _status(error, code, kind)
    if status is None:
        return _no_answer(error, said, place, key_variable)
    if status != 429 and (overflow := find_overflow(said, code)):
        return ContextOverflow(
            f"{place}: the request is longer than the model's context window: {said} "
            f"Set `budget.window` (or the backend's `window`) to what this model really has.",
            actual_tokens=overflow.actual_tokens,
        )
    if status == 429 and code != "insufficient_quota":
        return _rate_limited(error, said, place)
    if status >= 500 or status == 408:
        return BackendUnavailable(
            f"{place}: the provider failed with status {status}: {said} "
            f"Nothing was stored; the same request may be sent again."
        )
    return RequestRefused(
        f"{place}: the provider refused the request with status {status}: {said}"
        f"{_advice(status, code, key_variable)}"
    )


def _no_answer(error: Exception, said: str, place: str, key_variable: str) -> BackendError:
    if _no_key(error):
        return RequestRefused(
            f"{place}: the client could not be made: {said} Set {key_variable} or the backend's "
            f"`api_key`."
        )
    cause = error.__cause__
    detail = f"{said} ({cause})" if cause is not None and str(cause) else said
    return BackendUnavailable(
        f"{place}: no answer: {detail} Check `base_url` and the network, or raise `timeout_s`; "
        f"nothing was stored and the same request may be sent again."
    )


def _no_key(error: Exception) -> bool:
    """Whether the SDK found no key: OpenAI's has an error of its own, Anthropic's a `TypeError`."""
    lacking = type(error).__name__ in ("OpenAIError", "AnthropicError", "TypeError")
    return lacking and "api_key" in str(error)


def _rate_limited(error: Exception, said: str, place: str) -> RateLimited:
    wait = _retry_after(error)
    when = "later" if wait is None else f"in {wait:g} s"
    return RateLimited(
        f"{place}: the provider limits the rate: {said} Ask again {when}, or lower "
        f"`max_concurrency`.",
        retry_after_s=wait,
    )


def _advice(status: int, code: str | None, key_variable: str) -> str:
    if code == "insufficient_quota":
        return " Waiting does not help; the account needs credit."
    if status in (401, 403):
        return f" Set {key_variable} or the backend's `api_key` to a key that may use this model."
    if status == 404:
        return " Check `model` and `base_url`."
    return ""


def _words(error: Exception) -> tuple[str, str | None, str | None]:
    """What the provider said, as one sentence, with its code and type where it gave them."""
    body = getattr(error, "body", None)
    inner: Mapping[str, Any] = {}
    if isinstance(body, Mapping):
        inner = cast("Mapping[str, Any]", body)
        if isinstance(nested := inner.get("error"), Mapping):
            inner = cast("Mapping[str, Any]", nested)
    said = inner.get("message") or getattr(error, "message", None) or str(error)
    said = str(said).strip() or type(error).__name__
    code = inner.get("code")
    kind = inner.get("type")
    return (
        said if said.endswith((".", "!", "?")) else said + ".",
        str(code) if code is not None else None,
        str(kind) if kind is not None else None,
    )


def _status(error: Exception, code: str | None, kind: str | None) -> int | None:
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return status
    if code is None and kind is None:
        return None
    # Inside a stream; some compatible servers put the status in `code`.
    if code is not None and code.isdigit() and 400 <= int(code) < 600:
        return int(code)
    return _STATUS_OF_TYPE.get(code or "", _STATUS_OF_TYPE.get(kind or "", 500))


def _retry_after(error: Exception) -> float | None:
    """Seconds, from `retry-after-ms`, `retry-after` in seconds or as an HTTP date."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return float(milliseconds) / 1000
        if not (value := headers.get("retry-after")):
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
