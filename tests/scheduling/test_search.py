"""What search offers is what can be held, and nothing else; against an answer by brute force."""

import datetime as dt
import itertools

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling import booking, errors, search
from scheduling.models import Slot
from tests import factories
from tests.scheduling import grid

pytestmark = pytest.mark.django_db
quick = settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

kinds = st.fixed_dictionaries(
    {
        "duration_minutes": st.sampled_from([10, 20, 30, 40, 60]),
        "buffer_minutes": st.sampled_from([0, 10, 20]),
    }
)
CHANGES = grid.clock_changes()
TOMORROW = timezone.now().date() + dt.timedelta(days=2)
# Local midnights and the small hours in which Berlin's clocks change; and now, half a minute from any start.
instants = st.one_of(
    st.builds(
        lambda day, hour: dt.datetime.combine(day, dt.time(hour), grid.BERLIN).astimezone(dt.UTC),
        st.sampled_from([*CHANGES.values(), TOMORROW]),
        st.sampled_from([0, 3]),
    ),
    st.just(dt.datetime.combine(TOMORROW, dt.time(16), dt.UTC)),  # midnight in Singapore
    st.builds(lambda: timezone.now() + dt.timedelta(seconds=30)),
)


@pytest.fixture
def supply(db):
    return grid.Supply.make()


@pytest.fixture
def service(supply):
    """Offered by all but the last practitioner."""
    return factories.ServiceFactory(practitioners=[who for who, _ in supply.places[:-1]])


def days_around(instant):
    return [instant.date() + dt.timedelta(n) for n in (-1, 0, 1, 2)]


@quick
@given(grids=grid.grids, around=instants, kind=kinds)
def test_times_are_those_found_by_brute_force(supply, service, grids, around, kind):
    vars(service).update(kind)
    service.save()
    with supply.filled(grids, around):
        for clinic, day in itertools.product(supply.clinics, days_around(around)):
            expected = [s for s in grid.starts(service, clinic) if clinic.local_date(s.slot.starts_at) == day]
            people = search.day_times(service=service, clinics=[clinic], day=day)
            found = [
                (time.slot_id, time.status, time.held_until if time.status == "held" else None, time.covers)
                for person in people
                for time in person.times
            ]
            assert found == [(s.slot.pk, s.status, s.held_until, s.covers) for s in expected]
            counts = search.day_counts(service=service, clinics=[clinic], first=day, days=1)
            assert counts == {day: sum(s.status == "available" for s in expected)}


@quick
@given(grids=grid.grids, around=instants)
def test_counts_are_those_of_the_listed_days(supply, service, grids, around):
    with supply.filled(grids, around):
        first = days_around(around)[0]
        counts = search.day_counts(service=service, clinics=supply.clinics, first=first, days=4)
        assert counts == {
            day: sum(
                time.status == "available"
                for person in search.day_times(service=service, clinics=supply.clinics, day=day)
                for time in person.times
            )
            for day in days_around(around)
        }


@quick
@given(grids=grid.grids, around=instants, minutes=st.integers(-200, 200), limit=st.integers(1, 8))
def test_nearest_are_the_nearest(supply, service, grids, around, minutes, limit):
    asked = around + dt.timedelta(minutes=minutes)
    with supply.filled(grids, around):
        free = [
            s.slot
            for clinic in supply.clinics
            for s in grid.starts(service, clinic)
            if s.status == "available"
        ]
        by_distance = sorted(free, key=lambda s: (abs(s.starts_at - asked), s.starts_at, s.practitioner.name))
        expected = sorted(by_distance[:limit], key=lambda s: s.starts_at)
        found = search.nearest_free(
            service_id=service.pk, clinic_ids=[c.pk for c in supply.clinics], around=asked, limit=limit
        )
        assert [time.slot_id for time in found] == [slot.pk for slot in expected]
        assert {(time.practitioner_name, time.clinic_id) for time in found} <= {
            (slot.practitioner.name, slot.clinic_id) for slot in expected
        }


@quick
@given(grids=grid.grids, around=instants, kind=kinds)
def test_what_is_offered_can_be_held_and_nothing_else(supply, service, grids, around, kind):
    vars(service).update(kind)
    service.save()
    with supply.filled(grids, around):
        found = [
            time
            for day in days_around(around)
            for person in search.day_times(service=service, clinics=supply.clinics, day=day)
            for time in person.times
        ]
        offered = {time.slot_id: time.covers for time in found if time.status == "available"}
        for pk in Slot.objects.order_by("pk").values_list("pk", flat=True):
            try:
                held = booking.hold_slots(slot_id=pk, service_id=service.pk, owner="seeker")
            except (errors.SlotTaken, errors.NotOffered):
                assert pk not in offered
            else:
                assert [slot.pk for slot in held.slots.order_by("starts_at")] == offered[pk]
                booking.release_hold(hold_id=held.pk, owner="seeker")
