"""The SQL of the queue says of thousands what fit.py says of one; and it stays quick with thousands."""

import datetime as dt

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling import fit, queue, search
from scheduling.models import BookingPattern, WaitlistEntry
from tests import factories
from tests.factories import wait

pytestmark = pytest.mark.django_db

hours = st.sampled_from([None, dt.time(9), dt.time(9, 20), dt.time(10), dt.time(11)])
gaps = st.sampled_from([None, 0, 1, 3])
days = st.sampled_from([None, -1, 0, 1, 4])
patterns = st.lists(
    st.fixed_dictionaries(
        {
            "is_hard": st.booleans(),
            "weekdays": st.lists(st.integers(1, 7), unique=True, max_size=3),
            "from_time": hours,
            "until_time": hours,
            "earliest": days,
            "latest": days,
            "min_gap_days": gaps,
            "max_gap_days": gaps,
            "who": st.sets(st.sampled_from([0, 1]), max_size=1),
            "where": st.sets(st.sampled_from([0, 1]), max_size=1),
        }
    ),
    max_size=3,
)


def in_order(low, high):
    return low is None or high is None or low <= high


@pytest.fixture
def other_clinic(db):
    return factories.ClinicFactory()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=patterns, others=st.lists(st.integers(-4, 4), max_size=2, unique=True))
def test_sql_and_fit_agree(slots, service, practitioner, clinic, other_clinic, asked, others):
    day = factories.tomorrow_at(9).date()
    request = factories.BookingRequestFactory(service=service, source="contract", quantity=1 + len(others))
    for number, offset in enumerate(others, 2):
        session = factories.SessionTicketFactory(request=request, number=number, status="scheduled")
        starts_at = factories.tomorrow_at(15) + dt.timedelta(offset)
        factories.BookingFactory(
            session=session, patient=request.patient, service=service, starts_at=starts_at
        )
    session = factories.SessionTicketFactory(request=request, number=1, status="planned")
    factories.WaitlistEntryFactory(session=session)
    for values in asked:
        _pattern(
            request,
            dict(values),
            day,
            [practitioner, factories.PractitionerFactory()],
            [clinic, other_clinic],
        )
    rules = fit.read_rules([request.pk])[request.pk](session.pk)
    times = {
        slot.pk: fit.Time(slot.starts_at, slot.starts_at + dt.timedelta(minutes=20), clinic, practitioner.pk)
        for slot in slots[: queue.STARTS_FOR_EACH]
    }
    starts = [
        (service, search.Start(s.pk, s.starts_at, practitioner.pk, s.station_id, clinic.pk))
        for s in slots[: queue.STARTS_FOR_EACH]
    ]
    found = {chance.slot_id: chance.score for chance in queue.match(clinic, starts)}
    assert found == {pk: rules.score(time) for pk, time in times.items() if rules.fits(time)}
    WaitlistEntry.objects.update(status="left", ended_at=factories.tomorrow_at(0))


def _pattern(request, values, day, people, clinics):
    who, where = values.pop("who"), values.pop("where")
    for name in ("earliest", "latest"):
        values[name] = None if values[name] is None else day + dt.timedelta(values[name])
    for low, high in (("from_time", "until_time"), ("earliest", "latest"), ("min_gap_days", "max_gap_days")):
        if not in_order(values[low], values[high]) or (low == "from_time" and values[low] == values[high]):
            values[high] = None
    factories.BookingPatternFactory(
        request=request,
        practitioners=[people[n] for n in who],
        clinics=[clinics[n] for n in where],
        **values,
    )


def test_thousands_wait_and_one_time_is_free(slots, service, practitioner, django_assert_num_queries):
    """What it costs does not grow with what has ended, and little with who waits."""
    entry = wait(service, weekdays=[1, 2, 3, 4, 5, 6, 7])
    _many(entry, 2000)
    starts = [
        (service, search.Start(slots[0].pk, slots[0].starts_at, practitioner.pk, slots[0].station_id, 1))
    ]
    clinic = slots[0].clinic
    with django_assert_num_queries(1):
        found = queue.match(clinic, starts)
    assert found[0].entry_id == entry.pk
    assert len(found) == queue.LIMIT
    assert BookingPattern.objects.count() == 2001


def _many(entry, count):
    """As many more entries like this one, each of its own patient, one minute later each."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH n AS (SELECT generate_series(1, %(count)s) AS n),
            p AS (INSERT INTO patients_patient (uuid, name, email, phone)
                  SELECT gen_random_uuid(), 'P' || n, n || '@example.com', '+6591234567' FROM n RETURNING id),
            r AS (INSERT INTO scheduling_bookingrequest (patient_id, service_id, source, quantity)
                  SELECT p.id, %(service)s, 'waitlist', 1 FROM p RETURNING id),
            h AS (INSERT INTO scheduling_bookingpattern (request_id, is_hard, weekdays)
                  SELECT id, true, '{1,2,3,4,5,6,7}' FROM r),
            t AS (INSERT INTO scheduling_sessionticket (request_id, number, status)
                  SELECT id, 1, 'planned' FROM r RETURNING id)
            INSERT INTO scheduling_waitlistentry (session_id, joined_at)
            SELECT id, now() + interval '1 minute' FROM t
            """,
            {"count": count, "service": entry.session.request.service_id},
        )
        # As autovacuum has done where so many have joined one by one.
        cursor.execute(
            "ANALYZE patients_patient, scheduling_bookingrequest, scheduling_bookingpattern,"
            " scheduling_sessionticket, scheduling_waitlistentry"
        )
