"""Who looked at, used or was given a patient's record. The law gives patients the last year (PDPA s 21)."""

import datetime as dt

from django.db.models import QuerySet

from clinic_booking.models import AuditEvent, ClockTimestamp
from patients.models import Patient

YEAR = dt.timedelta(days=366)


def of_last_year(patient: Patient) -> QuerySet[AuditEvent]:
    """The newest first."""
    since = ClockTimestamp() - YEAR
    return AuditEvent.objects.filter(patient_id=patient.pk, created_at__gte=since).order_by("-pk")
