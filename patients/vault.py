"""Identity numbers of patients: kept sealed, found by a keyed index, shown whole to few, for a reason, seldom.

Each number is known by who came first. At the desk a number of another record is refused, and nobody is told whose it
is; of what patients enter by themselves the clash is kept, so that the page answers strangers always the same.
"""

import datetime as dt
from collections.abc import Callable, Collection
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit, crypto
from clinic_booking.errors import NamedError, NotAllowed, TooManyRequests
from clinic_booking.events import publish
from clinic_booking.models import AuditEvent, User
from clinic_booking.reseal import Done
from patients import identity
from patients.access import Can, may
from patients.identity import NATIONAL, Identity
from patients.models import Identifier, Patient, PatientClinic
from patients.retention import holds

Source = Identifier.Source
HOUR = dt.timedelta(hours=1)


class Reason(models.TextChoices):
    """Why a number is shown whole. Codes, so that the trail holds no text about anybody."""

    DOCUMENT = "document", _("To compare it with the document")
    CERTIFICATE = "certificate", _("For a certificate, referral or claim")
    CORRECTION = "correction", _("To put the record right")
    REQUEST = "request", _("The patient asked for it")
    LAW = "law", _("Required by law")


class NumberTaken(NamedError):
    sentence = _(
        "Another record has this number. It may be the same person twice: please search for the patient by the "
        "number. If nobody is found, the record is of another clinic: please ask the privacy officer. "
        "Nothing was changed."
    )


class NumberChecked(NamedError):
    sentence = _("The clinic has seen this document already. Please tell the desk if the number has changed.")


class NumberHeld(NamedError):
    """Of a legal hold nobody is told here."""

    sentence = _("The number of this record cannot be replaced at present. Please ask the privacy officer.")


# -- Looking -------------------------------------------------------------------------------------


def current(patient: Patient | int) -> list[Identifier]:
    """NRIC or FIN first. Their values are sealed until `.value` is read: show `.masked`."""
    found = Identifier.objects.filter(patient=patient, ended_at=None)
    return sorted(found, key=lambda each: (each.kind not in NATIONAL, each.kind))


def with_number(number: Identity) -> models.QuerySet[Patient]:
    return Patient.objects.filter(identifiers__blind_index__in=crypto.indexes(number.indexed))


def incomplete_records() -> models.QuerySet[Patient]:
    """Those that lack what a record must have (GR 37(2)), or a number that the desk has seen."""
    seen = Identifier.objects.filter(patient=OuterRef("pk"), ended_at=None, checked_at__isnull=False)
    return Patient.objects.filter(Q(birth_date=None) | Q(gender="") | ~Exists(seen))


def incomplete(patients: Collection[int]) -> set[int]:
    return set(incomplete_records().filter(pk__in=patients).values_list("pk", flat=True))


# -- Keeping -------------------------------------------------------------------------------------


def record(
    *,
    patient_id: int,
    number: Identity,
    source: Identifier.Source,
    by: User,
    seen: bool = False,
    clinic_id: int | None = None,
) -> Identifier:
    """The patient's number of this kind from now on; NRIC and FIN replace each other. `seen`: the desk has the document
    in hand. The same number again is the same row. Raises NumberTaken (desk), NumberChecked (patient), NumberHeld."""
    with transaction.atomic():
        _take_turns(f"identity of {patient_id}", number.indexed)
        before = _of_kind(patient_id, number)
        taken = _is_taken(patient_id, number)
        if taken and source == Source.DESK:
            raise NumberTaken
        if before and source == Source.PATIENT and before.checked_at:
            raise NumberChecked
        if before and before.value == number.value and before.country == number.country:
            kept = _again(before, number, taken)
        else:
            kept = _replace(before, patient_id, number, source, taken)
        if seen:
            Identifier.objects.filter(pk=kept.pk).update(checked_at=Now(), checked_by=by)
            kept.refresh_from_db()
        data = {
            "patient": patient_id,
            "kind": str(number.kind),
            "source": str(source),
            "seen": seen,
            "by": by.pk,
        }
        publish("identity.recorded", f"patient:{patient_id}", data, clinic_id=clinic_id)
    return kept


def _take_turns(*names: str) -> None:
    """Until the end of the transaction. In this order; of numbers only what a key makes of them reaches the server."""
    oldest = min(crypto.index_keys().by_id)  # the same for all processes while keys change
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 37))", [crypto.index(name, oldest)]
            )


def _of_kind(patient_id: int, number: Identity) -> Identifier | None:
    kinds = NATIONAL if number.kind in NATIONAL else [number.kind]
    return Identifier.objects.filter(patient=patient_id, kind__in=kinds, ended_at=None).first()


