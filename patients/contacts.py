"""Contact details. What the staff puts right is an event that names the fields, never what is in them."""

import datetime as dt
from collections.abc import Mapping

from django.db import transaction

from clinic_booking import audit
from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import DetailsConfirmed, Patient


def change_contact(*, patient_id: int, by: User, clinic_id: int, **details: object) -> list[str]:
    """Write what differs. Returns the names of the fields that changed."""
    with transaction.atomic(durable=True):
        patient = Patient.objects.get(pk=patient_id)
        changed = [name for name, value in details.items() if getattr(patient, name) != value]
        for name in changed:
            setattr(patient, name, details[name])
        if changed:
            patient.full_clean(exclude={"user", "uuid", "email", "birth_date"})
            patient.save(update_fields=changed)
            data = {"patient": patient_id, "fields": changed, "by": by.pk}
            publish("patient.changed", f"patient:{patient_id}", data, clinic_id=clinic_id)
    return changed


def change_own(*, patient: Patient, by: User, **details: str) -> list[str]:
    """What a patient puts right alone. An e-mail address was confirmed by a code. Returns what changed."""
    with transaction.atomic(durable=True):
        changed = [name for name, value in details.items() if getattr(patient, name) != value]
        for name in changed:
            setattr(patient, name, details[name])
        if changed:
            patient.save(update_fields=changed)
            data = {"patient": patient.pk, "fields": changed, "by": by.pk}
            publish("patient.changed", f"patient:{patient.pk}", data)
            action = audit.Action.CHANGE
            audit.record(action, f"patient:{patient.pk}", by=by, patient_id=patient.pk, fields=changed)
    return changed


def confirm(*, patient: Patient, by: User, clinic_id: int, day: dt.date) -> bool:
    """Somebody asked the patient whether all details still hold. Whether it was the first time on this day there."""
    with transaction.atomic(durable=True):
        _row, is_new = DetailsConfirmed.objects.get_or_create(
            patient=patient, clinic_id=clinic_id, confirmed_on=day, defaults={"by": by}
        )
        if is_new:
            data = {"patient": patient.pk, "by": by.pk}
            publish("patient.details_confirmed", f"patient:{patient.pk}", data, clinic_id=clinic_id)
            audit.record(
                audit.Action.CHANGE,
                f"patient:{patient.pk}",
                by=by,
                patient_id=patient.pk,
                clinic_id=clinic_id,
                fields=["details_confirmed"],
            )
    return is_new


def tell_apart(*, patient_ids: tuple[int, int], by: User, clinic_id: int) -> None:
    """Two people who look like one are two. Joining the records of one person is another matter."""
    first, second = sorted(patient_ids)
    with transaction.atomic(durable=True):
        data = {"patients": [first, second], "by": by.pk}
        publish("patients.told_apart", f"patients:{first}-{second}", data, clinic_id=clinic_id)


def has_no_email(*, patient_id: int, by: User, clinic_id: int) -> None:
    with transaction.atomic(durable=True):
        data = {"patient": patient_id, "by": by.pk}
        publish("patient.has_no_email", f"patient:{patient_id}", data, clinic_id=clinic_id)


def of_login(*, user: User, details: Mapping[str, str]) -> Patient:
    """The patient of the login: what is on file stays, what is missing is filled in. Joins the caller's transaction."""
    patient, _created = Patient.objects.get_or_create(user=user, defaults=details)
    missing = {field: value for field, value in details.items() if not getattr(patient, field)}
    for field, value in missing.items():
        setattr(patient, field, value)
    if missing:
        patient.save(update_fields=list(missing))
    return patient
