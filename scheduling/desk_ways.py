"""How a visit that the desk books is paid. Apps to the right, which know of money, register their ways."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.functional import Promise

from clinic_booking.models import User
from patients.models import Patient
from scheduling.models import Booking


@dataclass(frozen=True)
class Way:
    """`act` is called after the visit is booked and committed; it returns what to say, or raises a named error."""

    key: str
    label: str | Promise
    template: str
    is_offered: Callable[[Patient | None], bool]
    act: Callable[[Booking, QueryDict, User], str | Promise]


WAYS: dict[str, Way] = {}


def register(way: Way) -> Way:
    WAYS[way.key] = way
    return way
