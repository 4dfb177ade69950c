"""Breaking the glass: staff open, for an hour and for a reason, the record of a patient whom their clinic does not know,
or a confidential one (`patients.confidential`).

Every opening is written down, reported the same day and looked at by somebody else (`scheduling.glass_report`).
"""

import datetime as dt

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.audit.openings import LEAST_REASON, MOST_REASON, ShortReason
from clinic_booking.errors import NamedError, NotAllowed
from clinic_booking.events import publish
from clinic_booking.models import ClockTimestamp, User
from clinic_booking.roles import Can, may
from patients.access import clinic_ids
from patients.models import BrokenGlass, Patient
from patients.search import duplicates, folded

Kind = BrokenGlass.Kind
OPEN_FOR = dt.timedelta(minutes=60)
MOST = 3


class NotOwn(NamedError):
    sentence = _("Somebody else must look at what you opened yourself.")


def people_elsewhere(*, name: str, phone: str, birth_date: dt.date | None, by: User) -> list[Patient]:
    """Whom the user does not see, or sees since they broke the glass: with this phone or birth date, and a word of
    this name."""
    found = duplicates(name=name, phone=phone, birth_date=birth_date, by=None)
    seen = set(
        Patient.objects.visible_to(by).filter(pk__in=[p.pk for p in found]).values_list("pk", flat=True)
    )
    seen -= set(open_now(by, Kind.ELSEWHERE).values_list("patient", flat=True))
    words = set(folded(name).split())
    return [
        each
        for each in found
        if each.pk not in seen
        and words & set(folded(each.name).split())
        and (each.phone == phone or (birth_date and each.birth_date == birth_date))
    ][:MOST]


def open_now(by: User, kind: BrokenGlass.Kind) -> QuerySet[BrokenGlass]:
    return BrokenGlass.objects.filter(user=by, kind=kind, expires_at__gt=ClockTimestamp())


def break_glass(*, patient: Patient, clinic_id: int, reason: str, by: User) -> BrokenGlass:
    """One that is open already is the answer to a second click. Raises NotAllowed and ShortReason."""
    if not may(by, Can.BREAK_GLASS, clinic_id):
        raise NotAllowed
    return open_for_an_hour(patient=patient, clinic_id=clinic_id, reason=reason, by=by, kind=Kind.ELSEWHERE)


def open_for_an_hour(
    *, patient: Patient, clinic_id: int, reason: str, by: User, kind: BrokenGlass.Kind
) -> BrokenGlass:
    """Whoever calls has seen that they may. Raises ShortReason."""
    reason = reason.strip()
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise ShortReason
    with transaction.atomic(durable=True):
        _take_turns(by, patient)
        if still_open := open_now(by, kind).filter(patient=patient, clinic_id=clinic_id).first():
            return still_open
        glass = BrokenGlass.objects.create(
            patient=patient,
            user=by,
            clinic_id=clinic_id,
            reason=reason,
            kind=kind,
            expires_at=ClockTimestamp() + OPEN_FOR,
        )
        audit.record(
            audit.Action.BREAK_GLASS,
            f"glass:{glass.pk}",
            by=by,
            patient_id=patient.pk,
            clinic_id=clinic_id,
            fields=[kind],
            reason=reason,
        )
        data = {"glass": glass.pk, "patient": patient.pk, "by": by.pk}
        publish("glass.broken", f"glass:{glass.pk}", data, clinic_id=clinic_id)
    return glass


def _take_turns(by: User, patient: Patient) -> None:
    """Until the end of the transaction, after nothing else: of two at once the second finds what the first opened."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 41))", [f"glass {by.pk} {patient.pk}"]
        )


def reviewable(user: User) -> QuerySet[BrokenGlass]:
    """Of the own clinics; of the whole group for who holds the office."""
    if may(user, Can.REVIEW_GLASS) and not clinic_ids(user, Can.REVIEW_GLASS):
        return BrokenGlass.objects.all()
    return BrokenGlass.objects.filter(clinic_id__in=clinic_ids(user, Can.REVIEW_GLASS))


def review(*, glass: BrokenGlass, is_justified: bool, by: User) -> bool:
    """Whether it was this call that did; what is decided stays. Raises NotOwn."""
    if glass.user_id == by.pk:
        raise NotOwn
    with transaction.atomic(durable=True):
        still_open = BrokenGlass.objects.filter(pk=glass.pk, reviewed_at=None)
        done = still_open.update(reviewed_at=ClockTimestamp(), reviewed_by=by, is_justified=is_justified)
        if done:
            data = {"glass": glass.pk, "justified": is_justified, "by": by.pk}
            publish("glass.reviewed", f"glass:{glass.pk}", data, clinic_id=glass.clinic_id)
    return bool(done)
