"""The screen of a waiting room: who is called to which room, by the numbers of their tickets and nothing else."""

import datetime as dt
from typing import NamedTuple

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from clinic_booking import rows
from clinic_booking.context import Request
from scheduling.locks import database_now
from scheduling.models import Booking, Clinic, Station, VisitTicket, WalkIn

SHOWN = 6
STAYS = dt.timedelta(hours=1)  # nobody still waits to be seen coming
STARTED_STAYS = dt.timedelta(minutes=2)


class Call(NamedTuple):
    number: int
    ticket: str
    room: str
    called_at: dt.datetime


@never_cache
@require_safe
def screen(request: Request, clinic: str) -> HttpResponse:
    here = get_object_or_404(Clinic, slug=clinic, is_active=True)
    now = database_now()
    context = {"clinic": here, "calls": calls(here, now), "day": here.local_date(now)}
    return render(request, "scheduling/_calls.html" if request.htmx else "scheduling/screen.html", context)


@rows.all_rows()  # of numbers, nobody's name
def calls(clinic: Clinic, now: dt.datetime) -> list[Call]:
    """The latest first. Once they have gone in, they leave the screen."""
    since, today = now - STAYS, clinic.local_date(now)
    bookings = Booking.objects.filter(
        Q(started_at=None) | Q(started_at__gt=now - STARTED_STAYS),
        visit__clinic=clinic,
        visit__date=today,
        visit__number__isnull=False,
        status=Booking.Status.ARRIVED,
        called_at__gt=since,
    ).select_related("visit", "station")
    walk_ins = WalkIn.objects.filter(
        visit__clinic=clinic, visit__date=today, booking=None, left_at=None, called_at__gt=since
    ).select_related("visit", "called_to")
    said = [_call(b.visit, b.station, b.called_at) for b in bookings]
    said += [_call(w.visit, w.called_to, w.called_at) for w in walk_ins]
    return sorted(said, key=lambda call: call.called_at, reverse=True)[:SHOWN]


def _call(visit: VisitTicket, station: Station | None, called_at: dt.datetime | None) -> Call:
    assert called_at
    return Call(visit.number or 0, visit.ticket, station.name if station else "", called_at)
