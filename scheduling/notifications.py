"""Messages to patients about their visits: once for each event, in the patient's language.

They say where and when and nothing about why: a specialty, a room or a doctor's name may reveal a condition.
"""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

from django.utils.translation import ngettext

from clinic_booking.events import subscribe
from clinic_booking.messages.channels import Extras
from clinic_booking.messages.sending import overtaken
from clinic_booking.models import Event
from patients import messages
from patients.models import Patient
from scheduling import desk_news, ics
from scheduling.booking import bookings_of
from scheduling.links import booking_url, new_time_url
from scheduling.locks import database_now
from scheduling.message_kinds import as_moment, cancel_reason, list_facts, visit_facts
from scheduling.models import Booking, ChangeProposal, Clinic, Hold
from scheduling.quiet import quiet_until
from scheduling.terms import rule_of

KINDS = {
    "appointment.booked": "booked",
    "appointment.moved": "moved",
    "appointment.cancelled": "cancelled",
}
RELATED = "clinic", "patient", "hold"


def tell(
    *,
    event: Event,
    kind: str,
    to: Patient,
    facts: Callable[[], dict[str, Any]],
    clinic: Clinic | None = None,
    **more: Any,
) -> None:
    """By the channels that the patient allows, and by the clinic's clock. Safe to repeat. Raises NotYet."""
    night = quiet_until(clinic, database_now()) if clinic else None
    messages.send(event=event, kind=kind, to=to, facts=facts, quiet_until=night, **more)


@subscribe(*KINDS)
def mail_about_visit(event: Event) -> None:
    booking = Booking.objects.select_related(*RELATED).get(pk=event.data["booking"])
    kind = KINDS[event.topic]
    if kind == "booked" and booking.hold and _tell_of_all(event, booking.hold):
        return
    if event.data.get("matched"):
        # One of several that were planned at once: `mail_about_sessions` tells of all of them.
        return
    if booking.status == Booking.Status.CANCELLED and kind != "cancelled":
        # Cancelled before this could be sent: that message says all.
        return overtaken(event)
    if kind == "moved" and (proposal := _replanned(event)):
        return mail_new_time(event, booking, proposal)
    if kind == "moved" and event.data.get("act") and not desk_news.is_due(event, booking):
        return overtaken(event)
    if kind == "cancelled":
        desk_news.as_last_told(booking)
    tell(
        event=event,
        kind=kind,
        to=booking.patient,
        clinic=booking.clinic,
        facts=partial(FACTS[kind], booking),
        extras=_with_calendar(booking),
        is_urgent=_cannot_wait(booking),
    )


def _cannot_wait(booking: Booking) -> bool:
    """News of a visit of today or tomorrow morning: who hears of it in the morning may be on the way."""
    return booking.starts_at < database_now() + dt.timedelta(hours=12)


def _booked(booking: Booking) -> dict[str, Any]:
    hours, rule = str(booking.free_cancel_hours), rule_of(booking, database_now())
    return visit_facts(booking, link=booking_url(booking), hours=hours, rule=rule)


def _moved(booking: Booking) -> dict[str, Any]:
    return visit_facts(booking, link=booking_url(booking))


def _cancelled(booking: Booking) -> dict[str, Any]:
    return visit_facts(booking, reason=cancel_reason(booking))


FACTS: dict[str, Callable[[Booking], dict[str, Any]]] = {
    "booked": _booked,
    "moved": _moved,
    "cancelled": _cancelled,
}


def _with_calendar(*bookings: Booking) -> Extras:
    """An invitation for each; a mailbox looks for the one of a message beside its text, not among the files."""
    invitations = [ics.invitation(each) for each in bookings]
    files = tuple(
        (f"visit-{each.reference}.ics", text, ics.FILE_TYPE)
        for each, (_method, text) in zip(bookings, invitations, strict=True)
    )
    return Extras(files=files, invitation=invitations[0] if len(bookings) == 1 else None)


def _tell_of_all(event: Event, hold: Hold) -> bool:
    """One message, sent for the lead, about all that was held and booked together. False for what was held alone."""
    if hold.lead_id:
        return True
    booked = bookings_of(hold).select_related(*RELATED)
    if len(booked) == 1:
        return False
    if live := [each for each in booked if each.status == Booking.Status.BOOKED]:
        tell(
            event=event,
            kind="planned",
            to=live[0].patient,
            clinic=live[0].clinic,
            facts=partial(_several_booked, live),
            extras=_with_calendar(*live),
        )
    else:
        overtaken(event)
    return True


def _several_booked(live: list[Booking]) -> dict[str, Any]:
    summary = ngettext("Your visit is booked", "Your %(count)s appointments are booked", len(live))
    return _list(live, summary)


def _several_planned(live: list[Booking]) -> dict[str, Any]:
    return _list(live, ngettext("Your visit is planned", "Your %(count)s visits are planned", len(live)))


def _list(live: list[Booking], summary: str) -> dict[str, Any]:
    visits = [(each, booking_url(each)) for each in live]
    return {**list_facts(visits), "summary": summary % {"count": len(live)}}


@subscribe("request.matched")
def mail_about_sessions(event: Event) -> None:
    """One message for all sessions of a request that got their times together."""
    live = Booking.objects.live().select_related(*RELATED).filter(session__in=event.data["sessions"])
    bookings = list(live.order_by("starts_at"))
    if not bookings:
        return overtaken(event)
    tell(
        event=event,
        kind="planned",
        to=bookings[0].patient,
        clinic=bookings[0].clinic,
        facts=partial(_several_planned, bookings),
        extras=_with_calendar(*bookings),
        waits=True,  # the plan may have been made in the night
    )


def _replanned(event: Event) -> ChangeProposal | None:
    """The clinic itself moved the visit with a change of its hours."""
    moved = ChangeProposal.objects.select_related("plan__clinic")
    return moved.filter(booking=event.data["booking"], moved_version=event.data["version"]).first()


def mail_new_time(event: Event, booking: Booking, proposal: ChangeProposal) -> None:
    if proposal.moved_version != booking.version:
        # Moved again before this could be sent: that message says all.
        return overtaken(event)
    tell(
        event=event,
        kind="replanned",
        to=booking.patient,
        clinic=booking.clinic,
        facts=partial(_new_time, booking, proposal),
        extras=_with_calendar(booking),
        is_urgent=_cannot_wait(booking),
    )


def _new_time(booking: Booking, proposal: ChangeProposal) -> dict[str, Any]:
    old = as_moment(proposal.from_starts_at, proposal.plan.clinic)
    return visit_facts(booking, link=new_time_url(booking), old=old)


@subscribe("change.open")
def mail_to_choose(event: Event) -> None:
    """The clinic cannot keep the time and found no other one."""
    waiting = ChangeProposal.objects.open_proposals().filter(pk=event.data["proposal"])
    if not waiting.exists():
        return overtaken(event)
    booking = Booking.objects.select_related(*RELATED).get(pk=event.data["booking"])
    tell(
        event=event,
        kind="needs_new_time",
        to=booking.patient,
        clinic=booking.clinic,
        facts=partial(_to_choose, booking),
        is_urgent=_cannot_wait(booking),
    )


def _to_choose(booking: Booking) -> dict[str, Any]:
    return visit_facts(booking, link=new_time_url(booking))
