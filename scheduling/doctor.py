"""The practitioner's own day and week, made for a phone: to look at, to say what is done, and to tell the desk."""

import datetime as dt
from typing import NamedTuple

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clinic_booking import rows
from clinic_booking.context import Request
from clinic_booking.models import User
from scheduling import arrivals, desk_notes, feeds
from scheduling.errors import BookingError
from scheduling.forms import BadField, DayForm
from scheduling.locks import database_now
from scheduling.models import Booking, CalendarFeed, Clinic, Practitioner
from scheduling.views import see_other

WEEK = 7


class NoteForm(forms.Form):
    text = forms.CharField(
        max_length=300, error_messages={"required": gettext_lazy("Please write what the desk is to know.")}
    )


class VersionForm(forms.Form):
    version = forms.IntegerField(min_value=1, max_value=2**31 - 1)


class Day(NamedTuple):
    date: dt.date
    visits: list[Booking]


# -- Looking -------------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def home(request: Request) -> HttpResponse:
    me = _me(request)
    form = DayForm(request.GET)
    if not form.is_valid():
        raise BadField(form)
    return _page(request, me, form.cleaned_data["date"])


def _page(request: Request, me: Practitioner, day: dt.date | None = None, secret: str = "") -> HttpResponse:
    now = database_now()
    today = _today(me, now)
    day = day or today
    days = _days(me, min(day, today), max(day, today) + dt.timedelta(WEEK))
    shown = days.get(day, [])
    waiting = [v for v in days.get(today, []) if v.status in ("booked", "arrived")]
    here = sorted(waiting, key=lambda v: (not v.started_at, v.status != "arrived", v.starts_at))
    context = {
        "nav": "doctor",
        "me": me,
        "day": day,
        "today": today,
        "next": here[0] if here else None,
        "visits": shown,
        "week": [Day(each, days.get(each, [])) for each in (day + dt.timedelta(n) for n in range(WEEK))],
        "feed": CalendarFeed.objects.filter(practitioner=me, revoked_at=None).first(),
        "address": f"{settings.SITE_URL}{reverse('feed', args=[secret])}" if secret else "",
        "clinics": Clinic.objects.filter(memberships__user=_user(request)),
    }
    return render(request, "scheduling/doctor.html", context)


@rows.all_rows()  # their own visits, at clinics too that they are no member of
def _days(me: Practitioner, first: dt.date, until: dt.date) -> dict[dt.date, list[Booking]]:
    """The visits by the date at their clinic. A day more on either side: clinics may be in other time zones."""
    start = dt.datetime.combine(first - dt.timedelta(1), dt.time(), dt.UTC)
    end = dt.datetime.combine(until + dt.timedelta(1), dt.time(), dt.UTC)
    found = Booking.objects.filter(practitioner=me, starts_at__gte=start, starts_at__lt=end)
    related = found.select_related("clinic", "station", "service", "patient", "visit")
    days: dict[dt.date, list[Booking]] = {}
    for visit in (
        related.exclude(status=Booking.Status.CANCELLED).prefetch_related("desk_notes").order_by("starts_at")
    ):
        days.setdefault(visit.clinic.local_date(visit.starts_at), []).append(visit)
    return days


@rows.all_rows()
def _today(me: Practitioner, now: dt.datetime) -> dt.date:
    """Where they work next, or worked last."""
    ahead = Booking.objects.filter(practitioner=me).select_related("clinic")
    nearest = ahead.filter(ends_at__gte=now).order_by("starts_at").first()
    near = nearest or ahead.order_by("-starts_at").first()
    return near.clinic.local_date(now) if near else timezone.localdate(now)


# -- Acting --------------------------------------------------------------------------------------


@login_required
@require_POST
def completion(request: Request, reference: str) -> HttpResponse:
    visit = _own(request, reference)
    form = VersionForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    try:
        with transaction.atomic(durable=True):
            arrivals.complete(booking_id=visit.pk, by=_user(request), version=form.cleaned_data["version"])
    except BookingError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Done: %(name)s.") % {"name": visit.patient.name})
    return _back(visit)


@login_required
@require_POST
def notes(request: Request, reference: str) -> HttpResponse:
    visit = _own(request, reference)
    form = NoteForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    desk_notes.write(booking=visit, text=form.cleaned_data["text"], by=_user(request))
    messages.success(request, _("The desk has your note."))
    return _back(visit)


def _back(visit: Booking) -> HttpResponse:
    return see_other(f"{reverse('doctor')}?date={visit.clinic.local_date(visit.starts_at)}")


@never_cache
@login_required
@require_POST
def open_feed(request: Request) -> HttpResponse:
    """The only answer that ever holds the address."""
    me = _me(request)
    secret = feeds.open_feed(practitioner=me, by=_user(request))
    return _page(request, me, secret=secret)


@login_required
@require_POST
def revoke_feed(request: Request) -> HttpResponse:
    feeds.revoke_feed(practitioner=_me(request), by=_user(request))
    messages.success(request, _("The address of your calendar no longer works."))
    return see_other(reverse("doctor"))


def _me(request: Request) -> Practitioner:
    return get_object_or_404(Practitioner, user=_user(request))


@rows.all_rows()
def _own(request: Request, reference: str) -> Booking:
    own = Booking.objects.filter(practitioner__user=_user(request)).select_related("clinic", "patient")
    return get_object_or_404(own, reference=reference)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user
