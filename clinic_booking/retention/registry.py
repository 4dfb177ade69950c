"""Who takes what away: each app registers for what it holds, so that no app reaches to its right.

A `Cleaner` is for one class of the schedule. Where people are made anonymous, every app's `eraser` takes its part, every
`blocker` is a reason to wait (the condition on Patient), every `sign_of_life` says who was active since a time.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.functional import Promise

Pk = Any  # a number, or a UUID
Rows = QuerySet[Any]


@dataclass(frozen=True)
class Cleaner:
    """`due(day)`: rows whose trigger saw that day or before, and that are not done yet. `clear`: those of them that
    nothing blocks. `act` joins the caller's transaction, is safe to repeat and counts rows by table."""

    data_class: str
    subject: str
    due: Callable[[dt.date], Rows]
    act: Callable[[Sequence[Pk]], Counter[str]]
    clear: Callable[[Rows], Rows] = lambda rows: rows
    reviewed: bool = False  # where the rule says "review", only what the privacy officer has looked at


CLEANERS: dict[tuple[str, str], Cleaner] = {}
ERASERS: list[Callable[[Sequence[int]], Counter[str]]] = []
BLOCKERS: list[tuple[str | Promise, Callable[[], Q]]] = []
SIGNS_OF_LIFE: list[Callable[[dt.datetime], Q]] = []


def register(cleaner: Cleaner) -> None:
    CLEANERS[cleaner.data_class, cleaner.subject] = cleaner


def cleaners(data_class: str = "") -> list[Cleaner]:
    return [each for each in CLEANERS.values() if data_class in ("", each.data_class)]


def eraser(function: Callable[[Sequence[int]], Counter[str]]) -> Callable[[Sequence[int]], Counter[str]]:
    ERASERS.append(function)
    return function


def blocker(why: str | Promise) -> Callable[[Callable[[], Q]], Callable[[], Q]]:
    def register_it(condition: Callable[[], Q]) -> Callable[[], Q]:
        BLOCKERS.append((why, condition))
        return condition

    return register_it


def sign_of_life(condition: Callable[[dt.datetime], Q]) -> Callable[[dt.datetime], Q]:
    SIGNS_OF_LIFE.append(condition)
    return condition


def blocked() -> Q:
    """All that makes a patient wait, as one condition."""
    return any_of(condition() for _why, condition in BLOCKERS)


def any_of(conditions: Any) -> Q:
    found = Q(pk=None)
    for condition in conditions:
        found |= condition
    return found
