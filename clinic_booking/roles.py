"""What each role may do: the one place that says it (docs/access.md has it as a table).

    may(user, Can.UNMASK, clinic)   at this clinic, by a role there or by an office (`clinic`: the row or its pk)
    may(user, Can.SEE_AUDIT)        at any clinic, or by an office
    where(user, Can.SEE_DESK)       the pks of the clinics, for `filter(clinic__in=…)`

Being a superuser opens nothing here. A system administrator's roles at clinics count for nothing: no patient data.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser

if TYPE_CHECKING:
    from clinic_booking.models import User


class Can(StrEnum):
    SEE_DESK = "see_desk"  # the calendar and lists of a clinic's day, its queue, hours, waitlist
    RUN_QUEUE = "run_queue"  # check in, call, start, finish
    ACT_AT_DESK = "act_at_desk"  # book, move, cancel, block, serve the waitlist and the list of work
    MANAGE_SUPPLY = "manage_supply"  # hours, leave, extra hours
    SEE_PATIENTS = "see_patients"  # records of who is known at the clinic, and the search for them
    SEE_CONTACTS = "see_contacts"
    SEE_REASONS = "see_reasons"  # why somebody comes, and notes on the visit and to the desk
    SEE_DOCTOR_NOTES = "see_doctor_notes"
    COMPLETE_OWN = "complete_own"  # the practitioner's own day: completion, notes to the desk
    SEE_MONEY = "see_money"  # bills, the till's day
    ACT_MONEY = "act_money"  # take, give back, waive, send links, close the till
    SEE_BOOKS = "see_books"  # the ledger and what does not add up, of all cashiers
    REFUND_ANY = "refund_any"  # above the limit of the desk
    SEE_CONTRACTS = "see_contracts"
    MANAGE_CONTRACTS = "manage_contracts"
    SEE_REPORT = "see_report"
    OVERBOOK = "overbook"
    UNMASK = "unmask"  # identity numbers, with a reason
    BREAK_GLASS = "break_glass"  # the record of a patient of another clinic, with a reason
    REVIEW_GLASS = "review_glass"
    MARK_CONFIDENTIAL = "mark_confidential"  # whose record is opened with a reason only
    SEE_AUDIT = "see_audit"
    HANDLE_REQUESTS = "handle_requests"  # access, correction, complaints
    MANAGE_RETENTION = "manage_retention"  # retention, legal hold, anonymise
    MANAGE_BREACHES = "manage_breaches"
    CONFIGURE = "configure"  # Django's admin: clinics, services, templates, users, messages, jobs


_DESK = {Can.SEE_DESK, Can.RUN_QUEUE, Can.SEE_PATIENTS, Can.SEE_CONTACTS, Can.SEE_REASONS, Can.BREAK_GLASS}
_MONEY = {Can.SEE_MONEY, Can.ACT_MONEY, Can.SEE_CONTRACTS}
_CLINICAL = {Can.SEE_DOCTOR_NOTES, Can.COMPLETE_OWN}
_FRONT = _DESK | _MONEY | {Can.ACT_AT_DESK, Can.MANAGE_SUPPLY, Can.MANAGE_CONTRACTS}

# By `scheduling.Membership.Role`: at the clinic of the membership alone.
ROLES: Mapping[str, frozenset[Can]] = {
    "receptionist": frozenset(_FRONT | {Can.UNMASK}),
    "nurse": frozenset(_DESK | {Can.SEE_DOCTOR_NOTES, Can.UNMASK}),
    "doctor": frozenset(_DESK - {Can.RUN_QUEUE} | _CLINICAL | {Can.SEE_MONEY, Can.SEE_CONTRACTS}),
    "manager": frozenset(
        _FRONT
        | {Can.SEE_DOCTOR_NOTES, Can.SEE_BOOKS, Can.REFUND_ANY, Can.SEE_REPORT, Can.OVERBOOK}
        | {Can.UNMASK, Can.REVIEW_GLASS, Can.MARK_CONFIDENTIAL, Can.SEE_AUDIT}
    ),
    "finance": frozenset(_MONEY | {Can.SEE_BOOKS, Can.REFUND_ANY, Can.SEE_CONTACTS}),
}

# By `User.Office`: for the whole group.
OFFICES: Mapping[str, frozenset[Can]] = {
    "privacy_officer": frozenset(
        {Can.SEE_AUDIT, Can.REVIEW_GLASS, Can.HANDLE_REQUESTS, Can.MANAGE_RETENTION, Can.MANAGE_BREACHES}
        | {Can.UNMASK, Can.MARK_CONFIDENTIAL}
    ),
    "system_admin": frozenset({Can.CONFIGURE}),
}
NO_PATIENT_DATA = "system_admin"

# Pages of Django's admin for who configures. All others are patient data: their permissions are given by name, to no
# superuser and to nobody who configures.
CONFIGURATION = {
    "clinic_booking": {"user", "event", "messagetemplate", "parked", "reader"},
    "procrastinate": {"procrastinatejob", "procrastinateevent"},
    "scheduling": {"legalentity", "clinic", "station", "walkingtime", "equipment", "practitioner", "service"}
    | {"servicepolicy", "membership", "calendarfeed", "reminderrule", "scheduletemplate", "templatebreak"}
    | {"scheduleexception"},
    "billing": {"gstrate"},
}


def configures(user: "User", permission: str) -> bool | None:
    """Whether the office gives this permission of Django's; None for what is decided as Django does."""
    app, _dot, codename = permission.partition(".")
    if app == "auth":  # groups and permissions could give what the office may not have
        return None if user.is_superuser else False
    if codename.partition("_")[2] in CONFIGURATION.get(app, ()):
        return may(user, Can.CONFIGURE) or None
    return False if user.is_superuser or user.office == NO_PATIENT_DATA else None


def may(user: "User | AnonymousUser", what: str, clinic: Any = None) -> bool:
    """Asks the database once for each user object, so once for each request."""
    if not user.is_authenticated or not user.is_active:
        return False
    if what in OFFICES.get(user.office, ()):
        return True
    roles = roles_of(user)
    if clinic is None:
        return any(what in ROLES[role] for role in roles.values())
    role = roles.get(getattr(clinic, "pk", clinic))
    return role is not None and what in ROLES[role]


def roles_of(user: "User") -> Mapping[int, str]:
    """The role at each clinic."""
    known: dict[int, str] | None = getattr(user, "_roles", None)
    if known is None:
        found = user.memberships.values_list("clinic_id", "role") if _counts(user) else ()
        known = user._roles = dict(found)  # type: ignore[attr-defined]
    return known


def where(user: "User | AnonymousUser", *what: str) -> Any:
    """Clinics where a role of the user may do all of it, as a subquery; an office is not asked."""
    if not user.is_authenticated or not _counts(user):
        return ()
    return user.memberships.filter(role__in=roles_with(what)).values("clinic")


def roles_with(what: Iterable[str]) -> list[str]:
    return [role for role, allowed in ROLES.items() if allowed >= set(what)]


def _counts(user: "User") -> bool:
    return user.is_active and user.office != NO_PATIENT_DATA
