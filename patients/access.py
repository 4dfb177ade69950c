"""Whose records a login may see: patients their own, staff those known at their clinics.

What a role may do is in `clinic_booking.roles`; `may`, `where` and `Can` are here for whoever works with patients.
"""

from typing import Any

from django.db.models import Q

from clinic_booking.models import User
from clinic_booking.roles import Can, may, where

__all__ = ["Can", "may", "own", "where"]


def own(user: User | Any) -> Q:
    """The condition on Patient for whom a login acts."""
    return Q(user=user.pk) if user.is_authenticated else Q(pk=None)
