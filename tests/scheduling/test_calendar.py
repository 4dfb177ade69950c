"""The dataset is the database; and it, as search and hold, looks up a day by index however many slots there are."""

import datetime as dt
import json
import re

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling import booking, calendar, search
from scheduling.models import Booking, Hold, Overbooking, Slot
from tests import factories
from tests.scheduling import grid

pytestmark = pytest.mark.django_db

MILLISECOND = dt.timedelta(milliseconds=1)
CHANGES = grid.clock_changes()


@pytest.fixture
def supply(db):
    return grid.Supply.make()


def read(clinic, first, days=1, **options):
    answer = json.loads(calendar.dataset(clinics=[clinic], first=first, days=days, **options))
    (shown,) = answer["clinics"]
    return shown


def on_the_wall(instant, zone, first):
    """Minutes from the first day's midnight as the clock on the clinic's wall shows them."""
    local = instant.astimezone(zone).replace(tzinfo=None)
    return (local - dt.datetime.combine(first, dt.time())) // dt.timedelta(minutes=1)


def in_ms(instant):
    """Rounded as PostgreSQL does."""
    return (instant - dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=500)) // MILLISECOND


@settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    grids=grid.grids,
    first=st.sampled_from(sorted(CHANGES.values())),
    hour=st.sampled_from([0, 3]),
    days=st.integers(1, 3),
)
def test_dataset_is_the_database(supply, grids, first, hour, days):
    around = dt.datetime.combine(first, dt.time(hour), grid.BERLIN).astimezone(dt.UTC)
    with supply.filled(grids, around):
        for clinic in supply.clinics:
            read_slots = {
                (column["id"], *slot)
                for column in read(clinic, first, days)["columns"]
                for slot in zip(*column["slots"].values(), strict=True)
            }
            from_, until = clinic.day_bounds(first, days)
            assert read_slots == {
                (
                    slot.practitioner_id,
                    slot.pk,
                    slot.version,
                    grid.state(slot),
                    on_the_wall(slot.starts_at, clinic.zone, first),
                    on_the_wall(slot.ends_at, clinic.zone, first),
                    slot.held_until and in_ms(slot.held_until),
                    slot.station_id,
                )
                for slot in Slot.objects.filter(clinic=clinic, starts_at__gte=from_, starts_at__lt=until)
            }


def test_bookings_are_named_at_their_place(slots, service, patient, clinic):
    made = factories.book(slots[1:3], service=service, patient=patient)
    shown = read(clinic, clinic.local_date(made.starts_at))["bookings"]
    assert shown == [
        {
            "ref": made.reference,
            "practitioner": made.practitioner_id,
            "practitioner_name": made.practitioner.name,
            "status": "booked",
            "version": 1,
            "start": 9 * 60 + 20,
            "end": 9 * 60 + 60,
            "patient": patient.name,
            "service": service.pk,
            "service_name": service.name,
            "buffer": service.buffer_minutes,
            "station": made.station_id,
            "arrived": None,
            "called": None,
            "started": None,
            "confirmed": False,
            "overbooked": False,
        }
    ]


@pytest.mark.parametrize("ended", [{"cancelled": True}, {"status": "noshow"}])
def test_ended_bookings_are_not_shown(slots, service, clinic, ended):
    factories.BookingFactory(clinic=clinic, starts_at=slots[0].starts_at, service=service, **ended)
    assert read(clinic, clinic.local_date(slots[0].starts_at))["bookings"] == []


def test_visit_without_supply_is_shown(clinic, service):
    """Added on purpose to a time that is taken, or its hours are gone."""
    made = factories.BookingFactory(clinic=clinic, service=service, starts_at=factories.tomorrow_at(9))
    template = factories.ScheduleTemplateFactory(clinic=clinic, practitioner=made.practitioner)
    added = Overbooking.objects.create(
        booking=made,
        template=template,
        date=clinic.local_date(made.starts_at),
        number=1,
        limit=2,
        reason="Fever",
        added_by=factories.UserFactory(),
    )
    (shown,) = read(clinic, added.date)["bookings"]
    assert (shown["overbooked"], shown["practitioner_name"]) == (True, made.practitioner.name)
    Overbooking.objects.update(ended_at=made.starts_at)
    (shown,) = read(clinic, added.date)["bookings"]
    assert not shown["overbooked"]


def test_what_happened_is_in_the_servers_time(clinic, service, slots):
    made = factories.book(slots[:1], service=service)
    times = [made.starts_at + n * dt.timedelta(minutes=5) for n in range(3)]
    named = dict(zip(["arrived_at", "called_at", "started_at"], times, strict=True))
    Booking.objects.update(status=Booking.Status.ARRIVED, **named)
    (shown,) = read(clinic, clinic.local_date(made.starts_at))["bookings"]
    assert [shown[name] for name in ("arrived", "called", "started")] == [in_ms(time) for time in times]


def test_one_practitioner_of_a_week(slots, service, clinic, practitioner):
    factories.book(slots[:1], service=service)
    other = factories.BookingFactory(clinic=clinic, service=service, starts_at=slots[0].starts_at)
    first = clinic.local_date(slots[0].starts_at)
    week = read(clinic, first, 7, practitioner=practitioner.pk)
    assert [column["id"] for column in week["columns"]] == [practitioner.pk]
    assert [each["practitioner"] for each in week["bookings"]] == [practitioner.pk]
    alone = read(clinic, first, practitioner=other.practitioner_id)
    assert (alone["columns"], len(alone["bookings"])) == ([], 1)


