"""What a patient agreed to: the last word on each purpose counts. Nothing is ever changed, only added."""

from collections.abc import Mapping
from typing import NamedTuple

from django.db import transaction

from clinic_booking import audit, logs
from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Consent, Patient
from patients.rights import notices

CARE = Consent.Purpose.CARE_AND_BOOKING


class Word(NamedTuple):
    """The last one on a purpose."""

    is_given: bool
    notice_version: str


class Asked(NamedTuple):
    """How it was asked: where, under which words, in which language; for whom somebody else spoke."""

    channel: str
    form: str = ""
    wording: str = ""
    language: str = notices.FALLBACK
    on_behalf: bool = False


def last_words(patient_id: int) -> dict[str, Word]:
    """By purpose; one that nobody was asked about is missing."""
    last = Consent.objects.filter(patient=patient_id).order_by("purpose", "-pk").distinct("purpose")
    rows = last.values_list("purpose", "is_given", "notice_version")
    return {purpose: Word(given, version) for purpose, given, version in rows}


def current(patient_id: int) -> dict[str, bool]:
    """By purpose; one that nobody was asked about is missing."""
    return {purpose: word.is_given for purpose, word in last_words(patient_id).items()}


def is_current(patient_id: int) -> bool:
    """Care and booking are agreed to, under the notice that is valid now. Else it is asked at the next visit."""
    last = Consent.objects.filter(patient=patient_id, purpose=CARE).order_by("-pk").first()
    return bool(last and last.is_given and last.notice_version == notices.current().version)


def must_be_asked(patient_id: int) -> bool:
    """By page: nobody is, who said no to the notice that is valid now."""
    last = Consent.objects.filter(patient=patient_id, purpose=CARE).order_by("-pk").first()
    return last is None or last.notice_version != notices.current().version


def agree(*, patient: Patient, by: User | None, how: Asked, clinic_id: int | None = None) -> bool:
    """To care and booking. Whether it had to be written: once for each version."""
    with transaction.atomic():
        if is_current(patient.pk):
            return False
        _write(patient.pk, {CARE.value: True}, by=by, how=how, clinic_id=clinic_id)
    return True


def record(
    *,
    patient_id: int,
    wanted: Mapping[str, bool],
    channel: str,
    by: User | None,
    clinic_id: int | None = None,
    how: Asked | None = None,
) -> list[str]:
    """Write what differs from the last word. Returns those purposes."""
    with transaction.atomic():
        known = current(patient_id)
        changed = {purpose: given for purpose, given in wanted.items() if known.get(purpose) != given}
        if changed:
            _write(patient_id, changed, by=by, how=how or Asked(channel), clinic_id=clinic_id)
    return list(changed)


def _write(
    patient_id: int, said: Mapping[str, bool], *, by: User | None, how: Asked, clinic_id: int | None
) -> None:
    notice = notices.current(how.language)
    evidence = {"wording": how.wording, "form": how.form, "request": logs.request_id.get()}
    Consent.objects.bulk_create(
        Consent(
            patient_id=patient_id,
            purpose=purpose,
            notice_version=notice.version,
            text_hash=notice.text_hash,
            language=notice.language,
            is_given=is_given,
            channel=how.channel,
            actor=by,
            on_behalf_of_id=patient_id if how.on_behalf else None,
            evidence={name: value for name, value in evidence.items() if value},
        )
        for purpose, is_given in said.items()
    )
    data = {"patient": patient_id, "purposes": list(said), "by": by.pk if by else None}
    publish("consent.changed", f"patient:{patient_id}", data, clinic_id=clinic_id)
    audit.record(
        audit.Action.CHANGE,
        f"patient:{patient_id}",
        by=by,
        patient_id=patient_id,
        clinic_id=clinic_id,
        fields=[f"consent:{purpose}" for purpose in said],
    )


def speak(*, patient_id: int, language: str) -> None:
    """The language of the messages."""
    Patient.objects.filter(pk=patient_id).update(language=language)