def _is_taken(patient_id: int, number: Identity) -> bool:
    return with_number(number).exclude(pk=patient_id).exists()


def _again(before: Identifier, number: Identity, taken: bool) -> Identifier:
    if before.is_clash and not taken:  # the other record has been put right
        Identifier.objects.filter(pk=before.pk).update(blind_index=crypto.index(number.indexed))
    return before


def _replace(
    before: Identifier | None, patient_id: int, number: Identity, source: Identifier.Source, taken: bool
) -> Identifier:
    if before:
        if holds.is_held(patient_id):
            raise NumberHeld
        Identifier.objects.filter(pk=before.pk).update(value="", blind_index=None, ended_at=Now())
    return Identifier.objects.create(
        patient_id=patient_id,
        kind=number.kind,
        country=number.country,
        value=number.value,
        blind_index=None if taken else crypto.index(number.indexed),
        ending=number.ending,
        source=source,
    )


def describe(
    *, patient_id: int, birth_date: dt.date | None, gender: str, by: User, clinic_id: int | None
) -> None:
    """What else a record must have (GR 37(2)). What was left out stays as it is."""
    given = {name: value for name, value in (("birth_date", birth_date), ("gender", gender)) if value}
    with transaction.atomic():
        patient = Patient.objects.get(pk=patient_id)
        changed = {name: value for name, value in given.items() if getattr(patient, name) != value}
        if changed:
            Patient.objects.filter(pk=patient_id).update(**changed)
            data = {"patient": patient_id, "fields": list(changed), "by": by.pk}
            publish("patient.changed", f"patient:{patient_id}", data, clinic_id=clinic_id)


def forget(*, patient_id: int) -> int:
    """All numbers with their indexes: for anonymising. Joins the caller's transaction. Returns how many."""
    deleted, _by_model = Identifier.objects.filter(patient=patient_id).delete()
    return deleted


# -- Showing whole -------------------------------------------------------------------------------


def may_unmask(user: User, patient: Patient, clinic: Any = None) -> bool:
    """By a role at a clinic where the patient is known, or by an office."""
    if clinic is None:
        return may(user, Can.UNMASK) and user.office != ""
    clinic_id = getattr(clinic, "pk", clinic)
    is_known = PatientClinic.objects.filter(patient=patient, clinic_id=clinic_id).exists()
    return is_known and may(user, Can.UNMASK, clinic_id)


def unmask(identifier: Identifier, *, by: User, reason: Reason, clinic: Any = None) -> str:
    """The whole number, for once. Written to the audit trail first. Raises NotAllowed, TooManyRequests."""
    if not may_unmask(by, identifier.patient, clinic):
        raise NotAllowed
    with transaction.atomic():
        _take_turns(f"unmasking by {by.pk}")
        shown = AuditEvent.objects.filter(
            action=AuditEvent.Action.UNMASK, actor_id=by.pk, created_at__gt=Now() - HOUR
        )
        if shown.count() >= settings.UNMASKED_AN_HOUR:
            raise TooManyRequests(int(HOUR.total_seconds()))
        audit.record(
            audit.Action.UNMASK,
            f"identifier:{identifier.pk}",
            by=by,
            patient_id=identifier.patient_id,
            clinic_id=getattr(clinic, "pk", clinic),
            fields=[identifier.kind],
            reason=reason,
        )
    return str(identifier.value)


# -- Keys of the index ---------------------------------------------------------------------------


def indexed_by() -> dict[str, int]:
    """How many numbers each key has indexed."""
    counted: dict[str, int] = {}
    for index in (
        Identifier.objects.exclude(blind_index=None).values_list("blind_index", flat=True).iterator()
    ):
        key = crypto.key_of(str(index))
        counted[key] = counted.get(key, 0) + 1
    return counted


def reindex(*, batch: int, told: Callable[[Done], None] = lambda done: None) -> Done:
    """By the current key. A row that was changed meanwhile is left alone: whoever did used the current key."""
    done, last = Done(), None
    old = Identifier.objects.exclude(blind_index=None).exclude(
        blind_index__startswith=f"{crypto.index_keys().current}."
    )
    while rows := list((old.filter(pk__gt=last) if last else old).order_by("pk")[:batch]):
        last = rows[-1].pk
        with transaction.atomic():
            for row in rows:
                number = Identity(identity.Kind(row.kind), row.country, _opened(row))
                unchanged = Identifier.objects.filter(pk=row.pk, blind_index=row.blind_index)
                if number.value:
                    done.changed += unchanged.update(blind_index=crypto.index(number.indexed))
                else:
                    done.unreadable += 1
        told(done)
    return done


def _opened(row: Identifier) -> str:
    try:
        return str(row.value)
    except crypto.Unreadable:
        return ""
