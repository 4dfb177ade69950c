"""Whose records a login may see: patients their own, staff those known at their clinics."""

from typing import Any

from django.db.models import Q

from clinic_booking.models import User


def own(user: User | Any) -> Q:
    """The condition on Patient for whom a login acts."""
    return Q(user=user.pk) if user.is_authenticated else Q(pk=None)
