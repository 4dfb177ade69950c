"""How the sessions of a course are shown, to staff and to its patient; and what the patient may do with them."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from clinic_booking.models import User
from scheduling import matching, search
from scheduling.errors import BookingError, SlotGone
from scheduling.fit import Reason, Time, read_rules
from scheduling.locks import database_now
from scheduling.models import Booking, BookingRequest, Clinic, SessionTicket, Slot

LOOK_AHEAD_DAYS = 60
# Sessions that cost what was agreed for them, whatever the service costs now.
AGREED = Q(request__is_prepaid=True) | Q(request__price_cents__isnull=False)


@dataclass(frozen=True)
class Row:
    session: SessionTicket
    booking: Booking | None

    @property
    def is_planned(self) -> bool:
        return self.session.status == SessionTicket.Status.PLANNED


@dataclass(frozen=True)
class Course:
    """A request with its sessions in order of their time; those without one come last."""

    request: BookingRequest
    rows: list[Row]

    @property
    def done(self) -> int:
        return sum(row.session.status == SessionTicket.Status.COMPLETED for row in self.rows)

    @property
    def placed(self) -> int:
        return sum(row.booking is not None for row in self.rows)

    @property
    def unplaced(self) -> list[Row]:
        return [row for row in self.rows if row.is_planned]

    @property
    def next(self) -> Booking | None:
        scheduled = (r.booking for r in self.rows if r.session.status == SessionTicket.Status.SCHEDULED)
        return next((booking for booking in scheduled if booking), None)


def courses(requests: Iterable[BookingRequest]) -> list[Course]:
    """Three queries, however many requests."""
    requests = list(requests)
    related = ("clinic", "practitioner", "station", "service")
    bookings = Booking.objects.live().filter(session__request__in=requests).select_related(*related)
    by_session = {booking.session_id: booking for booking in bookings}
    rows: dict[int, list[Row]] = {request.pk: [] for request in requests}
    for session in SessionTicket.objects.filter(request__in=requests).order_by("number"):
        rows[session.request_id].append(Row(session, by_session.get(session.pk)))
    return [Course(request, sorted(rows[request.pk], key=_order)) for request in requests]


def _order(row: Row) -> tuple[bool, object, int]:
    return (False, row.booking.starts_at, 0) if row.booking else (True, 0, row.session.number)


# -- The patient's own ---------------------------------------------------------------------------


def own_requests(user: User) -> QuerySet[BookingRequest]:
    """What the patient has bought and is still being delivered."""
    wanted = [SessionTicket.Status.PLANNED, SessionTicket.Status.SCHEDULED]
    mine = BookingRequest.objects.belonging_to(user).filter(
        sessions__status__in=wanted, source=BookingRequest.Source.CONTRACT
    )
    return mine.select_related("service", "patient").distinct().order_by("pk")


@login_required
@require_POST
def planning(request: HttpRequest, request_id: int) -> HttpResponse:
    """Find a time for each session that has none."""
    assert isinstance(request.user, User)
    course = get_object_or_404(own_requests(request.user), pk=request_id, closed_at=None)
    result = matching.autofill(request_id=course.pk, by=request.user)
    say_planned(request, result.placed, result.unplaced)
    return redirect(f"{reverse('me')}#course-{course.pk}")


class AgainstRules(BookingError):
    """`reasons` in the words of `fit`."""

    def __init__(self, reasons: Iterable[Reason]) -> None:
        super().__init__()
        self.sentence = " ".join(str(reason.sentence) for reason in reasons)


def own_session(user: User | AnonymousUser, session_id: int) -> SessionTicket:
    """A session that the patient may book now. To all others it does not exist."""
    if not user.is_authenticated:
        raise Http404
    mine = SessionTicket.objects.belonging_to(user).filter(
        status=SessionTicket.Status.PLANNED, request__closed_at=None
    )
    return get_object_or_404(mine.select_related("request__service", "request__patient"), pk=session_id)


def check_rules(session: SessionTicket, slot_id: int) -> None:
    """Patients choose freely within the validity and the rules that must hold. Raises AgainstRules, SlotGone."""
    slot = Slot.objects.filter(pk=slot_id).select_related("clinic").first()
    if slot is None:
        raise SlotGone
    length = dt.timedelta(minutes=session.request.service.duration_minutes)
    time = Time(slot.starts_at, slot.starts_at + length, slot.clinic, slot.practitioner_id)
    if reasons := read_rules([session.request_id])[session.request_id](session.pk).hard_violations(time):
        raise AgainstRules(reasons)


def check_move(booking: Booking, slot_id: int) -> None:
    """Before its patient moves it: what was sold with rules keeps to them. Raises AgainstRules, SlotGone."""
    if session := sold(booking):
        check_rules(session, slot_id)


def sold(booking: Booking | None) -> SessionTicket | None:
    """The session of a contract that the booking serves: its rules hold for its patient too."""
    is_sold = booking and booking.session.request.source == BookingRequest.Source.CONTRACT
    return booking.session if booking and is_sold else None


def first_fitting_day(session: SessionTicket, clinics: Sequence[Clinic]) -> dt.date | None:
    """The day of the earliest free time that the rules of the course allow, in the next weeks."""
    request, by_id = session.request, {clinic.pk: clinic for clinic in clinics}
    now = database_now()
    length = dt.timedelta(minutes=request.service.duration_minutes)
    rules = read_rules([request.pk])[request.pk](session.pk)
    for free in search.free_starts(
        service=request.service, clinics=by_id, first=now, until=now + dt.timedelta(LOOK_AHEAD_DAYS)
    ):
        clinic = by_id[free.clinic_id]
        if rules.fits(Time(free.starts_at, free.starts_at + length, clinic, free.practitioner_id)):
            return clinic.local_date(free.starts_at)
    return None


def rules_in_words(session: SessionTicket) -> list[str]:
    """What its patient must keep to."""
    hard = session.request.patterns.filter(is_hard=True).prefetch_related("practitioners", "clinics")
    return [pattern.in_words for pattern in hard.order_by("pk")]


def say_planned(request: HttpRequest, placed: Sequence[Booking], unplaced: Sequence[SessionTicket]) -> None:
    if placed:
        text = ngettext("%(n)d session has a time now.", "%(n)d sessions have a time now.", len(placed))
        messages.success(request, text % {"n": len(placed)})
    if unplaced:
        text = ngettext(
            "No time could be found for %(n)d session: see why below.",
            "No time could be found for %(n)d sessions: see why below.",
            len(unplaced),
        )
        messages.warning(request, text % {"n": len(unplaced)})
    if not placed and not unplaced:
        messages.info(request, _("Every session has a time already."))
