"""Why a time is not offered; and that the answer is never at odds with the search."""

import datetime as dt

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling import inventory, search
from scheduling.explain import why_not
from scheduling.models import EquipmentReservation, ScheduleException, Slot
from tests import factories
from tests.scheduling import grid

pytestmark = pytest.mark.django_db
NOON = dt.datetime.combine(timezone.now().date() + dt.timedelta(2), dt.time(12), dt.UTC)
PAGE = "/desk/tanjong-pagar/explain/"


def reasons(slot, service, **more):
    found = why_not(
        service=service, clinic=slot.clinic, practitioner=slot.practitioner, starts_at=slot.starts_at, **more
    )
    assert found.slot == slot
    return found.reasons


@pytest.fixture
def supply(db):
    return grid.Supply.make()


# -- Never at odds with the search ---------------------------------------------------------------


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    grids=grid.grids,
    around=st.sampled_from([NOON, timezone.now() + dt.timedelta(seconds=30)]),
    duration=st.sampled_from([10, 20, 40]),
    buffer=st.sampled_from([0, 10]),
    used=st.lists(st.tuples(st.integers(-12, 12), st.sampled_from([1, 3]), st.booleans()), max_size=2),
    is_equipped=st.booleans(),
)
def test_answer_is_that_of_the_search(supply, grids, around, duration, buffer, used, is_equipped):
    kinds = ["laser-head"] if is_equipped else []
    offering = [who for who, _ in supply.places[:-1]]
    service = factories.ServiceFactory(
        duration_minutes=duration, buffer_minutes=buffer, equipment_kinds=kinds, practitioners=offering
    )
    with supply.filled(grids, around):
        unit = factories.EquipmentFactory(clinic=supply.clinics[0], kind="laser-head")
        for offset, length, is_over in used[:1]:
            hold = factories.HoldFactory(run_out=is_over)
            start = around + offset * 10 * grid.MINUTE
            EquipmentReservation.objects.create(
                equipment=unit, unit=1, starts_at=start, ends_at=start + length * 10 * grid.MINUTE,
                hold=hold, held_until=hold.expires_at,
            )  # fmt: skip
        ids = [clinic.pk for clinic in supply.clinics]
        first, until = around - dt.timedelta(1), around + dt.timedelta(1)
        starts = search.free_starts(service=service, clinics=ids, first=first, until=until)
        bookable = {start.slot_id for start in starts}
        for slot in Slot.objects.select_related("clinic", "practitioner"):
            assert (not reasons(slot, service)) == (slot.pk in bookable), reasons(slot, service)


# -- In words ------------------------------------------------------------------------------------


def test_free_time_has_no_reasons(slots, service):
    assert reasons(slots[0], service) == []


def test_claims_are_named_without_names(slots, practitioner, service):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    booking = factories.book(slots[1:2], service=service)
    Slot.objects.filter(pk=slots[3].pk).update(is_blocked=True, block_reason="Maintenance")
    held = factories.hold(slots[5:6], service=service)
    assert reasons(slots[1], service) == ["09:20 is booked."]
    assert reasons(slots[0], double) == ["09:20 is booked."]
    assert reasons(slots[3], service) == ["10:00 is blocked: Maintenance."]
    until = timezone.localtime(held.expires_at).strftime("%H:%M")
    assert reasons(slots[5], service) == [f"10:40 is on hold until {until}."]
    assert booking.patient.name not in " ".join(reasons(slots[1], service))


def test_gap_and_end_of_the_hours(slots, practitioner, station):
    triple = factories.ServiceFactory(duration_minutes=60, practitioners=[practitioner])
    assert "Too short: the service takes 60 minutes" in reasons(slots[4], triple)[0]
    Slot.objects.filter(pk=slots[1].pk).delete()
    assert "There is a gap in the hours" in reasons(slots[0], triple)[0]


def test_practitioner_and_station(slots, station):
    service = factories.ServiceFactory(name="Laser", station_kind="laser")
    assert reasons(slots[0], service) == [
        "Dr Lim Wei Jie does not offer Laser.",
        "Room 1 is for “consult”; the service needs “laser”.",
    ]


def test_equipment(slots, practitioner):
    service = factories.ServiceFactory(equipment_kinds=["laser-head"], practitioners=[practitioner])
    assert reasons(slots[0], service) == ["No “laser-head” is free from 09:00 to 09:20."]


def test_past_and_inactive(clinic, practitioner, station, service):
    start = timezone.now().replace(second=0, microsecond=0) - dt.timedelta(hours=1)
    (slot,) = factories.make_slots(practitioner, station, start, slots=1)
    clinic.is_active = False
    clinic.save()
    slot = Slot.objects.select_related("clinic", "practitioner").get(pk=slot.pk)
    assert reasons(slot, service) == ["Tanjong Pagar is not open for booking.", "This time is already over."]


