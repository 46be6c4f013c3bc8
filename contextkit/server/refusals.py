"""Refusals in the shape that each API's own clients understand."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, TypeAlias

from contextkit.errors import (
    BackendUnavailable,
    BudgetExceeded,
    ContextKitError,
    ContextOverflow,
    InvalidMessage,
    RateLimited,
    RequestRefused,
    StoreError,
)

Shape: TypeAlias = Literal["openai", "anthropic"]

_OPENAI = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class Refusal(ContextKitError):
    """A request that is answered with an error of the proxy's own."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        retry_after_s: float | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.closes = closes
        """Whether the connection can't be used again: the rest of the request was not read."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        found = [(b"content-type", b"application/json")]
        if self.retry_after_s is not None:
            found.append((b"retry-after", b"%d" % max(1, math.ceil(self.retry_after_s))))
        if self.closes:
            found.append((b"connection", b"close"))
        return found

    def body(self, shape: Shape) -> bytes:
        """The error as JSON, as the API of that shape writes its own."""
        return json.dumps(error_value(shape, self.status, str(self), self.code)).encode()


def error_value(shape: Shape, status: int, message: str, code: str | None) -> dict[str, Any]:
    """The error object of an API."""
    if shape == "anthropic":
        default = "invalid_request_error" if status < 500 else "api_error"
        kind = _ANTHROPIC.get(status, default)
        return {"type": "error", "error": {"type": kind, "message": message}}
    kind = _OPENAI.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def refusal_of(error: ContextKitError) -> Refusal:
    """What a client is told about an error of contextkit's."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, BudgetExceeded):
        return Refusal(400, f"prompt is too long: {error}", code="context_length_exceeded")
    if isinstance(error, ContextOverflow):
        return Refusal(400, str(error), code="context_length_exceeded")
    if isinstance(error, InvalidMessage | RequestRefused):
        return Refusal(400, str(error))
    if isinstance(error, RateLimited):
        return Refusal(429, str(error), retry_after_s=error.retry_after_s)
    if isinstance(error, StoreError | BackendUnavailable):
        return Refusal(503, str(error))
    return Refusal(500, str(error))
