"""Whose records a login may see: patients their own, staff those known at their clinics.

What a role may do is in `clinic_booking.roles`; `may`, `where` and `Can` are here for whoever works with patients.
Every queryset of patient data is narrowed by `visible_to(user)` (staff: their clinics; patients: their own) or by
`belonging_to(user)` (only for whom the login acts). Staff see for an hour what they broke the glass for
(`patients.glass`).
"""

from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef, Q, Value

from clinic_booking.models import ClockTimestamp, User
from clinic_booking.roles import ROLES, Can, may, roles_of, where

__all__ = ["Can", "Located", "broken_glass", "clinic_ids", "may", "own", "visible", "where"]

OPENED_BY_GLASS = {Can.SEE_DESK, Can.SEE_PATIENTS}  # the record and the visits; no money
M = TypeVar("M", bound=models.Model, covariant=True)


class ActedFor(models.Func):
    """The patients for whom a login acts now: its own record and, as long as it lasts, those it is a proxy of. The
    function of the database row security asks, too, so that both agree; nothing is kept from one request to the next.
    """

    template = "(SELECT unnest(patients_acted_for(%(expressions)s::bigint)))"
    output_field = models.BigIntegerField()


def own(user: User | Any, prefix: str = "") -> Q:
    """The condition on Patient for whom a login acts; `prefix` leads from another model to it: "patient__"."""
    return Q(**{f"{prefix}pk__in": ActedFor(Value(user.pk))}) if user.is_authenticated else Q(pk=None)


def clinic_ids(user: User | Any, what: Can = Can.SEE_PATIENTS) -> list[int]:
    return [pk for pk, role in roles_of(user).items() if what in ROLES[role]] if user.is_authenticated else []


def broken_glass(user: User) -> Any:
    """Patients of another clinic whose record is open to the user for now."""
    return user.broken_glass.filter(kind="elsewhere", expires_at__gt=ClockTimestamp()).values("patient")


def visible(user: User | Any, what: Can, *, clinic: str, patient: str) -> Q:
    """Rows of clinics where the user may do `what`, the user's own, and of whom they broke the glass for."""
    if not user.is_authenticated:
        return Q(pk=None)
    seen = Q(**{f"{clinic}__in": where(user, what)}) | own(user, f"{patient}__")
    if what in OPENED_BY_GLASS and may(user, Can.BREAK_GLASS):
        seen |= Q(**{f"{patient}__in": broken_glass(user)})
    return seen


class Located(models.QuerySet[M]):
    """Rows that belong to a clinic and to a patient."""

    needs: ClassVar[Can] = Can.SEE_DESK
    clinic: ClassVar[str] = "clinic"
    patient: ClassVar[str] = "patient"

    def visible_to(self, user: User | Any) -> Self:
        return self.filter(visible(user, self.needs, clinic=self.clinic, patient=self.patient))

    def belonging_to(self, user: User | Any) -> Self:
        return self.filter(own(user, f"{self.patient}__"))


class PatientQuerySet(models.QuerySet[M]):
    def visible_to(self, user: User | Any) -> Self:
        """Privacy officers see who a request is about, of the whole group; nothing of their visits."""
        if not user.is_authenticated:
            return self.none()
        if may(user, Can.HANDLE_REQUESTS):
            return self
        known = user_known(user)
        seen = own(user) | known if known is not None else own(user)
        return self.filter(seen | Q(pk__in=broken_glass(user)) if may(user, Can.BREAK_GLASS) else seen)

    def belonging_to(self, user: User | Any) -> Self:
        return self.filter(own(user))


def user_known(user: User) -> Exists | None:
    """Known at a clinic of the user, by the index on (clinic, patient)."""
    from patients.models import PatientClinic

    ids = clinic_ids(user)
    return Exists(PatientClinic.objects.filter(patient=OuterRef("pk"), clinic_id__in=ids)) if ids else None
