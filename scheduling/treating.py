"""Whoever sees a patient today needs no reason to open a confidential record."""

import datetime as dt
from collections.abc import Iterable

from django.utils import timezone

from clinic_booking.models import User
from patients import confidential
from scheduling.models import Booking

A_DAY = dt.timedelta(days=1)


@confidential.treats
def seen_today(user: User, patients: Iterable[int]) -> set[int]:
    """By the practitioner of a visit on the clinic's day."""
    now = timezone.now()
    near = Booking.objects.filter(
        practitioner__user=user,
        patient__in=patients,
        starts_at__range=(now - A_DAY, now + A_DAY),
    ).exclude(status=Booking.Status.CANCELLED)
    visits = near.select_related("clinic").only("patient_id", "starts_at", "clinic__time_zone")
    return {
        each.patient_id for each in visits if each.clinic.local_date(each.starts_at) == each.clinic.today()
    }
