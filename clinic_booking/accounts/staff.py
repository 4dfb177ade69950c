"""Who counts as staff: for them a second factor is a must, and sessions are shorter."""

from typing import Any

from clinic_booking.models import User


def is_staff(user: User | Any) -> bool:
    """Whoever sees more than their own: by membership of a clinic, an office, as practitioner, in the admin."""
    if not user.is_authenticated:
        return False
    if user.is_staff or user.is_superuser or user.office:
        return True
    return bool(user.memberships.exists() or hasattr(user, "practitioner"))
