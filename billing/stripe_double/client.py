"""Face A: the engine behind the real `StripeClient`, in process, with faults where a test wants them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing.stripe_double.engine import Engine


class Crash(BaseException):
    """Our process dies here. No `except Exception` may catch it."""


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    key: str
    body: str

    @property
    def verb(self) -> str:
        """create, confirm, capture, cancel, refund, retrieve or list."""
        parts = self.path.strip("/").split("/")
        if self.method == "POST":
            return parts[3] if len(parts) == 4 else "refund" if parts[1] == "refunds" else "create"
        return "retrieve" if len(parts) == 3 else "list"


Hook = Callable[[Call], None]


class DoubleClient(stripe.HTTPClient):
    """`before(call)` and `after(call)` run around each call and may raise; `fail_next` arms one fault."""

    name = "double"

    def __init__(self, engine: Engine, *, before: Hook | None = None, after: Hook | None = None) -> None:
        super().__init__()
        self.engine = engine
        self.before, self.after = before, after
        self.calls: list[Call] = []
        self.faults: list[tuple[str, str, int]] = []

    def fail_next(self, verb: str, how: str, *, times: int = 1, status: int = 500) -> None:
        """`how`: lose_request, lose_answer, crash_before, crash_after, or status (nothing applied).

        The library itself repeats lost calls and 5xx twice: use `times=3` for a failure that reaches us.
        """
        self.faults += [(verb, how, status)] * times

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        call = Call(method.upper(), urlsplit(url).path, sent.get("idempotency-key", ""), post_data or "")
        self.calls.append(call)
        how, status = self._fault(call.verb)
        if how in ("lose_request", "crash_before"):
            raise broken(how)
        if how == "status":
            body = {"error": {"type": "api_error", "message": "The double was told to fail."}}
            return json.dumps(body), status, {}
        if self.before:
            self.before(call)
        status, answer = self.engine.handle(method, url, sent, post_data or "")
        if how in ("lose_answer", "crash_after"):
            raise broken(how)
        if self.after:
            self.after(call)
        return json.dumps(answer), status, {"request-id": "req_double"}

    def _fault(self, verb: str) -> tuple[str, int]:
        for fault in self.faults:
            if fault[0] in (verb, "any"):
                self.faults.remove(fault)
                return fault[1], fault[2]
        return "", 0

    def _sleep_time_seconds(self, num_retries: int) -> float:
        return 0

    def close(self) -> None:
        """Nothing is open."""


def broken(how: str) -> BaseException:
    if how.startswith("crash"):
        return Crash(how)
    return stripe.APIConnectionError("The connection broke.", should_retry=True)  # type: ignore[no-untyped-call]
