"""Making people anonymous: who they were goes, what happened stays countable."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from django.contrib.postgres.functions import RandomUUID
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import TruncYear
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import AuditChange, ClockTimestamp, User
from clinic_booking.retention import registry
from clinic_booking.retention.kernel import delete, erase_logins, forget_names, midnight
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.registry import Cleaner, Pk, Rows, register
from patients import vault
from patients.models import BrokenGlass, Consent, LinkingCode, Patient, Proxy, SingpassIdentity
from patients.retention import affected, holds

ANONYMOUS = "(anonymised)"
# GR 37 asks for lifetime and 6 years; the rule's own period counts from birth, where no death is known.
MONTHS_AFTER_DEATH = 72


def anonymise(ids: Sequence[Pk]) -> Counter[str]:
    """Those of them that are not yet, and under no hold. Every app takes its part."""
    patients = Patient.objects.filter(~holds.held(), pk__in=ids, anonymised_at=None)
    mine = list(patients.values_list("pk", flat=True))
    if not mine:
        return Counter()
    users = list(Patient.objects.filter(pk__in=mine, user__isnull=False).values_list("user_id", flat=True))
    numbers = sum(vault.forget(patient_id=pk) for pk in mine)
    done = Counter({"patients.Patient": _forget_who(mine), "patients.Identifier": numbers})
    for erase in registry.ERASERS:
        done += erase(mine)
    _end_proxies(mine, users)
    for unlinked in (SingpassIdentity, LinkingCode):
        done += Counter(unlinked.objects.filter(user__in=users).delete()[1])
    only_patients = User.objects.filter(pk__in=users, is_staff=False, is_superuser=False, office="")
    erased = list(only_patients.exclude(_works_here()).values_list("pk", flat=True))
    done += erase_logins(erased)
    forget_names(Patient, mine)
    _forget_what_it_was(mine, erased)  # last: all of the above has just been written down
    return done


def _end_proxies(patients: list[int], users: list[int]) -> None:
    theirs = Proxy.objects.filter(Q(patient__in=patients) | Q(user__in=users))
    theirs.filter(revoked_at=None).update(revoked_at=ClockTimestamp(), end_reason=Proxy.End.RECORD_CLOSED)
    theirs.exclude(note="").update(note="")


def _forget_what_it_was(patients: list[int], users: list[int]) -> None:
    """That it changed stays; from what to what goes, with the salt of the hash."""
    table, logins = User._meta.db_table, [str(pk) for pk in users]
    about = Q(patient_id__in=patients) | Q(table=table, row_id__in=logins)
    AuditChange.objects.filter(about, kept__isnull=False).update(kept=None, salt=None)


def _works_here() -> Q:
    """Staff who are patients too keep their login."""
    return Q(memberships__isnull=False)


def _forget_who(ids: list[int]) -> int:
    return Patient.objects.filter(pk__in=ids).update(
        uuid=RandomUUID(),
        user=None,
        name=ANONYMOUS,
        email="",
        phone="",
        masked_id="",
        confidentiality="",
        birth_date=TruncYear("birth_date"),
        anonymised_at=timezone.now(),
    )


# -- Who waits -----------------------------------------------------------------------------------


@registry.blocker(_("legal hold"))
def _held() -> Q:
    return holds.held()


@registry.blocker(_("open incident"))
def _in_an_incident() -> Q:
    return Q(pk__in=affected.of_open_incidents())


@registry.sign_of_life
def _known_since(since: dt.datetime) -> Q:
    said = Consent.objects.filter(created_at__gte=since).values("patient")
    return Q(created_at__gte=since) | Q(user__last_login__gte=since) | Q(pk__in=said)


# -- The classes ---------------------------------------------------------------------------------


def _inactive(day: dt.date) -> Rows:
    """`came_or_was_billed` of the apps to the right is a sign of life for ever: they see `dt.datetime.min`."""
    active = registry.any_of(sign(midnight(day)) for sign in registry.SIGNS_OF_LIFE)
    return Patient.objects.filter(~active, anonymised_at=None)


def _lifetime_over(day: dt.date) -> Rows:
    dead = Q(died_on__lte=_years_before(timezone.localdate(), MONTHS_AFTER_DEATH // 12))
    return Patient.objects.filter(Q(birth_date__lte=day) | dead, anonymised_at=None)


def _years_before(day: dt.date, years: int) -> dt.date:
    return (
        day.replace(year=day.year - years, day=28)
        if (day.month, day.day) == (2, 29)
        else day.replace(year=day.year - years)
    )


def _unblocked(rows: Rows) -> Rows:
    return rows.filter(~registry.blocked())


def _consents(day: dt.date) -> Rows:
    return Consent.objects.filter(patient__anonymised_at__lt=midnight(day))


def _unheld(rows: Rows) -> Rows:
    return rows.filter(~Exists(Patient.objects.filter(holds.held(), pk=OuterRef("patient"))))


def _opened(day: dt.date) -> Rows:
    return BrokenGlass.objects.filter(created_at__lt=midnight(day), reviewed_at__isnull=False)


register(
    Cleaner(
        DataClass.ACCESS_LOG,
        "broken_glass",
        _opened,
        lambda ids: delete(BrokenGlass, ids),
        _unheld,
    )
)
register(Cleaner(DataClass.INACTIVE_ACCOUNT, "patient", _inactive, anonymise, _unblocked))
register(Cleaner(DataClass.PATIENT_RECORD, "patient", _lifetime_over, anonymise, _unblocked, reviewed=True))
register(Cleaner(DataClass.CONSENT, "consent", _consents, lambda ids: delete(Consent, ids), _unheld))
