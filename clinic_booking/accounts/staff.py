"""Who counts as staff: for them a second factor is a must, and sessions are shorter."""

from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db.models import Q, QuerySet

from clinic_booking.models import User
from clinic_booking.rows import all_rows


def is_staff(user: User | Any) -> bool:
    """Whoever sees more than their own: by membership of a clinic, an office, as practitioner, in the admin."""
    if not user.is_authenticated:
        return False
    if user.is_staff or user.is_superuser or user.office:
        return True
    return bool(user.memberships.exists() or hasattr(user, "practitioner"))


def without_patients(users: QuerySet[User]) -> QuerySet[User]:
    """For who manages logins and may see no patient: neither an address nor a way to set somebody's password. Patients
    come in by code or Singpass and have no password; the few who have one are looked up."""
    of_nobody = User.objects.filter(
        is_staff=False, is_superuser=False, office="", memberships=None, practitioner=None
    )
    with all_rows():  # ids alone
        known = list(
            of_nobody.filter(patient__isnull=False)
            .exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)
            .values_list("pk", flat=True)
        )
    hidden = of_nobody.filter(Q(pk__in=known) | Q(password__startswith=UNUSABLE_PASSWORD_PREFIX))
    return users.exclude(pk__in=hidden.values("pk"))
