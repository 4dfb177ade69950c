"""A visit as a calendar file: the page's download, and the invitation that an e-mail carries.

RFC 5545, 5546: the UID stays, SEQUENCE grows with the visit's version, so the patient's calendar moves and removes its
entry. An invitation is of one visit: several UIDs in one would not be understood.
"""

from email.utils import parseaddr
from functools import cache
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from icalendar import Calendar, Event, Timezone, vCalAddress

from scheduling.models import Booking

CONTENT_TYPE = "text/calendar; charset=utf-8"
FILE_TYPE = "text/calendar"


def calendar_file(*bookings: Booking) -> bytes:
    """To be put into a calendar by hand."""
    cancelled = all(booking.status == Booking.Status.CANCELLED for booking in bookings)
    zones = {booking.clinic.time_zone for booking in bookings}
    return _calendar("CANCEL" if cancelled else "PUBLISH", [_event(each) for each in bookings], zones)


def invitation(booking: Booking) -> tuple[str, bytes]:
    """Method and text: what mailboxes put into the calendar, and change and remove there."""
    method = "CANCEL" if booking.status == Booking.Status.CANCELLED else "REQUEST"
    event = _event(booking)
    event.add("organizer", _address(*parseaddr(settings.DEFAULT_FROM_EMAIL)))
    patient = _address(booking.patient.name, booking.patient.email)
    # Nothing is to be answered: the visit is booked.
    patient.params.update(ROLE="REQ-PARTICIPANT", PARTSTAT="ACCEPTED", RSVP="FALSE")
    event.add("attendee", patient)
    return method, _calendar(method, [event], {booking.clinic.time_zone})


def _address(name: str, email: str) -> vCalAddress:
    address = vCalAddress(f"mailto:{email}")
    address.params["CN"] = name
    return address


def _calendar(method: str, events: list[Event], zones: set[str]) -> bytes:
    calendar = Calendar()
    calendar.add("prodid", "-//Harbour Clinics//Visits//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    for zone in sorted(zones):
        calendar.add_component(_time_zone(zone))
    for event in events:
        calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text


@cache
def _time_zone(name: str) -> Timezone:
    """Working it out takes longer than all else about the message."""
    return Timezone.from_tzid(name)


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
    # Calendars are often shared: the clinic, not the room and not the reason for the visit.
    event.add("summary", _("Visit at %(clinic)s") % {"clinic": clinic.name})
    event.add("location", f"{clinic.name}, {clinic.address}")
    event.add("description", _("Reference %(reference)s") % {"reference": booking.reference})
    return event
