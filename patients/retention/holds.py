"""Legal holds: what is under one is neither deleted nor made anonymous. `held()` is what every deletion path asks; the
triggers of the database ask the same function, so that plain SQL fails too."""

import datetime as dt

from django.db import transaction
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.errors import NamedError, NotAllowed
from clinic_booking.models import User
from patients.models import Patient
from patients.retention.models import LegalHold


class SamePerson(NamedError):
    sentence = _("Two persons are needed: somebody else must confirm what you asked for.")


class HoldIsOver(NamedError):
    sentence = _("This has been decided already. Please look at the hold again.")


def held() -> Q:
    """The condition on Patient."""
    return Q(pk__in=RawSQL("SELECT held_patients()", []))


def is_held(patient_id: int) -> bool:
    return Patient.objects.filter(held(), pk=patient_id).exists()


def ask(
    *,
    by: User,
    reason: str,
    patient_id: int | None = None,
    booking_id: int | None = None,
    period: tuple[dt.date, dt.date] | None = None,
    clinic_id: int | None = None,
    until: dt.datetime | None = None,
) -> LegalHold:
    """It protects from now on; another person confirms it within a week. Of a booking give its patient too."""
    if by.office != User.Office.PRIVACY_OFFICER:
        raise NotAllowed
    first, last = period or (None, None)
    scopes = LegalHold.Scope
    with transaction.atomic():
        hold = LegalHold.objects.create(
            scope=scopes.PERIOD if period else scopes.APPOINTMENT if booking_id else scopes.PATIENT,
            patient_id=patient_id,
            booking_id=booking_id,
            period_from=first,
            period_until=last,
            clinic_id=clinic_id,
            reason=reason,
            until_at=until,
            asked_by=by,
        )
        _note(audit.Action.CREATE, hold, by, "asked")
    return hold


def confirm(*, hold: LegalHold, by: User) -> None:
    """Raises NotAllowed, SamePerson, HoldIsOver."""
    _second(by, hold.asked_by_id)
    _once(hold, "confirmed", by, Q(confirmed_at=None, refused_at=None, lifted_at=None))


def refuse(*, hold: LegalHold, by: User) -> None:
    """What somebody asked for is not confirmed, and ends."""
    _second(by, hold.asked_by_id)
    _once(hold, "refused", by, Q(confirmed_at=None, refused_at=None, lifted_at=None, is_automatic=False))


def ask_lift(*, hold: LegalHold, reason: str, by: User) -> None:
    if by.office != User.Office.PRIVACY_OFFICER:
        raise NotAllowed
    open_hold = Q(lift_asked_at=None, refused_at=None, lifted_at=None)
    _once(hold, "lift_asked", by, open_hold, lift_reason=reason)


def lift(*, hold: LegalHold, by: User) -> None:
    _second(by, hold.lift_asked_by_id)
    _once(hold, "lifted", by, Q(lift_asked_at__isnull=False, lifted_at=None, refused_at=None))


def preserve(patient: Patient, reason: str, until: dt.datetime, *, by: User | None = None) -> LegalHold:
    """By rule and without a second person: a refused request for access keeps what was refused (PDPA s 22A).

    Joins the caller's transaction. `until` is at least 30 days ahead; a review by the Commission makes it longer.
    """
    hold = LegalHold.objects.create(
        scope=LegalHold.Scope.PATIENT,
        patient=patient,
        reason=reason,
        until_at=until,
        is_automatic=True,
        asked_by=by,
    )
    _note(audit.Action.CREATE, hold, by, "by_rule")
    return hold


def may_decide(user: User) -> bool:
    """The second person holds an office too; the system administrator sees numbers here, no patient."""
    return user.office in (User.Office.PRIVACY_OFFICER, User.Office.SYSTEM_ADMIN)


def _second(by: User, first_id: int | None) -> None:
    if not may_decide(by):
        raise NotAllowed
    if by.pk == first_id:
        raise SamePerson


def _once(hold: LegalHold, what: str, by: User, allowed: Q, **values: str) -> None:
    """Of two at once one gets the row."""
    with transaction.atomic():
        stamp = {f"{what}_by": by, f"{what}_at": timezone.now()}
        if not LegalHold.objects.filter(allowed, pk=hold.pk).update(**stamp, **values):
            raise HoldIsOver
        _note(audit.Action.CHANGE, hold, by, what)


def _note(action: str, hold: LegalHold, by: User | None, what: str) -> None:
    audit.record(action, f"legal_hold:{hold.pk}", by=by, patient_id=hold.patient_id, fields=[what])
