"""What may be published: every topic with its version and payload, declared beside the app that publishes it.

    declare("counter.paid", "bill", {"bill": int, "method": str, "by": int | None})

`int | None` may be null or missing. A field that is added may be missing; one that goes or changes makes a new version.
docs/events.md is written from this by `manage.py topics --write`.
"""

import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, get_args

LONGEST = 120  # ids and codes are short; a text about somebody does not belong into an event
Fits = Callable[[object], bool]
Kind = Any  # int, str, bool, list[int], list[str], or one of them | None


class UnknownTopic(Exception):
    pass


class WrongPayload(Exception):
    pass


class Field(NamedTuple):
    name: str
    kind: str
    is_optional: bool
    fits: Fits


class Topic(NamedTuple):
    name: str
    subject: str
    fields: dict[str, Field]
    version: int
    note: str
    declared_in: str

    def check(self, subject: str, data: Mapping[str, Any]) -> None:
        """Raises WrongPayload, which says all that is wrong at once."""
        wrong = [f"“{name}” is missing" for name in self._missing(data)]
        for name, value in data.items():
            field = self.fields.get(name)
            if field is None:
                wrong.append(f"“{name}” is not declared")
            elif not ((field.is_optional and value is None) or field.fits(value)):
                wrong.append(f"“{name}” is no {field.kind}: {type(value).__name__}")
        if not subject.startswith(f"{self.subject}:"):
            wrong.append(f"the subject is not {self.subject}:…")
        if wrong:
            where = f"declare(“{self.name}”, …) in {self.declared_in} says what fits"
            raise WrongPayload(f"{self.name}: {'; '.join(wrong)}. {where}.")

    def _missing(self, data: Mapping[str, Any]) -> Iterable[str]:
        return [f.name for f in self.fields.values() if f.name not in data and not f.is_optional]


_topics: dict[str, Topic] = {}


def declare(name: str, subject: str, fields: Mapping[str, Kind], *, version: int = 1, note: str = "") -> None:
    """Called in the topics.py of an app, once for each topic. `subject` is the kind before the colon."""
    if name in _topics:
        raise ValueError(f"{name} is declared twice")
    known = {field: _field(field, kind) for field, kind in fields.items()}
    caller = sys._getframe(1).f_globals["__name__"].replace(".", "/") + ".py"
    _topics[name] = Topic(name, subject, known, version, note, caller)


def find(name: str) -> Topic:
    """Raises UnknownTopic."""
    if name not in _topics:
        raise UnknownTopic(
            f"“{name}” is not declared. Add declare(“{name}”, subject, {{field: type}}) to the topics.py of the app"
            " that publishes it (there are examples), then run manage.py topics --write."
        )
    return _topics[name]


def all_topics() -> list[Topic]:
    return [topic for _name, topic in sorted(_topics.items())]


def _field(name: str, kind: Kind) -> Field:
    is_optional = isinstance(kind, types.UnionType)
    if is_optional:
        (kind,) = (each for each in get_args(kind) if each is not types.NoneType)
    for item in get_args(kind):  # of a list
        return Field(name, f"list[{item.__name__}]", is_optional, _list_of(_FITS[item]))
    return Field(name, kind.__name__, is_optional, _FITS[kind])


def _list_of(fits: Fits) -> Fits:
    return lambda value: isinstance(value, list) and all(map(fits, value))


_FITS: dict[type, Fits] = {
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    str: lambda value: isinstance(value, str) and len(value) <= LONGEST,
}

declare("notification.retried", "notification", {"notification": int, "by": int})
declare("notification.told", "notification", {"notification": int, "by": int, "how": str})
PARKED = {"parked": int, "event": int, "subscriber": str, "by": int | None}
declare("delivery.retried", "parked", PARKED)
declare("delivery.discarded", "parked", PARKED)
declare(
    "audit.over_limit",
    "user",
    {"by": int, "records": int, "limit": int, "level": int},
    note="somebody goes on opening records above the limit of an hour, with a reason",
)
