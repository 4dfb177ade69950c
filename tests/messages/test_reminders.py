"""Who is reminded when: each visit once for each rule, at its time, never in the night."""

import datetime as dt

import pytest
from django.core import mail
from django.db import transaction

from clinic_booking.models import Event, Notification
from scheduling import reminders
from scheduling.booking import cancel_booking, move_booking
from scheduling.models import Booking, Reminder, ReminderRule
from scheduling.reminders import mail_reminder, send_due
from tests import factories

pytestmark = pytest.mark.django_db
HOURS = dt.timedelta(hours=1)


def rule(clinic, hours=2, **values):
    return ReminderRule.objects.create(clinic=clinic, minutes_before=hours * 60, **values)


@pytest.fixture
def visit(slots, service, patient, clinic):
    rule(clinic)
    return factories.book(slots[:1], service=service, patient=patient)


def due():
    return list(Event.objects.filter(topic="reminder.due").order_by("pk"))


def hear():
    for event in due():
        mail_reminder(event)
    return [message.subject for message in mail.outbox]


def test_reminded_at_its_time_and_once(visit):
    time = visit.starts_at - 2 * HOURS
    assert send_due(time - dt.timedelta(seconds=1)) == 0
    assert send_due(time) == 1
    assert send_due(time) == 0
    [event] = due()
    assert event.data == {"visit": visit.visit_id, "booking": visit.pk, "rule": ReminderRule.objects.get().pk}
    hear()
    hear()
    assert len(mail.outbox) == 1


def test_reminder_says_where_and_when_and_how_to_go_on(visit, clinic):
    send_due(visit.starts_at - 2 * HOURS)
    hear()
    [message] = mail.outbox
    assert f"/bookings/{visit.reference}/answer/?key=" in message.body
    assert clinic.address in message.body
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    stop = message.extra_headers["List-Unsubscribe"].strip("<>")
    assert stop in message.body
    assert stop in message.alternatives[0].content


def test_of_two_workers_one_reminds(visit, clinic):
    now = visit.starts_at - 2 * HOURS
    seen_by_both = reminders._candidates(clinic, now)
    assert reminders._claim(clinic, [seen_by_both]) == 1
    assert reminders._claim(clinic, [seen_by_both]) == 0
    assert len(due()) == 1


def test_worker_that_was_away_reminds_late(visit):
    assert send_due(visit.starts_at - dt.timedelta(minutes=10)) == 1


def test_visit_that_has_begun_is_not_reminded_of(visit):
    assert send_due(visit.starts_at) == 0


def test_booked_later_than_its_reminder(visit):
    created_at = visit.starts_at - 1 * HOURS
    Booking.objects.filter(pk=visit.pk).update(created_at=created_at)
    assert send_due(created_at) == 0
    assert Reminder.objects.get().event is None
    assert due() == []


def test_cancelled_visit_is_not_reminded_of(visit):
    send_due(visit.starts_at - 2 * HOURS)
    with transaction.atomic():
        cancel_booking(booking_id=visit.pk, by=None, reason="patient")
    assert hear() == []
    assert send_due(visit.starts_at - 1 * HOURS) == 0


def test_patient_who_is_here_is_not_reminded(visit):
    send_due(visit.starts_at - 2 * HOURS)
    Booking.objects.filter(pk=visit.pk).update(status="arrived", arrived_at=visit.starts_at)
    assert hear() == []


def test_moved_visit_is_reminded_of_at_its_new_time(visit, slots):
    send_due(visit.starts_at - 2 * HOURS)
    with transaction.atomic():
        move_booking(booking_id=visit.pk, slot_id=slots[3].pk, by=None)
    assert hear() == []
    assert send_due(slots[3].starts_at - 2 * HOURS) == 1
    [subject] = hear()
    assert "10:00" in subject


