"""Whose records an incident is about: what the audit trail says of a login, a period, a kind of record, a clinic."""

from collections.abc import Iterable
from typing import Any

from django.db.models import F, Func, Q, QuerySet
from django.db.models.expressions import RawSQL

from clinic_booking.models import AuditEvent
from clinic_booking.retention.models import Incident
from patients.models import Patient


def events(incident: Incident) -> QuerySet[AuditEvent]:
    """None, as long as nothing narrows them: an incident without a trace is not about everybody."""
    asked = Q()
    for name, value in (
        ("actor_id", incident.actor_id),
        ("clinic_id", incident.clinic_id),
        ("created_at__gte", incident.from_at),
        ("created_at__lt", incident.until_at),
    ):
        asked &= Q() if value is None else Q(**{name: value})
    if incident.subject_kind:
        asked &= Q(subject__startswith=f"{incident.subject_kind}:")
    return AuditEvent.objects.filter(asked) if asked else AuditEvent.objects.none()


def patient_ids(incident: Incident) -> set[int]:
    """Of single records and of lists."""
    found = events(incident)
    single = found.filter(patient_id__isnull=False).values_list("patient_id", flat=True).distinct()
    listed = found.filter(patients__isnull=False).annotate(each=Func(F("patients"), function="unnest"))
    return {pk for pk in (*single, *listed.values_list("each", flat=True).distinct()) if pk is not None}


def people(incident: Incident) -> QuerySet[Patient]:
    return Patient.objects.filter(pk__in=patient_ids(incident)).order_by("pk")


def of_open_incidents() -> Any:
    """As a subquery, so that the batch and the count see the same."""
    ids: Iterable[int] = set().union(
        *(patient_ids(incident) for incident in Incident.objects.filter(closed_at=None))
    )
    return RawSQL("SELECT unnest(%s::bigint[])", [sorted(ids)])
