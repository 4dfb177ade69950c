"""E-mails to patients. Each is noted as a `Notification` of its event, so that a repeated job sends it once.

They say where and when and nothing about why: a specialty or a doctor's name may reveal a condition.
"""

import smtplib
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from clinic_booking.events import subscribe
from clinic_booking.models import Event, Notification
from clinic_booking.templatetags.page import local_date, local_time
from patients.models import Patient
from scheduling import desk_news, ics
from scheduling.booking import bookings_of
from scheduling.links import booking_url, new_time_url
from scheduling.models import Booking, ChangeProposal, Hold

MAX_ATTEMPTS = 10
KINDS: dict[str, tuple[str, Promise]] = {
    "appointment.booked": ("booked", _("Your visit on %(date)s at %(time)s is booked")),
    "appointment.moved": ("moved", _("Your visit is moved to %(date)s at %(time)s")),
    "appointment.cancelled": ("cancelled", _("Your visit on %(date)s at %(time)s is cancelled")),
}


@subscribe(*KINDS)
def mail_about_visit(event: Event) -> None:
    related = Booking.objects.select_related("clinic", "station", "patient", "hold")
    booking = related.get(pk=event.data["booking"])
    kind, subject = KINDS[event.topic]
    if kind == "booked" and booking.hold and _mail_about_all(event, booking.hold):
        return
    if event.data.get("matched"):
        # One of several that were planned at once: `mail_about_sessions` tells of all of them.
        return
    if booking.status == Booking.Status.CANCELLED and kind != "cancelled":
        # Cancelled before this could be sent: that e-mail says all.
        return
    if kind == "moved" and (proposal := _replanned(event)):
        return mail_new_time(event, booking, proposal)
    if kind == "moved" and event.data.get("act") and not desk_news.is_due(event, booking):
        return
    if kind == "cancelled":
        desk_news.as_last_told(booking)
    when = _when(booking)
    mail(
        event=event,
        kind=kind,
        to=booking.patient,
        subject=str(subject) % when,
        context={"booking": booking, "clinic": booking.clinic, "url": booking_url(booking)},
        attachments=[("visit.ics", ics.calendar_file(booking), ics.CONTENT_TYPE)],
    )


def _mail_about_all(event: Event, hold: Hold) -> bool:
    """One e-mail, sent for the lead, about all that was held and booked together. False for what was held alone."""
    if hold.lead_id:
        return True
    booked = bookings_of(hold).select_related("clinic", "station", "patient")
    if len(booked) == 1:
        return False
    if live := [each for each in booked if each.status == Booking.Status.BOOKED]:
        subject = ngettext("Your visit is booked", "Your %(count)s appointments are booked", len(live))
        mail(
            event=event,
            kind="planned",
            to=live[0].patient,
            subject=subject % {"count": len(live)},
            context={"visits": [(each, booking_url(each)) for each in live]},
            attachments=[("visits.ics", ics.calendar_file(*live), ics.CONTENT_TYPE)],
        )
    return True


@subscribe("request.matched")
def mail_about_sessions(event: Event) -> None:
    """One e-mail for all sessions of a request that got their times together."""
    related = Booking.objects.live().select_related("clinic", "station", "patient")
    bookings = list(related.filter(session__in=event.data["sessions"]).order_by("starts_at"))
    if not bookings:
        return
    count = len(bookings)
    subject = ngettext("Your visit is planned", "Your %(count)s visits are planned", count)
    mail(
        event=event,
        kind="planned",
        to=bookings[0].patient,
        subject=subject % {"count": count},
        context={"visits": [(each, booking_url(each)) for each in bookings]},
        attachments=[
            (f"visit-{each.reference}.ics", ics.calendar_file(each), ics.CONTENT_TYPE) for each in bookings
        ],
    )


def _replanned(event: Event) -> ChangeProposal | None:
    """The clinic itself moved the visit with a change of its hours."""
    moved = ChangeProposal.objects.select_related("plan__clinic")
    return moved.filter(booking=event.data["booking"], moved_version=event.data["version"]).first()


def mail_new_time(event: Event, booking: Booking, proposal: ChangeProposal) -> None:
    if proposal.moved_version != booking.version:
        # Moved again before this could be sent: that e-mail says all.
        return
    old = proposal.from_starts_at
    mail(
        event=event,
        kind="replanned",
        to=booking.patient,
        subject=_("Your visit has a new time: %(date)s at %(time)s") % _when(booking),
        context={
            "booking": booking,
            "clinic": booking.clinic,
            "old": f"{local_date(old, proposal.plan.clinic)}, {local_time(old, proposal.plan.clinic)}",
            "url": new_time_url(booking),
        },
        attachments=[("visit.ics", ics.calendar_file(booking), ics.CONTENT_TYPE)],
    )


@subscribe("change.open")
def mail_to_choose(event: Event) -> None:
    """The clinic cannot keep the time and found no other one."""
    waiting = ChangeProposal.objects.open_proposals().filter(pk=event.data["proposal"])
    if not waiting.exists():
        return
    booking = Booking.objects.select_related("clinic", "station", "patient").get(pk=event.data["booking"])
    mail(
        event=event,
        kind="needs_new_time",
        to=booking.patient,
        subject=_("Your visit on %(date)s at %(time)s needs a new time") % _when(booking),
        context={"booking": booking, "clinic": booking.clinic, "url": new_time_url(booking)},
    )


def _when(booking: Booking) -> dict[str, str]:
    return {
        "date": local_date(booking.starts_at, booking.clinic),
        "time": local_time(booking.starts_at, booking.clinic),
    }


def mail(
    *,
    event: Event,
    kind: str,
    to: Patient,
    subject: str,
    context: dict[str, Any],
    attachments: Iterable[tuple[str, bytes, str]] = (),
) -> None:
    """Send `templates/email/<kind>` once for the event. Raises what sending raises; the job tries again."""
    if not to.email:
        return
    note, _created = Notification.objects.get_or_create(event=event, kind=kind, channel="email")
    mine = Notification.objects.filter(pk=note.pk, status=Notification.Status.QUEUED, attempts=note.attempts)
    # Of two workers with the same job one gets to count up, and sends.
    if not mine.update(attempts=F("attempts") + 1):
        return
    known = {"patient": to, "brand": settings.DEFAULT_FROM_EMAIL.split("<")[0].strip()}
    context = context | known | {"dpo_email": settings.DPO_EMAIL, "subject": subject}
    message = EmailMultiAlternatives(subject, render_to_string(f"email/{kind}.txt", context), to=[to.email])
    message.attach_alternative(render_to_string(f"email/{kind}.html", context), "text/html")
    for name, content, content_type in attachments:
        message.attach(name, content, content_type.split(";")[0])
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        last = note.attempts + 1 >= MAX_ATTEMPTS
        status = Notification.Status.FAILED if last else Notification.Status.QUEUED
        Notification.objects.filter(pk=note.pk).update(status=status, error=type(error).__name__)
        raise
    Notification.objects.filter(pk=note.pk).update(
        status=Notification.Status.SENT, sent_at=timezone.now(), error=""
    )
