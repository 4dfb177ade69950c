"""What a patient agreed to: the last word on each purpose counts. Nothing is ever changed, only added."""

from django.db import transaction

from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Consent, Patient
from patients.privacy import NOTICE_VERSION


def current(patient_id: int) -> dict[str, bool]:
    """By purpose; one that nobody was asked about is missing."""
    last = Consent.objects.filter(patient=patient_id).order_by("purpose", "-pk").distinct("purpose")
    return dict(last.values_list("purpose", "is_given"))


def record(
    *, patient_id: int, wanted: dict[str, bool], channel: str, by: User | None, clinic_id: int | None = None
) -> list[str]:
    """Write what differs from the last word. Returns those purposes."""
    with transaction.atomic():
        known = current(patient_id)
        changed = [purpose for purpose, given in wanted.items() if known.get(purpose) != given]
        Consent.objects.bulk_create(
            Consent(
                patient_id=patient_id,
                purpose=purpose,
                notice_version=NOTICE_VERSION,
                is_given=wanted[purpose],
                channel=channel,
                actor=by,
            )
            for purpose in changed
        )
        if changed:
            data = {"patient": patient_id, "purposes": changed, "by": by.pk if by else None}
            publish("consent.changed", f"patient:{patient_id}", data, clinic_id=clinic_id)
    return changed


def speak(*, patient_id: int, language: str) -> None:
    """The language of the messages."""
    Patient.objects.filter(pk=patient_id).update(language=language)
