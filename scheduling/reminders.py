"""Reminders: which are due, each exactly once, and what they say. All stops of a visit are told in one message."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext_lazy

from clinic_booking.events import News, publish_all, subscribe
from clinic_booking.messages.channels import Extras
from clinic_booking.messages.kinds import FACTS, VISIT, Kind, Purpose, register
from clinic_booking.messages.sending import overtaken
from clinic_booking.models import Event
from patients.opt_out import stop_headers, stop_url
from scheduling.links import answer_url
from scheduling.locks import database_now
from scheduling.message_kinds import visit_facts
from scheduling.models import Booking, Clinic, Reminder
from scheduling.notifications import tell
from scheduling.quiet import night_around

NOTICE = dt.timedelta(hours=1)  # less before a visit is no reminder, but a surprise
EVENING = dt.timedelta(minutes=30)  # so long before the night goes out what would be too late in the morning
BATCH = 200

FACTS.update(
    times=gettext_lazy("when each appointment of the visit begins"),
    stop_link=gettext_lazy("where to stop reminders"),
)
register(
    Kind(
        "reminder",
        gettext_lazy("Reminder of a visit"),
        gettext_lazy("Reminder: your visit on {date} at {time}"),
        (*VISIT, "times", "link", "stop_link"),
        purpose=Purpose.REMINDERS,
        waits=True,
    )
)

# Those that nobody has looked at yet. `known_at`: since when the visit has its time, and the clinic the rule.
# A visit whose reminder falls into the night is found up to a day early.
CANDIDATES = """
SELECT b.visit_id, b.id, r.id, r.minutes_before, b.starts_at,
    min(b.starts_at) OVER (PARTITION BY b.visit_id, r.id),
    greatest(r.created_at, b.created_at, (
        SELECT max(e.created_at) FROM clinic_booking_event e
        WHERE e.subject = 'booking:' || b.id AND e.topic = 'appointment.moved'))
FROM scheduling_booking b JOIN scheduling_reminderrule r ON r.clinic_id = b.clinic_id AND r.is_active
WHERE b.clinic_id = %(clinic)s AND b.status = 'booked' AND b.starts_at > %(now)s
    AND b.starts_at < %(now)s + make_interval(mins => r.minutes_before) + interval '1 day'
    AND b.starts_at < %(furthest)s
    AND (r.service_id = b.service_id OR r.service_id IS NULL AND NOT EXISTS (
        SELECT FROM scheduling_reminderrule own
        WHERE own.clinic_id = b.clinic_id AND own.service_id = b.service_id AND own.is_active))
    AND NOT EXISTS (
        SELECT FROM scheduling_reminder m
        WHERE m.booking_id = b.id AND m.rule_id = r.id AND m.starts_at = b.starts_at)
