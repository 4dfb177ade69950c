"""What a visit costs that does not take place, decided by the terms that were agreed when it was made.

The terms are frozen on holds and bookings by the database (`visit_terms`, migration 0011); here they are only read.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clinic_booking.templatetags.page import local_short_date, local_time, money
from scheduling.models import Booking, BookingRequest, Hold


class Outcome(NamedTuple):
    """What cancelling costs: cents, and how many sessions of a contract are used up."""

    fee_cents: int = 0
    sessions_used: int = 0

    def __str__(self) -> str:
        """As a form sends back what its page has shown."""
        return f"{self.fee_cents}-{self.sessions_used}"

    @classmethod
    def read(cls, shown: str) -> Self:
        """What cannot be read is nothing: it was not shown."""
        fee, _, used = shown.partition("-")
        is_sane = all(part.isascii() and part.isdigit() and len(part) < 10 for part in (fee, used))
        return cls(int(fee), int(used)) if is_sane else cls()

    @classmethod
    def total(cls, outcomes: Iterable["Outcome"]) -> Self:
        each = list(outcomes)
        return cls(sum(one.fee_cents for one in each), sum(one.sessions_used for one in each))


def outcome_of(booking: Booking, now: dt.datetime, *, by_patient: bool) -> Outcome:
    """Nothing where the clinic cancels, where it has just moved the visit, or in time. `now` is the database's clock."""
    if not by_patient or not booking.is_late(now):
        return Outcome()
    request = booking.session.request
    is_used = request.is_returnable and request.late_cancel == BookingRequest.Policy.FORFEIT
    return Outcome(booking.late_cancel_fee_cents, int(is_used))


class Quote(NamedTuple):
    """What cancelling these costs, for each and in all. `scope` is what the form says."""

    scope: str
    bookings: list[Booking]
    outcomes: list[Outcome]

    @property
    def total(self) -> Outcome:
        return Outcome.total(self.outcomes)

    @property
    def each(self) -> list[tuple[Booking, Outcome]]:
        return list(zip(self.bookings, self.outcomes, strict=True))


def quote(scope: str, bookings: Iterable[Booking], now: dt.datetime, *, by_patient: bool) -> Quote:
    chosen = list(bookings)
    return Quote(scope, chosen, [outcome_of(each, now, by_patient=by_patient) for each in chosen])


# -- In words ------------------------------------------------------------------------------------


def rule_of(visit: Hold | Booking, now: dt.datetime) -> str:
    """Until when it is free to change, and what is charged then: "Free … until Fri 27 Nov, 09:00. After that …"."""
    if _may_be_changed(visit, now):
        until = min(visit.change_until, visit.starts_at) if now < visit.change_until else visit.starts_at
        when = f"{local_short_date(until, visit.clinic)}, {local_time(until, visit.clinic)}"
        return _joined(_("Free to change or cancel until %(when)s.") % {"when": when}, _after_that(visit))
    return _joined(_("It is too late to change this visit free of charge."), _from_now_on(visit))


def rules_of(visits: Sequence[Hold | Booking], now: dt.datetime) -> list[str]:
    """One sentence where the terms of all are the same, else one for each."""
    agreed = {
        (v.free_cancel_hours, v.late_cancel_fee_cents, v.no_show_fee_cents, _uses_up(v)) for v in visits
    }
    if len(visits) == 1:
        return [rule_of(visits[0], now)]
    if len(agreed) > 1 or not all(now < visit.change_until for visit in visits):
        return [f"{visit.service.name}: {rule_of(visit, now)}" for visit in visits]
    hours = visits[0].free_cancel_hours
    free = ngettext(
        "Each is free to change or cancel until %(n)d hour before it.",
        "Each is free to change or cancel until %(n)d hours before it.",
        hours,
    )
    return [_joined(free % {"n": hours}, _after_that(visits[0]))]


def _may_be_changed(visit: Hold | Booking, now: dt.datetime) -> bool:
    return now < visit.change_until if isinstance(visit, Hold) else not visit.is_late(now)


def _uses_up(visit: Hold | Booking) -> bool:
    """Late, or not come, a session of a contract counts as used."""
    if visit.price_cents or visit.session is None:
        return False
    request = visit.session.request
    return request.is_returnable and request.late_cancel == BookingRequest.Policy.FORFEIT


def _after_that(visit: Hold | Booking) -> str:
    late, gone = money(visit.late_cancel_fee_cents), money(visit.no_show_fee_cents)
    if _uses_up(visit):
        return _("After that, or if you do not come, the session counts as used.")
    if visit.late_cancel_fee_cents and late == gone:
        return _("After that, or if you do not come, %(late)s is charged.") % {"late": late}
    if visit.late_cancel_fee_cents and visit.no_show_fee_cents:
        said = _("After that %(late)s is charged; %(gone)s if you do not come.")
        return said % {"late": late, "gone": gone}
    if visit.late_cancel_fee_cents:
        return _("After that %(late)s is charged.") % {"late": late}
    return _if_not_come(visit)


def _from_now_on(visit: Hold | Booking) -> str:
    late, gone = money(visit.late_cancel_fee_cents), money(visit.no_show_fee_cents)
    if _uses_up(visit):
        return _("If you cancel, or do not come, the session counts as used.")
    if visit.late_cancel_fee_cents and late == gone:
        return _("If you cancel, or do not come, %(late)s is charged.") % {"late": late}
    if visit.late_cancel_fee_cents and visit.no_show_fee_cents:
        said = _("If you cancel, %(late)s is charged; %(gone)s if you do not come.")
        return said % {"late": late, "gone": gone}
    if visit.late_cancel_fee_cents:
        return _("If you cancel, %(late)s is charged.") % {"late": late}
    return _joined(_("Cancelling costs nothing until it begins."), _if_not_come(visit))


def _if_not_come(visit: Hold | Booking) -> str:
    if not visit.no_show_fee_cents:
        return ""
    return _("%(gone)s is charged if you do not come.") % {"gone": money(visit.no_show_fee_cents)}


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
