"""Stripe's API as far as this product uses it: `handle` takes a request and returns status and JSON.

The public methods below `handle` are the other side of the counter: the browser, the bank, the test.
"""

import copy
import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from billing.stripe_double import intents, refunds
from billing.stripe_double.cards import OUTCOMES
from billing.stripe_double.form import PARAMETERS, ApiError, Form, checked, decode
from billing.stripe_double.store import API_VERSION, Row, Store, page

KEY_LIFE_SECONDS = 24 * 3600
TABLES = {"payment_intents": "intents", "refunds": "refunds", "events": "events"}
VERBS = {"confirm": intents.confirm, "capture": intents.capture, "cancel": intents.cancel}


class Engine:
    def __init__(self, *, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.store = Store(path=path, clock=clock)
        self.lock = threading.RLock()

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: str = "") -> tuple[int, Row]:
        with self.lock:
            try:
                status, answer = self._answer(method.upper(), urlsplit(url), lowered(headers), body or "")
            except ApiError as error:
                status, answer = error.status, error.body
            # Saved before it is answered: a killed double has not forgotten what it promised.
            if method.upper() != "GET":
                self.store.save()
            return status, copy.deepcopy(answer)

    def _answer(self, method: str, url: Any, headers: dict[str, str], body: str) -> tuple[int, Row]:
        if not headers.get("authorization", "").startswith(("Bearer sk_test_", "Bearer rk_test_")):
            raise ApiError(
                401, "Invalid API Key provided: this double takes sk_test_ and rk_test_ keys only."
            )
        if (version := headers.get("stripe-version", "")) != API_VERSION:
            raise ApiError(400, f"Invalid Stripe API version: {version}. The double speaks {API_VERSION}.")
        if method == "GET":
            return 200, self._run(method, url.path, decode(url.query), "")
        key = headers.get("idempotency-key", "")
        if len(key) > 255:
            raise ApiError(
                400, "The idempotency key is longer than 255 characters.", kind="idempotency_error"
            )
        return self._once(key, method, url.path, decode(body))

    def _once(self, key: str, method: str, path: str, form: Form) -> tuple[int, Row]:
        """Run a POST, or replay what the same key got before. Refused validation is not remembered."""
        fingerprint = hashlib.sha256(repr((method, path, canonical(form))).encode()).hexdigest()
        saved = self.store.keys.get(key)
        if saved and saved["at"] + KEY_LIFE_SECONDS > self.store.now():
            if saved["fingerprint"] != fingerprint:
                message = (
                    "Keys for idempotent requests can only be used with the same parameters they were first"
                    f" used with. Try using a key other than '{key}' if you meant a different request."
                )
                raise ApiError(400, message, kind="idempotency_error")
            return saved["status"], saved["body"]
        try:
            status, answer = 200, self._run(method, path, form, key)
        except ApiError as error:
            if not error.saved:
                raise
            status, answer = error.status, error.body
        if key:
            self.store.keys[key] = {
                "fingerprint": fingerprint,
                "status": status,
                "body": copy.deepcopy(answer),
                "at": self.store.now(),
            }
        return status, answer

    def _run(self, method: str, path: str, form: Form, key: str) -> Row:
        match method, path.strip("/").split("/"):
            case "POST", ["v1", "payment_intents"]:
                return intents.create(self.store, arguments("payment_intents.create", form), key)
            case "POST", ["v1", "payment_intents", ref, ("confirm" | "capture" | "cancel") as verb]:
                form = arguments(f"payment_intents.{verb}", form)
                return VERBS[verb](self.store, self.store.find("intents", ref, "payment_intent"), form, key)
            case "POST", ["v1", "refunds"]:
                return refunds.create(self.store, arguments("refunds.create", form), key)
            case "GET", ["v1", ("payment_intents" | "refunds" | "events") as kind]:
                return self._list(kind, path, arguments(f"{kind}.list", form))
            case "GET", ["v1", "disputes", ref]:
                return self.store.find("disputes", ref, "dispute")
            case "GET", ["v1", ("payment_intents" | "refunds" | "events") as kind, ref]:
                arguments(f"{kind}.retrieve", form)
                return self.store.find(TABLES[kind], ref, kind.removesuffix("s"))
        raise ApiError(404, f"Unrecognized request URL ({method}: {path}).", saved=False)

    def _list(self, kind: str, path: str, form: Form) -> Row:
        rows = list(self.store.tables[TABLES[kind]].values())
        if ref := form.get("payment_intent"):
            rows = [row for row in rows if row["payment_intent"] == ref]
        if types := form.get("types") or ([form["type"]] if "type" in form else []):
            rows = [row for row in rows if row["type"] in types]
        if "delivery_success" in form:
            rows = [row for row in rows if (row["pending_webhooks"] == 0) == form["delivery_success"]]
        return page(rows, form, path)

    # -- The browser and the bank ----------------------------------------------------------------

    def confirmation_token(self, kind: str = "card", outcome: str = "success") -> str:
        """What Stripe.js makes from the payment form. `outcome` is a name from `cards.OUTCOMES`."""
        if outcome not in OUTCOMES:
            raise ValueError(f"no such outcome: {outcome}")
        with self.lock:
            ref = self.store.new_id("ctoken")
            self.store.tokens[ref] = {"type": kind, "outcome": outcome, "used_by": None}
            self.store.save()
            return ref

    def intent(self, ref: str) -> Row:
        with self.lock:
            return copy.deepcopy(self.store.find("intents", ref, "payment_intent"))

    def authenticate(self, ref: str, *, passed: bool = True) -> Row:
        return self._act(intents.authenticate, "intents", ref, passed=passed)

    def scan(self, ref: str, outcome: str = "succeeded") -> Row:
        """Pay the PayNow QR code: `succeeded`, `processing` or `failed`."""
        return self._act(intents.scan, "intents", ref, outcome=outcome)

    def pay_before_cancel(self, ref: str) -> None:
        """The next cancel of this PayNow payment comes a moment too late."""
        with self.lock:
            self.store.attempts[ref]["pays_before_cancel"] = True

    def next_refund(self, ref: str, status: str) -> None:
        """The next refund of this payment is `pending` or `failed`."""
        with self.lock:
            self.store.attempts[ref]["next_refund"] = status

    def settle_refund(self, ref: str, status: str) -> Row:
        return self._act(refunds.settle, "refunds", ref, status=status)

    def dispute(self, ref: str) -> Row:
        return self._act(refunds.dispute, "intents", ref)

    def close_dispute(self, ref: str, status: str = "lost") -> Row:
        return self._act(refunds.close_dispute, "disputes", ref, status=status)

    def _act(self, verb: Callable[..., Row], table: str, ref: str, **options: Any) -> Row:
        with self.lock:
            try:
                return copy.deepcopy(verb(self.store, self.store.find(table, ref, table), **options))
            finally:
                self.store.save()

    # -- Webhooks --------------------------------------------------------------------------------

    def undelivered(self) -> list[Row]:
        with self.lock:
            return [copy.deepcopy(e) for e in self.store.events.values() if e["pending_webhooks"]]

    def mark_delivered(self, event_id: str) -> None:
        with self.lock:
            self.store.events[event_id]["pending_webhooks"] = 0
            self.store.save()


def arguments(endpoint: str, form: Form) -> Form:
    return checked(form, PARAMETERS[endpoint])


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def canonical(form: Form) -> Any:
    return sorted(
        (name, canonical(value) if isinstance(value, dict) else value) for name, value in form.items()
    )