"""
# Of two workers one gets the row.
CLAIM = """
INSERT INTO scheduling_reminder (booking_id, rule_id, starts_at)
SELECT * FROM unnest(%(bookings)s::bigint[], %(rules)s::bigint[], %(times)s::timestamptz[])
ON CONFLICT DO NOTHING RETURNING id, booking_id, rule_id
"""


class Candidate(NamedTuple):
    visit: int
    booking: int
    rule: int
    minutes_before: int
    starts_at: dt.datetime
    first_at: dt.datetime  # of the visit
    known_at: dt.datetime


# -- Which are due -------------------------------------------------------------------------------


def send_due(now: dt.datetime | None = None) -> int:
    """Publish a `reminder.due` for each visit of which somebody is to be reminded now. Returns how many."""
    now = now or database_now()
    with_rules = Clinic.objects.filter(reminder_rules__is_active=True, is_active=True).distinct()
    return sum(_send_due_at(clinic, now) for clinic in with_rules)


def _send_due_at(clinic: Clinic, now: dt.datetime) -> int:
    due = [each for each in _candidates(clinic, now) if due_at(each, clinic) <= now]
    by_visit: dict[int, list[Candidate]] = defaultdict(list)
    for each in due:
        by_visit[each.visit].append(each)
    visits, sent = list(by_visit.values()), 0
    for first in range(0, len(visits), BATCH):
        with transaction.atomic(durable=True):
            sent += _claim(clinic, visits[first : first + BATCH])
    return sent


def _candidates(clinic: Clinic, now: dt.datetime) -> list[Candidate]:
    rules = clinic.reminder_rules.filter(is_active=True)
    ahead = dt.timedelta(days=1, minutes=max(rules.values_list("minutes_before", flat=True)))
    with connection.cursor() as cursor:
        cursor.execute(CANDIDATES, {"clinic": clinic.pk, "now": now, "furthest": now + ahead})
        return [Candidate(*row) for row in cursor.fetchall()]


def due_at(each: Candidate, clinic: Clinic) -> dt.datetime:
    """Not in the night: in the morning, where that is soon enough, else on the evening before."""
    due = each.first_at - dt.timedelta(minutes=each.minutes_before)
    night = night_around(clinic, due)
    if night is None:
        return due
    evening, morning = night
    return morning if morning + NOTICE <= each.first_at else evening - EVENING


def _claim(clinic: Clinic, visits: list[list[Candidate]]) -> int:
    # Sorted, so that two workers wait for each other in one direction only.
    every = sorted(each for visit in visits for each in visit)
    with connection.cursor() as cursor:
        asked: dict[str, Any] = {
            "bookings": [each.booking for each in every],
            "rules": [each.rule for each in every],
            "times": [each.starts_at for each in every],
        }
        cursor.execute(CLAIM, asked)
        mine = {(booking, rule): pk for pk, booking, rule in cursor.fetchall()}
    told = [(told, ids) for visit in visits for told, ids in _to_tell(clinic, visit, mine)]
    events = publish_all(
        News("reminder.due", f"visit:{one.visit}", _data(one), clinic.pk) for one, _ids in told
    )
    for event, (_one, ids) in zip(events, told, strict=True):
        Reminder.objects.filter(pk__in=ids).update(event=event)
    return len(events)


def _to_tell(
    clinic: Clinic, visit: list[Candidate], mine: dict[tuple[int, int], int]
) -> Iterable[tuple[Candidate, list[int]]]:
    """Of those that are mine the nearest rule tells of all that the patient has known of for longer."""
    known = [
        each for each in visit if (each.booking, each.rule) in mine and each.known_at <= due_at(each, clinic)
    ]
    if known:
        yield (
            min(known, key=lambda each: (each.minutes_before, each.starts_at)),
            [mine[each.booking, each.rule] for each in known],
        )


def _data(one: Candidate) -> dict[str, Any]:
    return {"visit": one.visit, "booking": one.booking, "rule": one.rule}


# -- What is said --------------------------------------------------------------------------------


@subscribe("reminder.due")
def mail_reminder(event: Event) -> None:
    related = "booking__clinic", "booking__patient", "rule"
    reminders = list(Reminder.objects.filter(event=event).select_related(*related).order_by("starts_at"))
    bookings = {each.booking_id: each.booking for each in reminders if _is_still_to_come(each)}
    if not bookings:
        return overtaken(event)
    stops = list(bookings.values())
    rule = next(each.rule for each in reminders if each.rule_id == event.data["rule"])
    patient = stops[0].patient
    tell(
        event=event,
        kind="reminder",
        to=patient,
        clinic=stops[0].clinic,
        facts=partial(_facts, stops),
        order=rule.channels,
        extras=Extras(headers=stop_headers(patient)),
        until=stops[0].starts_at,
    )


def _is_still_to_come(reminder: Reminder) -> bool:
    """Not cancelled, moved or here."""
    booking = reminder.booking
    return booking.status == Booking.Status.BOOKED and booking.starts_at == reminder.starts_at


def _facts(stops: list[Booking]) -> dict[str, Any]:
    first = stops[0]
    each = [visit_facts(stop) for stop in stops]
    return {
        **each[0],
        "until": each[-1]["until"],
        "times": ", ".join(facts["time"] for facts in each),
        "link": answer_url(first),
        "stop_link": stop_url(first.patient),
    }
