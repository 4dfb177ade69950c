"""A visit as a calendar file: the page's download and the e-mail's attachment."""

from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from icalendar import Calendar, Event

from scheduling.models import Booking

CONTENT_TYPE = "text/calendar; charset=utf-8"


def calendar_file(*bookings: Booking) -> bytes:
    """A newer version of the same visit replaces the older one in the patient's calendar (UID, SEQUENCE)."""
    cancelled = all(booking.status == Booking.Status.CANCELLED for booking in bookings)
    calendar = Calendar()
    calendar.add("prodid", "-//Harbour Clinics//Visits//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "CANCEL" if cancelled else "PUBLISH")
    for booking in bookings:
        calendar.add_component(_event(booking))
    calendar.add_missing_timezones()
    text: bytes = calendar.to_ical()
    return text


def _event(booking: Booking) -> Event:
    clinic = booking.clinic
    cancelled = booking.status == Booking.Status.CANCELLED
    event = Event()
    event.add("uid", f"{booking.reference}@{urlsplit(settings.SITE_URL).hostname}")
    event.add("sequence", booking.version)
    event.add("dtstamp", timezone.now())
    event.add("dtstart", booking.starts_at.astimezone(clinic.zone))
    event.add("dtend", booking.ends_at.astimezone(clinic.zone))
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    # Calendars are often shared: the clinic's name, not the reason for the visit.
    event.add("summary", _("Visit at %(clinic)s") % {"clinic": clinic.name})
    event.add("location", f"{clinic.name}, {clinic.address}, {booking.station.name}")
    event.add("description", _("Reference %(reference)s") % {"reference": booking.reference})
    return event
