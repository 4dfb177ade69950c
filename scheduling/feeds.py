"""A practitioner's visits as a calendar feed under a secret address, of which only the hash is kept."""

import datetime as dt
import hashlib
import secrets
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, HttpResponseNotModified
from django.utils.http import parse_etags, quote_etag
from django.views.decorators.http import require_safe
from icalendar import Calendar, Event

from clinic_booking import rows
from clinic_booking.audit import Action, record_list
from clinic_booking.context import Request
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling.errors import ChangedMeanwhile
from scheduling.ics import CONTENT_TYPE
from scheduling.locks import database_now
from scheduling.models import Booking, CalendarFeed, Practitioner

BEFORE, AHEAD = dt.timedelta(30), dt.timedelta(180)
MOST = 3000
SECRET_BYTES = 32


def open_feed(*, practitioner: Practitioner, by: User) -> str:
    """A new secret, to be shown once; an earlier one is revoked. Whether names are shown stays as it was allowed."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    try:
        with transaction.atomic(durable=True):
            before = CalendarFeed.objects.filter(practitioner=practitioner, revoked_at=None)
            allowed = before.filter(shows_patients=True).exists()
            before.update(revoked_at=database_now())
            feed = CalendarFeed.objects.create(
                practitioner=practitioner, token_hash=_hash(secret), shows_patients=allowed
            )
            publish("feed.opened", f"feed:{feed.pk}", {"practitioner": practitioner.pk, "by": by.pk})
    except IntegrityError as error:  # in two windows at once
        raise ChangedMeanwhile from error
    return secret


def revoke_feed(*, practitioner: Practitioner, by: User) -> None:
    """Safe to repeat."""
    with transaction.atomic(durable=True):
        open_ones = CalendarFeed.objects.filter(practitioner=practitioner, revoked_at=None)
        for pk in open_ones.values_list("pk", flat=True):
            publish("feed.revoked", f"feed:{pk}", {"practitioner": practitioner.pk, "by": by.pk})
        open_ones.update(revoked_at=database_now())


@require_safe
@rows.all_rows()  # the secret address is the key
def feed(request: Request, secret: str) -> HttpResponse:
    """Asked for by calendar programs every few minutes: what has not changed is not written again."""
    open_ones = CalendarFeed.objects.filter(revoked_at=None, practitioner__is_active=True)
    found = open_ones.select_related("practitioner").filter(token_hash=_hash(secret)).first()
    if found is None:
        raise Http404
    visits = visits_of(found.practitioner, database_now())
    etag = quote_etag(_state(found, visits))
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "X-Robots-Tag": "noindex"}
    if etag in parse_etags(request.headers.get("if-none-match", "")):
        return HttpResponseNotModified(headers=headers)
    if found.shows_patients:
        record_list(
            Action.EXPORT,
            f"feed:{found.pk}",
            by=found.practitioner.user,
            patients={visit.patient_id for visit in visits},
        )
    return HttpResponse(as_calendar(found, visits), content_type=CONTENT_TYPE, headers=headers)


def visits_of(practitioner: Practitioner, now: dt.datetime) -> QuerySet[Booking]:
    window = Booking.objects.live().filter(
        practitioner=practitioner, starts_at__gte=now - BEFORE, starts_at__lt=now + AHEAD
    )
    return window.select_related("clinic", "station", "service", "patient").order_by("starts_at", "pk")[:MOST]


def as_calendar(feed: CalendarFeed, visits: QuerySet[Booking]) -> bytes:
    """Cancelled visits are not in it, so calendars drop them."""
    calendar = Calendar()
    calendar.add("prodid", "-//Harbour Clinics//Practitioner//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", feed.practitioner.name)
    calendar.add("x-published-ttl", "PT15M")
    for visit in visits:
        calendar.add_component(_event(visit, shows_patient=feed.shows_patients))
    calendar.add_missing_timezones()
    text: bytes = calendar.to_ical()
    return text


def _event(visit: Booking, *, shows_patient: bool) -> Event:
    zone = visit.clinic.zone
    event = Event()
    event.add("uid", f"{visit.reference}-practitioner@{urlsplit(settings.SITE_URL).hostname}")
    event.add("sequence", visit.version)
    event.add("dtstamp", visit.created_at.astimezone(dt.UTC))
    event.add("dtstart", visit.starts_at.astimezone(zone))
    event.add("dtend", visit.ends_at.astimezone(zone))
    event.add("status", "CONFIRMED")
    event.add(
        "summary", f"{visit.patient.name} · {visit.service.name}" if shows_patient else visit.service.name
    )
    event.add("location", f"{visit.station.name}, {visit.clinic.name}, {visit.clinic.address}")
    return event


def _state(feed: CalendarFeed, visits: QuerySet[Booking]) -> str:
    rows = list(visits.values_list("pk", "version", "service__name", "station__name", "clinic__name"))
    names = list(visits.values_list("patient__name", flat=True)) if feed.shows_patients else []
    return _hash(repr((feed.pk, feed.shows_patients, feed.practitioner.name, rows, names)))[:32]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
