"""Refusals and failures, each with its HTTP status, in the shape of OpenAI's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from routerlib.records.errors import RouterlibError

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    502: "candidate_error",
    503: "server_error",
    500: "server_error",
}


class Refused(RouterlibError):
    """A request that gets no answer."""

    def __init__(
        self, status: int, message: str, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    def body(self) -> dict[str, Any]:
        """Return the body of the response."""
        return {
            "error": {
                "message": str(self),
                "type": _TYPES.get(self.status, "invalid_request_error"),
                "param": self.param,
                "code": self.code,
            }
        }


@contextmanager
def refusing(status: int) -> Iterator[None]:
    """Turn what is wrong with a request, or with the log, into a refusal."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise Refused(status, str(error)) from error
