"""Requests nobody would make, for every address there is: what the resolver knows, each method, hostile values.

The same ones for the same seed. New URLs are covered by themselves.
"""

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

HOSTILE = [
    *("", " ", "0", "-1", "1", "999999999999999999999", "1e400", "NaN", "true", "null", "[]", "{}", "\\"),
    *("'", '"><script>alert(1)</script>', "' OR 1=1 --", "1; DROP TABLE x", "{{ 7*7 }}", "%s%n", "${7*7}"),
    *("../../etc/passwd", "//evil.example/", "javascript:alert(1)", "\r\nSet-Cookie: a=b", "a" * 3000),
    *("2026-02-30", "0001-01-01", "9999-12-31", "2026-11-21T25:61", "24:00", "-09:00", "2026-W99"),
    *("é", "张伟", "\u202eabc", "\U0001f600", "\u0000x", "\ufeff", "İ", "１２３", "٣", "0x10", "1_000"),
    *("admin", "None", "undefined", "1:2", "1:99999999999999999999", "a=b&c=d", "?service=", "b'x'"),
]
NAMES = [
    *("service", "clinic", "date", "session", "slot", "move", "part", "wishes", "next", "from", "to", "page"),
    *(
        "q",
        "name",
        "email",
        "phone",
        "note",
        "reason",
        "consent",
        "version",
        "key",
        "amount",
        "method",
        "view",
    ),
    *(
        "practitioner",
        "station",
        "patient",
        "booking",
        "find",
        "times",
        "start",
        "end",
        "day",
        "status",
        "id",
    ),
    *(
        "confirmation_token",
        "starts_at",
        "ends_at",
        "valid_from",
        "weekdays",
        "language",
        "username",
        "password",
    ),
    *("code", "reference", "seen", "counted_cash", "lines", "count", "kind", "birth_date", "purpose", "sort"),
]
METHODS = ["GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]
ALSO = [{}, {"headers": {"HX-Request": "true"}}, {"headers": {"Accept": "application/json"}}]


@dataclass(frozen=True)
class Address:
    """A pattern as a list of fixed texts and converters."""

    parts: list[Any] = field(default_factory=list)
    name: str = ""

    @property
    def fixed(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))


def addresses(resolver: URLResolver | None = None, before: tuple[Any, ...] = ()) -> Iterator[Address]:
    for pattern in (resolver or get_resolver()).url_patterns:
        parts = (*before, *_parts(pattern))
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, parts)
        elif isinstance(pattern, URLPattern):
            yield Address(list(parts), pattern.name or "")


def _parts(pattern: URLPattern | URLResolver) -> Iterator[Any]:
    """`admin/` has regular expressions in places: what is not a converter stands for itself there."""
    route = str(pattern.pattern)
    converters = pattern.pattern.converters
    rest = route
    while "<" in rest and converters:
        fixed, _, more = rest.partition("<")
        inside, _, rest = more.partition(">")
        yield fixed
        yield inside.rpartition(":")[2], converters[inside.rpartition(":")[2]]
    yield rest.lstrip("^").rstrip("$") if not route.startswith("(?P") else "x/"


class Fuzz:
    """`known` are values that exist, by the name of what they are for: without them only 404 would be tried."""

    def __init__(self, seed: int, known: dict[str, list[str]]) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.known = known
        self.all_known = sorted({value for values in known.values() for value in values})

    def path(self, address: Address) -> str:
        return "/" + "".join(
            part if isinstance(part, str) else self.value_for(*part) for part in address.parts
        )

    def value_for(self, name: str, converter: Any) -> str:
        kind = type(converter).__name__
        if name in self.known and self.chance.random() < 0.75:
            return self.chance.choice(self.known[name])
        match kind:
            case "IntConverter":
                return self.chance.choice(["0", "1", "2", "77", "9" * 18, "9" * 30])
            case "UUIDConverter":
                return str(uuid.UUID(int=self.chance.getrandbits(128)))
            case "SlugConverter":
                return self.chance.choice(["x", "-", "a_b", "T0000001", "9" * 80, "new"])
        return self.chance.choice(["x", "%27", "..%5c", "a" * 300, "%C3%A9", "2026-02-30", "%3Cscript%3E"])

    def value(self, name: str) -> str:
        if self.chance.random() < 0.5:
            return self.chance.choice(self.known.get(name) or self.all_known)
        return self.chance.choice(HOSTILE)

    def fields(self) -> dict[str, Any]:
        names = self.chance.sample(NAMES, self.chance.randrange(8))
        names += [self.chance.choice(HOSTILE)[:40] or "x"] if self.chance.random() < 0.2 else []
        return {
            name: [self.value(name) for _ in range(self.chance.choice([1, 1, 1, 2, 3]))] for name in names
        }

    def request(self, address: Address, method: str = "") -> dict[str, Any]:
        """Keywords for `Client.generic` and the like."""
        method = method or self.chance.choice(METHODS)
        asked: dict[str, Any] = {"method": method, "path": self.path(address), **self.chance.choice(ALSO)}
        if method == "POST" and self.chance.random() < 0.15:
            bodies = [json.dumps(self.fields()), "{", "[1", "\x00\xff", json.dumps(self.value("x"))]
            asked |= {"data": self.chance.choice(bodies), "content_type": "application/json"}
        elif method in ("GET", "HEAD", "POST"):
            asked["data"] = self.fields()
        return asked
