"""A clinic where it is about noon, at whatever time the tests run: its visits of today cross no midnight."""

import datetime as dt

from django.utils import timezone


def zone_at_noon() -> str:
    """Names of these zones have the sign the other way round: Etc/GMT-8 is Singapore's time."""
    ahead = 12 - timezone.now().astimezone(dt.UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def now() -> dt.datetime:
    return timezone.now().replace(second=0, microsecond=0)


def minutes(n: int) -> dt.timedelta:
    return dt.timedelta(minutes=n)