def test_reasons_of_the_patient(slots, service, patient):
    factories.BookingFactory(patient=patient, starts_at=slots[0].starts_at, clinic=slots[0].clinic)
    entry = factories.wait(service, patient=patient, from_time=dt.time(9, 20))
    assert reasons(slots[0], service, patient=patient, session=entry.session) == [
        "The patient has a visit from 09:00 to 09:20 at Tanjong Pagar.",
        "It starts earlier in the day than the request allows.",
    ]
    assert reasons(slots[1], service, patient=patient, session=entry.session) == []


# -- No slot begins then -------------------------------------------------------------------------


@pytest.fixture
def plan(clinic, practitioner, station):
    """Nine to twelve, with a break of twenty minutes from ten."""
    return factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, breaks=[(dt.time(10), dt.time(10, 20))]
    )


def nothing(plan, service, hour, minute=0, *, days=1):
    """A Tuesday in the year 2030 plus so many days: no public holiday."""
    at = dt.datetime(2030, 3, 4 + days, hour, minute, tzinfo=plan.clinic.zone)
    found = why_not(service=service, clinic=plan.clinic, practitioner=plan.practitioner, starts_at=at)
    assert found.slot is None
    assert not found.is_offered
    return found.reasons[0]


def absent(kind, plan, **more):
    start = dt.datetime(2030, 3, 5, tzinfo=plan.clinic.zone)
    ScheduleException.objects.create(kind=kind, starts_at=start, ends_at=start + dt.timedelta(1), **more)


def test_not_made_yet(plan, service):
    assert "slots are not made yet" in nothing(plan, service, 9)


def test_outside_the_hours_and_in_the_break(plan, service):
    assert nothing(plan, service, 8) == "08:00 is outside the hours of Dr Lim Wei Jie: 09:00–12:00."
    assert nothing(plan, service, 10) == "Dr Lim Wei Jie has a break: 10:00–10:20."


def test_no_hours_on_the_day(plan, service):
    plan.weekdays = [1]
    plan.save()
    assert "has no hours at Tanjong Pagar" in nothing(plan, service, 9)


def test_leave_closure_and_holiday(plan, service, clinic, practitioner):
    absent("leave", plan, practitioner=practitioner, reason="Operation")
    assert nothing(plan, service, 9) == "Dr Lim Wei Jie is on leave."
    ScheduleException.objects.all().delete()
    absent("closure", plan, clinic=clinic, reason="Painting")
    assert nothing(plan, service, 9) == "Tanjong Pagar is closed then: Painting."
    ScheduleException.objects.all().delete()
    at = dt.datetime(2030, 8, 9, 9, tzinfo=clinic.zone)
    found = why_not(service=service, clinic=clinic, practitioner=practitioner, starts_at=at)
    assert found.reasons[0] == "It is a public holiday."


def test_time_within_a_slot(plan, service, clinic, practitioner):
    inventory.generate(days=3, clinics=[clinic])
    slot = Slot.objects.filter(starts_at__gt=timezone.now()).order_by("starts_at").first()
    found = why_not(
        service=service,
        clinic=clinic,
        practitioner=practitioner,
        starts_at=slot.starts_at + dt.timedelta(minutes=5),
    )
    assert "Times begin with a slot" in found.reasons[0]


def test_slot_that_was_taken_away(plan, service, clinic, practitioner):
    inventory.generate(days=3, clinics=[clinic])
    slot = Slot.objects.filter(starts_at__gt=timezone.now() + dt.timedelta(1)).order_by("starts_at").first()
    at = slot.starts_at
    slot.delete()
    found = why_not(service=service, clinic=clinic, practitioner=practitioner, starts_at=at)
    assert "it was not made" in found.reasons[0]


# -- The page ------------------------------------------------------------------------------------


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def asked(slots, service, **more):
    at = timezone.localtime(slots[0].starts_at)
    return {"service": service.slug, "date": f"{at:%Y-%m-%d}", "time": f"{at:%H:%M}"} | more


def test_page_answers_for_everybody(desk, slots, service, practitioner):
    page = desk.get(PAGE, asked(slots, service)).content.decode()
    assert f'data-practitioner="{practitioner.pk}" data-offered="yes"' in page
    Slot.objects.update(is_blocked=True, block_reason="Cleaning")
    page = desk.get(PAGE, asked(slots, service, practitioner=practitioner.pk)).content.decode()
    assert 'data-offered="no"' in page
    assert "09:00 is blocked: Cleaning." in page


def test_page_answers_for_a_patient(desk, slots, service, patient):
    factories.wait(service, patient=patient, from_time=dt.time(11))
    page = desk.get(PAGE, asked(slots, service, patient=patient.email)).content.decode()
    assert "It starts earlier in the day than the request allows." in page


def test_page_before_a_question(desk):
    assert desk.get(PAGE).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"service": "x"}, {"date": "soon"}, {"time": "late"}, {"practitioner": "9"}, {"patient": "nobody@x.sg"}],
)
def test_bad_question_gets_a_sentence(desk, slots, service, wrong):
    assert desk.get(PAGE, asked(slots, service) | wrong).status_code == 422


def test_page_is_for_the_staff_of_the_clinic(client, patient, clinic):
    for user in (patient.user, factories.MembershipFactory().user):
        client.force_login(user)
        assert client.get(PAGE).status_code == 404
