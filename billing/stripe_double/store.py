"""What the double remembers: plain dictionaries, kept in a file when one is given. No card data."""

import copy
import json
import os
import secrets
import string
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from billing.stripe_double.form import ApiError, Form

API_VERSION = "2026-10-28.endive"
TABLES = ("intents", "attempts", "tokens", "refunds", "disputes", "events", "keys")
Row = dict[str, Any]


class Store:
    def __init__(self, *, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.clock = clock
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in TABLES}
        self.listeners: list[Callable[[Row], None]] = []
        if path and path.exists():
            try:
                self.tables |= json.loads(path.read_text())
            except ValueError as error:
                raise ValueError(
                    f"{path} is no state of the Stripe double. Delete it to start anew."
                ) from error

    def __getattr__(self, name: str) -> dict[str, Row]:
        if name in TABLES:
            return self.tables[name]
        raise AttributeError(name)

    def now(self) -> int:
        return int(self.clock())

    def new_id(self, prefix: str, length: int = 24) -> str:
        # Letters only: a run of digits in an id could look like a card number to the scanner.
        return f"{prefix}_" + "".join(secrets.choice(string.ascii_letters) for _ in range(length))

    def find(self, table: str, ref: str, kind: str) -> Row:
        try:
            return self.tables[table][ref]
        except KeyError:
            raise ApiError(404, f"No such {kind}: '{ref}'", code="resource_missing", param="id") from None

    def emit(self, topic: str, subject: Row, key: str = "") -> None:
        event: Row = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "data": {"object": copy.deepcopy(subject)},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": key or None},
            "type": topic,
        }
        self.events[event["id"]] = event
        for listener in self.listeners:
            listener(event)

    def save(self) -> None:
        """Whole file or none: a killed process leaves the last complete state."""
        if not self.path:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            json.dump(self.tables, file)
        os.replace(file.name, self.path)


def page(rows: Iterable[Row], form: Form, url: str) -> Row:
    """Newest first, Stripe's cursors and `created` filter."""
    limit = form.get("limit", 10)
    if not 1 <= limit <= 100:
        raise ApiError(400, "Invalid limit: must be between 1 and 100.", param="limit", saved=False)
    found = [row for row in reversed(list(rows)) if in_range(row["created"], form.get("created", {}))]
    ids = [row["id"] for row in found]
    start, end = 0, len(found)
    if cursor := form.get("starting_after"):
        start = position(ids, cursor, "starting_after") + 1
    if cursor := form.get("ending_before"):
        end = position(ids, cursor, "ending_before")
        start = max(start, end - limit)
    data = found[start : min(start + limit, end)]
    has_more = start > 0 if "ending_before" in form else start + limit < len(found)
    return {"object": "list", "url": url, "has_more": has_more, "data": data}


def in_range(created: int, bounds: dict[str, int]) -> bool:
    tests = {
        "gt": created.__gt__,
        "gte": created.__ge__,
        "lt": created.__lt__,
        "lte": created.__le__,
    }
    return all(tests[name](bound) for name, bound in bounds.items())


def position(ids: list[str], cursor: str, param: str) -> int:
    if cursor not in ids:
        raise ApiError(400, f"No such object: '{cursor}'", code="resource_missing", param=param, saved=False)
    return ids.index(cursor)
