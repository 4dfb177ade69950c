"""Who may act for whom: given, ended, run out. Nothing is changed: what goes on is given anew."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit, rows
from clinic_booking.accounts import emails
from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.models import ClockTimestamp, User
from patients.models import Patient
from patients.proxies.models import LONGEST, OF_MINORS, Proxy

YEARS = dt.timedelta(days=1826)  # of all but parents and guardians; the database holds five years
assert YEARS < LONGEST


class ActsAlready(NamedError):
    sentence = _("This person acts for the patient already.")


class OwnRecord(NamedError):
    sentence = _("This is their own record: nobody else is needed to act.")


class NotAMinor(NamedError):
    status = 422
    sentence = _(
        "The patient is grown up: a parent or guardian no longer acts. Please choose another relation."
    )


class NoBirthDate(NamedError):
    status = 422
    sentence = _("For a parent or guardian the birth date of the child is needed: their part ends by it.")


def grant(
    *,
    patient: Patient,
    user: User,
    relation: str,
    evidence: str,
    by: User,
    note: str = "",
    reason: str = "",
    clinic_id: int | None = None,
    invitation: uuid.UUID | None = None,
) -> Proxy:
    """Joins the caller's transaction. Raises ActsAlready, OwnRecord, NotAMinor, NoBirthDate."""
    if patient.user_id == user.pk:
        raise OwnRecord
    is_of_minor = relation in OF_MINORS
    if is_of_minor and patient.birth_date is None:
        raise NoBirthDate
    with transaction.atomic():
        end_due(patient_id=patient.pk)
        made = _insert(
            patient=patient,
            user=user,
            relation=relation,
            evidence=evidence,
            by=by,
            note=note,
            invitation=invitation,
            minor_until_age=minor_until() if is_of_minor else None,
            starts_at=ClockTimestamp(),
            ends_at=ClockTimestamp() + YEARS,  # the database knows the birthday
        )
        if is_of_minor and made.ends_at <= made.starts_at:
            raise NotAMinor
        _tell("proxy.granted", audit.Action.GRANT, made, by, f"{relation} {evidence} {reason}", clinic_id)
    return made


def _insert(**values: Any) -> Proxy:
    """Of two at once the one whose row is first."""
    try:
        with transaction.atomic():
            made = Proxy.objects.create(**values)
    except IntegrityError as error:
        if "proxy_one_at_a_time" in str(error) or "invitation" in str(error):
            raise ActsAlready from None
        raise
    made.refresh_from_db()
    return made


def add_dependant(*, user: User, details: Mapping[str, Any], relation: str) -> Patient:
    """Somebody new, by the word of whoever cares for them: nothing from before is opened. Joins the caller's
    transaction. The same name and birth date again is the same person. Raises NotAMinor."""
    known = Patient.objects.filter(name=details["name"], birth_date=details["birth_date"])
    mine = known.filter(pk__in=Proxy.objects.live().filter(user=user).values("patient")).first()
    if mine:
        return mine
    with transaction.atomic():
        patient = Patient.objects.create(**details)
        grant(patient=patient, user=user, relation=relation, evidence=Proxy.Evidence.DECLARED, by=user)
    return patient


def end(*, proxy: Proxy, reason: str, by: User | None, why: str = "", clinic_id: int | None = None) -> bool:
    """Whether it was still going on."""
    with transaction.atomic():
        running = Proxy.objects.filter(pk=proxy.pk, revoked_at=None)
        if not running.update(revoked_at=ClockTimestamp(), end_reason=reason):
            return False
        _tell("proxy.ended", audit.Action.REVOKE, proxy, by, f"{reason} {why}", clinic_id, why=str(reason))
    return True


def end_due(*, patient_id: int | None = None) -> int:
    """Those whose time is over: they open nothing since; this closes the row and lets both know."""
    due = Proxy.objects.due()
    if patient_id:
        due = due.filter(patient=patient_id)
    reason = {True: Proxy.End.OF_AGE, False: Proxy.End.RUN_OUT}
    return sum(end(proxy=each, reason=reason[each.minor_until_age is not None], by=None) for each in due)


def confirm(*, proxy: Proxy, by: User, clinic_id: int) -> bool:
    """The desk has seen that a declared authority is right. Whether it was the first to."""
    with transaction.atomic():
        declared = Proxy.objects.filter(pk=proxy.pk, checked_at=None, revoked_at=None)
        if not declared.update(checked_at=ClockTimestamp(), checked_by=by):
            return False
        audit.record(
            audit.Action.CHANGE,
            f"proxy:{proxy.pk}",
            by=by,
            patient_id=proxy.patient_id,
            clinic_id=clinic_id,
            fields=["checked"],
        )
    return True


def years_between(born: dt.date, today: dt.date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def minor_until() -> int:
    return int(settings.PROXY_MINOR_UNTIL_AGE)


def may_act(user: User | None, patient: Patient) -> bool:
    """As a proxy, now. One's own record is not acted for."""
    if user is None or patient.user_id == user.pk:
        return False
    return Proxy.objects.live().filter(user=user, patient=patient).exists()


@rows.all_rows()  # one name, for who deals with them
def called(user: User) -> str:
    """The name of who acts: what a document is compared with. Their address where there is none."""
    own = Patient.objects.filter(user=user).values_list("name", flat=True).first()
    return user.get_full_name() or own or emails.address_of(user) or str(_("Somebody"))


def note(*, by: User | None, patient: Patient, subject: str, what: str, clinic_id: int | None = None) -> bool:
    """That somebody acted for the patient, if somebody did; with the rest of the caller's transaction."""
    if by is None or not may_act(by, patient):
        return False
    action = audit.Action.ACT_FOR
    return audit.record(action, subject, by=by, patient_id=patient.pk, clinic_id=clinic_id, fields=[what])


def _tell(
    topic: str, action: str, proxy: Proxy, by: User | None, reason: str, clinic_id: int | None, **more: str
) -> None:
    subject = f"proxy:{proxy.pk}"
    data = {"proxy": proxy.pk, "patient": proxy.patient_id, "by": by.pk if by else None} | more
    publish(topic, subject, data, clinic_id=clinic_id)
    audit.record(
        action, subject, by=by, patient_id=proxy.patient_id, clinic_id=clinic_id, reason=reason.strip()[:200]
    )
