"""Messages of the demo: rules, patients who chose SMS or another language, and one message in each state.

Some reminders really go out: e-mails to `.local/mail`, SMS and WhatsApp to `.local/messages`; in quiet hours they
wait for the morning.
"""

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from clinic_booking.events import deliver_later, publish
from clinic_booking.messages.kinds import Channel
from clinic_booking.models import Event, Notification
from patients import consents
from patients.models import Patient
from scheduling.locks import database_now
from scheduling.models import Booking, Clinic, Reminder, ReminderRule

RULES = {3 * 24 * 60: ["email", "sms", "whatsapp"], 2 * 60: ["sms", "whatsapp", "email"]}
SENDER = "scheduling.reminders.mail_reminder"
Status = Notification.Status


def stage_messages(clinics: Sequence[Clinic], patients: Sequence[Patient]) -> None:
    """Whatever of it is missing."""
    for clinic in clinics:
        for minutes, channels in RULES.items():
            ReminderRule.objects.get_or_create(
                clinic=clinic, service=None, minutes_before=minutes, defaults={"channels": channels}
            )
    if Reminder.objects.exists():
        return
    with transaction.atomic():
        _choose(patients)
        now = database_now()
        ahead = Booking.objects.filter(status=Booking.Status.BOOKED, starts_at__gt=now + dt.timedelta(days=1))
        for patient in patients[:3]:
            if booking := ahead.filter(patient=patient).order_by("starts_at").first():
                _really_remind(booking)
        others = ahead.filter(clinic=clinics[0]).exclude(patient__in=patients[:3])
        _in_each_state(list(others.order_by("starts_at", "pk")[60:66]), now)
        _confirm(list(others.order_by("starts_at", "pk")[:12:3]), now)


def _choose(patients: Sequence[Patient]) -> None:
    sms, whatsapp, tamil = patients[:3]
    consents.record(patient_id=sms.pk, wanted={"reminders_sms": True}, channel="web", by=None)
    consents.record(patient_id=whatsapp.pk, wanted={"reminders_whatsapp": True}, channel="web", by=None)
    consents.speak(patient_id=whatsapp.pk, language="zh")
    consents.speak(patient_id=tamil.pk, language="ta")


def _rule(booking: Booking) -> ReminderRule:
    return ReminderRule.objects.get(clinic=booking.clinic_id, service=None, minutes_before=min(RULES))


def _data(booking: Booking) -> dict[str, int]:
    return {"visit": booking.visit_id, "booking": booking.pk, "rule": _rule(booking).pk}


def _really_remind(booking: Booking) -> None:
    event = publish("reminder.due", f"visit:{booking.visit_id}", _data(booking), clinic_id=booking.clinic_id)
    Reminder.objects.create(booking=booking, rule=_rule(booking), starts_at=booking.starts_at, event=event)


def _in_each_state(bookings: Sequence[Booking], now: dt.datetime) -> None:
    sent = {"sent_at": now - dt.timedelta(minutes=20), "attempts": 1}
    later = now + dt.timedelta(minutes=10)
    states: list[list[tuple[Channel, Status, dict[str, object]]]] = [
        [(Channel.EMAIL, Status.SENT, sent)],
        [(Channel.SMS, Status.DELIVERED, {**sent, "delivered_at": now - dt.timedelta(minutes=19)})],
        [
            (Channel.EMAIL, Status.FAILED, {"attempts": 1, "error": "SMTPRecipientsRefused"}),
            (Channel.WHATSAPP, Status.SENT, sent),
        ],
        [(Channel.EMAIL, Status.QUEUED, {"attempts": 5, "error": "TimeoutError", "next_try_at": later})],
        [(Channel.EMAIL, Status.SKIPPED, {"error": "no_channel"})],
        [(Channel.EMAIL, Status.BY_PHONE, {"attempts": 11, "error": "ConnectionRefusedError"})],
    ]
    for booking, notes in zip(bookings, states, strict=False):
        event = _untold(booking)
        for channel, status, values in notes:
            Notification.objects.create(
                event=event,
                kind="reminder",
                channel=channel,
                patient_id=booking.patient_id,
                status=status,
                **values,
            )
            if status == Status.QUEUED:
                deliver_later(event.pk, SENDER, (later - now).total_seconds())


def _untold(booking: Booking) -> Event:
    """Written without `publish`: its jobs would send the message."""
    event = Event.objects.create(
        topic="reminder.due",
        subject=f"visit:{booking.visit_id}",
        clinic_id=booking.clinic_id,
        data=_data(booking),
    )
    Reminder.objects.create(booking=booking, rule=_rule(booking), starts_at=booking.starts_at, event=event)
    return event


def _confirm(bookings: Sequence[Booking], now: dt.datetime) -> None:
    """They have tapped on "I am coming": the desk sees it."""
    for booking in bookings:
        booking.confirmed_at, booking.confirmed_version = now, booking.version
        booking.save(update_fields=["confirmed_at", "confirmed_version"])
