"""Whose records an incident is about: what the audit trail says of a login, a period, a kind of record, a clinic."""

from collections.abc import Iterable
from typing import Any

from django.db.models import F, Func, Q, QuerySet
from django.db.models.expressions import RawSQL

from clinic_booking.models import AuditChange, AuditEvent
from clinic_booking.retention.models import Incident
from patients.models import Patient


def _asked(incident: Incident) -> Q:
    asked = Q()
    for name, value in (
        ("actor_id", incident.actor_id),
        ("clinic_id", incident.clinic_id),
        ("created_at__gte", incident.from_at),
        ("created_at__lt", incident.until_at),
    ):
        asked &= Q() if value is None else Q(**{name: value})
    return asked


def events(incident: Incident) -> QuerySet[AuditEvent]:
    """None, as long as nothing narrows them: an incident without a trace is not about everybody."""
    asked = _asked(incident)
    if incident.subject_kind:
        asked &= Q(subject__startswith=f"{incident.subject_kind}:")
    return AuditEvent.objects.filter(asked) if asked else AuditEvent.objects.none()


def changes(incident: Incident) -> QuerySet[AuditChange]:
    """As `events`, of what was written: who changes a record by SQL has never looked at a page."""
    asked = _asked(incident)
    if incident.subject_kind:
        asked &= Q(table__endswith=f"_{incident.subject_kind}")
    return AuditChange.objects.filter(asked) if asked else AuditChange.objects.none()


def patient_ids(incident: Incident) -> set[int]:
    """Of single records, of lists, and of changes."""
    found = events(incident)
    single = found.filter(patient_id__isnull=False).values_list("patient_id", flat=True).distinct()
    listed = found.filter(patients__isnull=False).annotate(each=Func(F("patients"), function="unnest"))
    changed = changes(incident).filter(patient_id__isnull=False).values_list("patient_id", flat=True)
    looked = {*single, *listed.values_list("each", flat=True).distinct()}
    return {pk for pk in (*looked, *changed.distinct()) if pk is not None}


def people(incident: Incident) -> QuerySet[Patient]:
    return Patient.objects.filter(pk__in=patient_ids(incident)).order_by("pk")


def of_open_incidents() -> Any:
    """As a subquery, so that the batch and the count see the same."""
    ids: Iterable[int] = set().union(
        *(patient_ids(incident) for incident in Incident.objects.filter(closed_at=None))
    )
    return RawSQL("SELECT unnest(%s::bigint[])", [sorted(ids)])
