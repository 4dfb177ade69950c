"""Stand-in until the real module lands."""

from collections.abc import Iterable


def announce(changes: Iterable[tuple]) -> None:
    list(changes)