def test_clinics_side_by_side_are_one_query(supply, django_assert_num_queries):
    """Each clinic's day is its own: the same minutes on the wall, hours apart."""
    around = dt.datetime.combine(min(CHANGES.values()), dt.time(9), dt.UTC)
    with supply.filled([(0, [(0, 20, "free")])] * 4, around):
        first = around.date()
        with django_assert_num_queries(1):
            both = json.loads(calendar.dataset(clinics=supply.clinics, first=first, days=1))
        assert both["clinics"] == [read(clinic, first) for clinic in supply.clinics]
        assert all(len(shown["columns"]) == 2 for shown in both["clinics"])


def test_day_without_slots_is_empty(clinic):
    answer = json.loads(calendar.dataset(clinics=[clinic], first=clinic.today(), days=1))
    (shown,) = answer["clinics"]
    assert (answer["from"], answer["days"]) == (clinic.today().isoformat(), 1)
    assert (shown["slug"], shown["zone"]) == (clinic.slug, clinic.time_zone)
    assert (shown["columns"], shown["bookings"]) == ([], [])


# -- Plans ---------------------------------------------------------------------------------------

# Twelve practitioners, 120 days of three hours: 12,960 slots.
MANY = """
INSERT INTO scheduling_slot (clinic_id, practitioner_id, station_id, starts_at, ends_at, is_blocked, block_reason)
SELECT %(clinic)s, p.id, t.id, start, start + interval '20 minutes', false, ''
FROM unnest(%(people)s::bigint[], %(stations)s::bigint[]) AS q(person, station)
JOIN scheduling_practitioner p ON p.id = person JOIN scheduling_station t ON t.id = station,
generate_series(0, %(days)s - 1) AS day, generate_series(0, 8) AS n,
LATERAL (SELECT %(first)s + make_interval(days => day, mins => n * 20) AS start) s
"""


@pytest.fixture
def many(slots, service, clinic):
    """The day of `slots` among very many others of the same clinic."""
    people = [factories.PractitionerFactory() for _ in range(12)]
    service.practitioners.add(*people)
    stations = [factories.StationFactory(clinic=clinic) for _ in people]
    values = {
        "clinic": clinic.pk,
        "people": [person.pk for person in people],
        "stations": [station.pk for station in stations],
        "days": 120,
        "first": factories.tomorrow_at(9),
    }
    with connection.cursor() as cursor:
        cursor.execute(MANY, values)
        assert cursor.rowcount == 12 * 120 * 9
        cursor.execute("ANALYZE scheduling_slot")
    return slots


def plans(verb):
    """The plan of each statement of the verb that reads slots."""
    found = []

    def explain(execute, sql, params, many, context):
        if re.match(r"\s*(SELECT|WITH)", sql) and "scheduling_slot" in sql:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                (plan,) = cursor.fetchone()
                found.append(plan if isinstance(plan, str) else json.dumps(plan))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        verb()
    return found


def whole_table(plan):
    """Nodes that read all slots: a scan, or a walk through a whole index."""

    def walk(node):
        yield node
        for child in node.get("Plans", []):
            yield from walk(child)

    (top,) = json.loads(plan)
    return [node for node in walk(top["Plan"]) if reads_all_slots(node)]


def reads_all_slots(node):
    if node.get("Relation Name") != "scheduling_slot" or node["Node Type"] == "ModifyTable":
        return False
    if node.get("Index Name") == "slot_hold":  # has only those that name a hold
        return False
    return not (node.get("Index Cond") or node.get("Recheck Cond"))


def test_no_hot_query_reads_the_whole_table(many, service, clinic, patient):
    day = clinic.local_date(many[0].starts_at)
    asked = {"service": service, "clinics": [clinic]}
    verbs = {
        "times": lambda: search.day_times(**asked, day=day),
        "counts": lambda: search.day_counts(**asked, first=day, days=7),
        "nearest": lambda: search.nearest_free(
            service_id=service.pk, clinic_ids=[clinic.pk], around=many[0].starts_at
        ),
        "calendar": lambda: calendar.dataset(clinics=[clinic], first=day, days=1),
        "hold": lambda: booking.hold_slots(slot_id=many[3].pk, service_id=service.pk, owner="me"),
        "renew": lambda: booking.renew_hold(hold_id=Hold.objects.get(ended_at=None).pk, owner="me"),
        "sweep": booking.expire_holds,
        "confirm": lambda: booking.confirm_hold(hold_id=Hold.objects.get(ended_at=None).pk, patient=patient),
        "move": lambda: booking.move_booking(
            booking_id=Booking.objects.get().pk, slot_id=many[4].pk, by=None
        ),
        "cancel": lambda: booking.cancel_booking(booking_id=Booking.objects.get().pk, by=None, reason="desk"),
    }
    bad = {name: [whole_table(plan) for plan in plans(verb)] for name, verb in verbs.items()}
    assert {name: found for name, found in bad.items() if any(found)} == {}