def test_check_in_that_is_taken_back_reminds_nobody_again(visit):
    send_due(visit.starts_at - 2 * HOURS)
    Booking.objects.filter(pk=visit.pk).update(version=3)
    assert send_due(visit.starts_at - 1 * HOURS) == 0


def test_stops_of_a_visit_are_one_message(visit, slots, service, patient):
    factories.book(slots[3:4], service=service, patient=patient, visit=visit.visit)
    assert send_due(visit.starts_at - 2 * HOURS) == 1
    assert len(hear()) == 1
    assert "09:00, 10:00" in mail.outbox[0].body
    assert send_due(slots[3].starts_at - 2 * HOURS) == 0


def test_added_stop_is_reminded_of_by_itself(visit, slots, service, patient):
    now = visit.starts_at - 2 * HOURS
    send_due(now)
    added = factories.book(slots[5:6], service=service, patient=patient, visit=visit.visit)
    assert send_due(added.starts_at - 2 * HOURS) == 1


def test_nearest_of_two_rules_tells(visit, clinic):
    rule(clinic, hours=3)
    assert send_due(visit.starts_at - 1 * HOURS) == 1
    assert due()[0].data["rule"] == ReminderRule.objects.get(minutes_before=120).pk
    assert Reminder.objects.count() == 2


def test_each_rule_at_its_time(visit, clinic):
    rule(clinic, hours=3)
    assert send_due(visit.starts_at - 3 * HOURS) == 1
    assert send_due(visit.starts_at - 2 * HOURS) == 1
    assert len(hear()) == 2


def test_rules_of_the_service_replace_those_of_the_clinic(visit, clinic, service):
    rule(clinic, hours=1, service=service)
    assert send_due(visit.starts_at - 2 * HOURS) == 0
    assert send_due(visit.starts_at - 1 * HOURS) == 1


def test_other_clinics_and_switched_off_rules_do_not_count(visit):
    ReminderRule.objects.update(is_active=False)
    rule(factories.ClinicFactory())
    assert send_due(visit.starts_at - 1 * HOURS) == 0


@pytest.mark.parametrize(
    ("hour", "hours_before", "expected"),
    [
        (15, 72, (-3, 15, 0)),
        (9, 2, (0, 8, 0)),  # in the morning
        (8, 2, (-1, 20, 30)),  # that would be too late: on the evening before
        (23, 1, (0, 20, 30)),
        (22, 24, (0, 8, 0)),
    ],
)
def test_nobody_is_reminded_in_the_night(hour, hours_before, expected):
    clinic = factories.ClinicFactory.build(quiet_from=dt.time(21), quiet_until=dt.time(8))
    day = dt.datetime(2026, 10, 7, tzinfo=clinic.zone)
    at = day.replace(hour=hour)
    each = reminders.Candidate(1, 1, 1, hours_before * 60, at, at, at)
    days, hour, minute = expected
    assert reminders.due_at(each, clinic) == (day + dt.timedelta(days)).replace(hour=hour, minute=minute)


def test_reminder_needs_a_channel_that_is_not_stopped(visit, allow, patient):
    allow(patient, reminders_email=False)
    send_due(visit.starts_at - 2 * HOURS)
    assert hear() == []
    assert Notification.objects.get().error == "no_channel"


def test_channels_in_the_order_of_the_rule(visit, allow, patient, told):
    ReminderRule.objects.update(channels=["whatsapp", "sms", "email"])
    allow(patient, reminders_sms=True)
    send_due(visit.starts_at - 2 * HOURS)
    assert hear() == []
    [(channel, to, text)] = told()
    assert (channel, to) == ("sms", patient.phone)
    assert "09:00" in text
    assert "/messages/stop/" in text


def test_new_rule_does_not_make_up_for_what_was_due_before(visit, clinic):
    rule(clinic, hours=72)
    assert send_due(visit.starts_at - 12 * HOURS) == 0
    assert send_due(visit.starts_at - 2 * HOURS) == 1
