"""Change plans: what is shown before, and what applying does: all or nothing."""

import datetime as dt

import pytest

from clinic_booking.models import Event
from scheduling import booking, changes, consistency, moves, stranded
from scheduling.changes import PlanEnded, PlanOutdated
from scheduling.edits import EditRefused
from scheduling.inventory import generate
from scheduling.models import (
    Booking,
    BookingPattern,
    ChangePlan,
    ChangeProposal,
    EquipmentReservation,
    ScheduleException,
    ScheduleTemplate,
    Slot,
)
from tests import factories
from tests.invariants import broken
from tests.scheduling.replanning import (
    Kind,
    at,
    leave,
    new_hours,
    no_holidays,
    practise,
    sick_day,
    tomorrow,
    visit,
    when,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def every_day_works(monkeypatch):
    no_holidays(monkeypatch)


@pytest.fixture
def consultation(db):
    return factories.ServiceFactory(name="Consultation")


@pytest.fixture
def lim(clinic, consultation):
    """9–12 every day: nine slots a day for five days."""
    return practise(clinic, consultation)


@pytest.fixture
def tan(clinic, consultation, lim):
    return practise(clinic, consultation, name="Dr Tan Hui Min")


def rows(model):
    return list(model.objects.order_by("pk").values())


def all_is_well():
    assert broken() == {}
    assert list(consistency.broken()) == []


def test_nothing_is_written_before_it_is_applied(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    before = rows(Slot), rows(Booking), rows(ScheduleException), Event.objects.count()

    plan = sick_day(lim, receptionist)

    assert (plan.added, plan.removed, plan.kept) == (0, 8, 1)
    assert (rows(Slot), rows(Booking), rows(ScheduleException), Event.objects.count()) == before


def test_same_time_with_the_same_doctor_is_proposed(lim, tan, consultation, receptionist):
    visit(lim, consultation, 9)
    visit(lim, consultation, 11, 40)

    plan = sick_day(lim, receptionist)

    assert when(plan) == [
        ("09:00", "move", "09:00", 2, lim.practitioner.name),
        ("11:40", "move", "11:40", 2, lim.practitioner.name),
    ]


def test_another_doctor_is_proposed_where_the_same_has_no_time(lim, tan, consultation, receptionist):
    for hour in (9, 10):
        visit(lim, consultation, hour)
    visit(tan, consultation, 9)
    payload = leave(lim, at(lim.clinic, 0), at(lim.clinic, 0, day=20))

    plan = changes.draft_plan(clinic=lim.clinic, kind=Kind.LEAVE, payload=payload, by=receptionist)

    assert when(plan) == [
        ("09:00", "move", "09:20", 1, tan.practitioner.name),
        ("10:00", "move", "10:00", 1, tan.practitioner.name),
    ]


def test_another_clinic_comes_last(lim, tan, consultation, receptionist):
    elsewhere = practise(factories.ClinicFactory(), consultation, name="Dr Ong")
    visit(lim, consultation, 9)
    for n in range(9):
        visit(tan, consultation, 9 + n // 3, n % 3 * 20)
    payload = leave(lim, at(lim.clinic, 0), at(lim.clinic, 0, day=20))
    draft = {"clinic": lim.clinic, "kind": Kind.LEAVE, "payload": payload, "by": receptionist}

    assert when(changes.draft_plan(**draft)) == [("09:00", "move", "09:00", 2, tan.practitioner.name)]
    Slot.objects.filter(practitioner=tan.practitioner, booking=None).update(is_blocked=True)
    assert when(changes.draft_plan(**draft)) == [("09:00", "move", "09:00", 1, elsewhere.practitioner.name)]


def test_applying_moves_all_and_keeps_all_promises(lim, tan, consultation, receptionist):
    visits = [visit(lim, consultation, 9 + n // 3, n % 3 * 20) for n in range(9)]
    plan = sick_day(lim, receptionist)

    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    all_is_well()
    plan.refresh_from_db()
    assert (plan.status, plan.ended_by, plan.removed, plan.kept) == ("applied", receptionist, 9, 0)
    assert ScheduleException.objects.get().practitioner == lim.practitioner
    day = lim.clinic.day_bounds(tomorrow(lim.clinic))
    assert not Slot.objects.filter(practitioner=lim.practitioner, starts_at__range=day).exists()
    for old in visits:
        new = Booking.objects.get(pk=old.pk)
        proposal = new.change_proposals.get()
        assert (new.starts_at, new.practitioner_id) == (proposal.starts_at, proposal.practitioner_id)
        assert proposal.is_current
    assert Event.objects.filter(topic="appointment.moved").count() == 9


def test_booking_left_open_keeps_its_time_and_is_listed(lim, consultation, receptionist):
    one, other = visit(lim, consultation, 9), visit(lim, consultation, 10)
    plan = sick_day(lim, receptionist)
    mine = plan.proposals.get(booking=one)
    changes.decide(plan_id=plan.pk, left_open=[mine.pk], seen=plan.computed_at)

    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    all_is_well()
    one.refresh_from_db()
    assert one.starts_at == at(lim.clinic, 9)
    assert one.slots.count() == 1
    assert ChangeProposal.objects.open_proposals().get().booking == one
    assert Booking.objects.get(pk=other.pk).starts_at == at(lim.clinic, 10, day=2)


def test_open_booking_is_off_the_list_once_it_is_moved(lim, tan, consultation, receptionist):
    made = visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    changes.decide(plan_id=plan.pk, left_open=[plan.proposals.get().pk], seen=plan.computed_at)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    found = stranded.options_of_open(stranded.needing_time(lim.clinic).get())[0]
    slot = Slot.objects.get(practitioner=found.practitioner_id, starts_at=found.starts_at)

    booking.move_booking(booking_id=made.pk, slot_id=slot.pk, by=receptionist)

    assert not ChangeProposal.objects.open_proposals().exists()


def test_booking_without_another_time_is_left_open(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    payload = leave(lim, at(lim.clinic, 0), at(lim.clinic, 0, day=20))
    plan = changes.draft_plan(clinic=lim.clinic, kind=Kind.LEAVE, payload=payload, by=receptionist)

    assert when(plan) == [("09:00", "open", None, None, None)]
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    assert ChangeProposal.objects.open_proposals().count() == 1
    all_is_well()


def test_part_of_a_day_hits_only_that_part(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    visit(lim, consultation, 11)
    payload = leave(lim, at(lim.clinic, 10, 30), at(lim.clinic, 12))

    plan = changes.draft_plan(clinic=lim.clinic, kind=Kind.LEAVE, payload=payload, by=receptionist)

    assert [row[0] for row in when(plan)] == ["11:00"]
    assert (plan.removed, plan.kept) == (4, 5)  # 10:20 touches the leave


def test_closure_moves_all_practitioners_visits(lim, tan, consultation, receptionist):
    visit(lim, consultation, 9)
    visit(tan, consultation, 9)
    exception = ScheduleException(
        kind=Kind.CLOSURE, clinic=lim.clinic, starts_at=at(lim.clinic, 0), ends_at=at(lim.clinic, 0, day=2)
    )
    payload = changes.edits.exception_payload(exception)

    plan = changes.draft_plan(clinic=lim.clinic, kind=Kind.CLOSURE, payload=payload, by=receptionist)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert plan.removed == 16
    assert {b.clinic.local_date(b.starts_at) for b in Booking.objects.all()} == {
        tomorrow(lim.clinic) + dt.timedelta(1)
    }
    all_is_well()


def test_leave_reaches_every_clinic_of_the_practitioner(lim, consultation, receptionist):
    other = factories.ClinicFactory()
    afternoon = factories.ScheduleTemplateFactory(
        clinic=other, practitioner=lim.practitioner, starts_at=dt.time(14), ends_at=dt.time(15)
    )
    generate(days=5, clinics=[other], first=tomorrow(other))
    visit(afternoon, consultation, 14)

    plan = sick_day(lim, receptionist)

    assert when(plan) == [("14:00", "move", "14:00", 2, lim.practitioner.name)]
    assert plan.removed == 9 + 2


def test_leave_is_another_day_where_the_other_clinic_is(lim, consultation, receptionist):
    """The morning in Singapore is the afternoon of the day before in New York."""
    abroad = factories.ClinicFactory(time_zone="America/New_York")
    afternoon = factories.ScheduleTemplateFactory(
        clinic=abroad, practitioner=lim.practitioner, starts_at=dt.time(14), ends_at=dt.time(15)
    )
    generate(days=5, clinics=[abroad], first=abroad.today())
    before = lim.clinic.today() + dt.timedelta(2)
    hit = visit(afternoon, consultation, 14, day=(before - abroad.today()).days)

    plan = sick_day(lim, receptionist, day=3)

    assert plan.proposals.get().booking == hit
    assert plan.removed == 9 + 2


def test_hours_with_others_in_their_break_can_be_changed(clinic, consultation, receptionist):
    hours = practise(clinic, consultation, breaks=[(dt.time(10), dt.time(11))])
    guest = factories.ScheduleTemplateFactory(
        clinic=clinic, station=hours.station, starts_at=dt.time(10), ends_at=dt.time(11)
    )
    with pytest.raises(EditRefused, match="overlap: 10:00–11:00"):
        new_hours(hours, receptionist, breaks=[])

    pauses = [(dt.time(10), dt.time(11))]
    plan = new_hours(hours, receptionist, breaks=pauses, ends_at=dt.time(13))

    assert plan.added >= 5 * 3
    guest.full_clean()


def test_visits_go_to_hours_that_the_plan_adds(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    visit(lim, consultation, 10)
    Slot.objects.filter(booking=None, starts_at__lt=at(lim.clinic, 9, day=2)).update(is_blocked=True)

    plan = new_hours(lim, receptionist, starts_at=dt.time(10), ends_at=dt.time(13))
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert when(plan) == [("09:00", "move", "12:00", 1, lim.practitioner.name)]
    assert ScheduleTemplate.objects.get().starts_at == dt.time(10)
    all_is_well()


def test_visit_within_other_slots_of_the_same_hours_stays(lim, consultation, receptionist):
    made = visit(lim, consultation, 9, 20)

    plan = new_hours(lim, receptionist, slot_minutes=30)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert not plan.proposals.exists()
    made.refresh_from_db()
    assert made.slots.count() == 1
    all_is_well()


def test_break_is_written_and_moves_the_visit_in_it(lim, consultation, receptionist):
    visit(lim, consultation, 10)

    plan = new_hours(lim, receptionist, breaks=[(dt.time(10), dt.time(10, 20))])
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert when(plan) == [("10:00", "move", "09:40", 1, lim.practitioner.name)]
    assert lim.breaks.get().starts_at == dt.time(10)
    all_is_well()


def test_ended_hours_have_no_slots_after_the_last_day(lim, consultation, receptionist):
    visit(lim, consultation, 9, day=4)
    payload = {"template": lim.pk, "valid_until": (tomorrow(lim.clinic) + dt.timedelta(1)).isoformat()}

    plan = changes.draft_plan(clinic=lim.clinic, kind=Kind.END_HOURS, payload=payload, by=receptionist)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert when(plan) == [("09:00", "move", "09:00", 2, lim.practitioner.name)]
    assert Slot.objects.latest("starts_at").starts_at == at(lim.clinic, 11, 40, day=2)
    all_is_well()


def test_removed_leave_brings_the_times_back(lim, receptionist):
    changes.apply_plan(plan_id=sick_day(lim, receptionist).pk, by=receptionist)
    payload = {"exception": ScheduleException.objects.get().pk, "text": ""}

    plan = changes.draft_plan(clinic=lim.clinic, kind=Kind.REMOVE, payload=payload, by=receptionist)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert plan.added == 9
    assert not ScheduleException.objects.exists()


def test_removed_extra_hours_move_their_visits(lim, consultation, receptionist):
    extra = factories.ScheduleExceptionFactory(
        extra_hours=True,
        clinic=lim.clinic,
        practitioner=lim.practitioner,
        station=lim.station,
        starts_at=at(lim.clinic, 14),
        ends_at=at(lim.clinic, 15),
    )
    generate(days=5, clinics=[lim.clinic], first=tomorrow(lim.clinic))
    visit(lim, consultation, 14)

    plan = changes.draft_plan(
        clinic=lim.clinic, kind=Kind.REMOVE, payload={"exception": extra.pk, "text": ""}, by=receptionist
    )
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert when(plan) == [("14:00", "move", "11:40", 1, lim.practitioner.name)]
    assert not Slot.objects.filter(exception=extra).exists()
    assert generate(days=5, clinics=[lim.clinic], first=tomorrow(lim.clinic)).added == 0
    all_is_well()


# -- What a proposal respects --------------------------------------------------------------------


def test_patient_is_not_sent_to_two_places(lim, tan, consultation, receptionist, patient):
    visit(lim, consultation, 9, patient=patient)
    visit(tan, consultation, 9, day=2, patient=patient)

    assert when(sick_day(lim, receptionist)) == [("09:00", "move", "09:20", 2, lim.practitioner.name)]


def test_hard_patterns_of_the_session_hold(lim, tan, consultation, receptionist):
    made = visit(lim, consultation, 9)
    BookingPattern.objects.create(
        request=made.session.request, is_hard=True, latest=tomorrow(lim.clinic), from_time=dt.time(10)
    )

    assert when(sick_day(lim, receptionist)) == [("09:00", "move", "10:00", 1, tan.practitioner.name)]


def test_equipment_is_there_at_the_new_time(lim, tan, consultation, receptionist):
    head = factories.EquipmentFactory(clinic=lim.clinic, kind="laser-head")
    consultation.equipment_kinds = ["laser-head"]
    consultation.save()
    for minute in (0, 20):
        visit(lim, consultation, 9, minute)
    visit(tan, consultation, 9, day=2)

    plan = sick_day(lim, receptionist)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert [row[2:4] for row in when(plan)] == [("09:20", 2), ("09:40", 2)]
    assert EquipmentReservation.objects.filter(equipment=head).count() == 3
    all_is_well()


def test_long_visits_make_room_for_each_other(clinic, receptionist):
    """Greedily the first would take the only time that the second can have."""
    service = factories.ServiceFactory(duration_minutes=20)
    lim = practise(clinic, service, ends_at=dt.time(9, 40), days=2)
    one, other = visit(lim, service, 9), visit(lim, service, 9, 20)
    BookingPattern.objects.create(
        request=other.session.request, is_hard=True, from_time=dt.time(9), until_time=dt.time(9, 20)
    )

    plan = sick_day(lim, receptionist)

    assert [(row[0], row[2]) for row in when(plan)] == [("09:00", "09:20"), ("09:20", "09:00")]
    assert one.pk != other.pk


def test_rest_of_a_visit_keeps_the_day(lim, tan, consultation, receptionist, patient):
    """Who has something else on that day is not asked to come twice."""
    visit(lim, consultation, 9, patient=patient)
    visit(tan, consultation, 10, patient=patient)

    assert when(sick_day(lim, receptionist)) == [("09:00", "move", "09:00", 1, tan.practitioner.name)]


# -- Deciding ------------------------------------------------------------------------------------


def test_staff_choose_another_time_and_the_rest_gives_way(lim, consultation, receptionist):
    one = visit(lim, consultation, 9)
    visit(lim, consultation, 9, 20)
    plan = sick_day(lim, receptionist)

    changes.choose(
        plan_id=plan.pk,
        booking_id=one.pk,
        practitioner_id=lim.practitioner_id,
        starts_at=at(lim.clinic, 9, 20, day=2),
    )

    assert [row[2] for row in when(plan)] == ["09:20", "09:00"]
    assert plan.proposals.get(booking=one).is_chosen


def test_time_that_is_not_free_cannot_be_chosen(lim, consultation, receptionist):
    one = visit(lim, consultation, 9)
    visit(lim, consultation, 10, day=2)
    plan = sick_day(lim, receptionist)

    with pytest.raises(PlanOutdated):
        changes.choose(
            plan_id=plan.pk,
            booking_id=one.pk,
            practitioner_id=lim.practitioner_id,
            starts_at=at(lim.clinic, 10, day=2),
        )

    assert [row[2] for row in when(plan)] == ["09:00"]


def test_options_are_free_and_begin_with_the_best(lim, tan, consultation, receptionist):
    one, _other = visit(lim, consultation, 9), visit(lim, consultation, 9, 20)

    found = changes.options(plan_id=sick_day(lim, receptionist).pk, booking_id=one.pk)

    assert [c.starts_at for c in found[:2]] == [at(lim.clinic, 9, day=2), at(lim.clinic, 9, 40, day=2)]


def test_decision_on_an_older_plan_is_refused(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    changes.compute_plan(plan_id=plan.pk)

    with pytest.raises(PlanOutdated):
        changes.decide(plan_id=plan.pk, left_open=[], seen=plan.computed_at)


def test_plan_is_decided_once(lim, receptionist):
    plan = sick_day(lim, receptionist)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    for verb in (changes.apply_plan, changes.discard_plan):
        with pytest.raises(PlanEnded):
            verb(plan_id=plan.pk, by=receptionist)
    assert ScheduleException.objects.count() == 1


def test_discarded_plan_changes_nothing(lim, receptionist):
    before = rows(Slot)

    changes.discard_plan(plan_id=sick_day(lim, receptionist).pk, by=receptionist)

    assert rows(Slot) == before
    assert ChangePlan.objects.get().status == "discarded"


# -- What changed meanwhile ----------------------------------------------------------------------


def changed_and_shown_again(plan, receptionist):
    before = rows(Slot), rows(Booking), rows(ScheduleException)
    with pytest.raises(PlanOutdated):
        changes.apply_plan(plan_id=plan.pk, by=receptionist)
    assert (rows(Slot), rows(Booking), rows(ScheduleException)) == before
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    all_is_well()


def test_new_booking_in_the_hours_stops_it(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    visit(lim, consultation, 10)

    changed_and_shown_again(plan, receptionist)
    assert plan.proposals.count() == 2


def test_taken_target_stops_it(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    visit(lim, consultation, 9, day=2)

    changed_and_shown_again(plan, receptionist)
    assert when(plan) == [("09:00", "move", "09:20", 2, lim.practitioner.name)]


def test_cancelled_booking_stops_it(lim, consultation, receptionist):
    made = visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    booking.cancel_booking(booking_id=made.pk, by=receptionist, reason="clinic")

    changed_and_shown_again(plan, receptionist)
    assert not plan.proposals.exists()


def test_edit_that_became_impossible_says_so(lim, receptionist):
    plan, same = sick_day(lim, receptionist), sick_day(lim, receptionist)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    with pytest.raises(EditRefused, match="overlaps what is already entered: Leave"):
        changes.apply_plan(plan_id=same.pk, by=receptionist)


# -- What is freed afterwards --------------------------------------------------------------------


@pytest.fixture
def left_open(lim, consultation, receptionist):
    """A visit that stays in the leave."""
    made = visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    changes.decide(plan_id=plan.pk, left_open=[plan.proposals.get().pk], seen=plan.computed_at)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    return made


def test_time_in_leave_is_not_offered_when_its_visit_is_cancelled(left_open, receptionist, lim):
    moves.cancel_booking(booking_id=left_open.pk, by=receptionist, reason="clinic")

    slot = Slot.objects.get(starts_at=left_open.starts_at)
    assert (slot.status, slot.block_reason) == ("blocked", "Outside the hours")
    stranded.take_back_time(Event.objects.get(topic="appointment.cancelled"))
    assert not Slot.objects.filter(starts_at=left_open.starts_at).exists()
    stranded.take_back_time(Event.objects.get(topic="appointment.cancelled"))


def test_time_outside_ended_hours_is_taken_back_too(lim, consultation, receptionist):
    made = visit(lim, consultation, 9)
    plan = new_hours(lim, receptionist, starts_at=dt.time(10))
    changes.decide(plan_id=plan.pk, left_open=[plan.proposals.get().pk], seen=plan.computed_at)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    moves.cancel_booking(booking_id=made.pk, by=receptionist, reason="clinic")

    stranded.take_back_time(Event.objects.get(topic="appointment.cancelled"))

    assert not Slot.objects.filter(starts_at=made.starts_at).exists()


def test_who_was_paying_when_leave_began_is_listed(lim, consultation, receptionist):
    slot = Slot.objects.get(starts_at=at(lim.clinic, 9))
    held = booking.hold_slots(slot_id=slot.pk, service_id=consultation.pk, owner="browser")
    plan = sick_day(lim, receptionist)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    assert not stranded.needing_time(lim.clinic).exists()

    made = booking.confirm_hold(hold_id=held.pk, patient=factories.PatientFactory())

    assert stranded.needing_time(lim.clinic).get() == made
    all_is_well()


# -- Rooms ---------------------------------------------------------------------------------------


def test_visits_go_along_when_the_hours_change_rooms(lim, consultation, receptionist):
    made = visit(lim, consultation, 9)
    room = factories.StationFactory(clinic=lim.clinic, kind="consult")

    plan = new_hours(lim, receptionist, station=room)
    made.refresh_from_db()
    assert made.station != room
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    made.refresh_from_db()
    assert (made.station, made.starts_at, made.version) == (room, at(lim.clinic, 9), 1)
    assert not plan.proposals.exists()
    assert set(Slot.objects.filter(starts_at__gt=at(lim.clinic, 0)).values_list("station", flat=True)) == {
        room.pk
    }
    all_is_well()


def test_visits_do_not_go_into_a_room_of_another_kind(lim, tan, consultation, receptionist):
    visit(lim, consultation, 9)

    plan = new_hours(lim, receptionist, station=factories.StationFactory(clinic=lim.clinic, kind="x-ray"))

    assert when(plan) == [("09:00", "move", "09:00", 1, tan.practitioner.name)]


# -- Days are those of the clinic ----------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Asia/Singapore", "Europe/Berlin", "America/New_York"])
def test_whole_day_is_the_clinics_day(zone, consultation, receptionist):
    """Between midnight and eight in Singapore it is the day before in UTC."""
    clinic = factories.ClinicFactory(time_zone=zone)
    night = practise(clinic, consultation, starts_at=dt.time(0), ends_at=dt.time(8))
    evening = practise(clinic, consultation, starts_at=dt.time(21), ends_at=dt.time(23, 40))
    for template, day in ((night, 1), (night, 2), (evening, 1), (evening, 0)):
        if day:
            visit(template, consultation, template.starts_at.hour, day=day)

    hit = [when(sick_day(template, receptionist)) for template in (night, evening)]

    assert [[(row[0], row[2], row[3]) for row in rows] for rows in hit] == [
        [("00:00", "00:20", 2)],
        [("21:00", "21:00", 2)],
    ]


@pytest.mark.parametrize("month", [3, 10])
def test_leave_on_the_day_the_clock_changes(month, consultation, receptionist):
    """A day of 23 or 25 hours: leave takes all of it and nothing of its neighbours."""
    clinic = factories.ClinicFactory(time_zone="Europe/Berlin")
    last = dt.date(clinic.today().year + 1, month, 31)
    sunday = last - dt.timedelta((last.weekday() + 1) % 7)
    template = factories.ScheduleTemplateFactory(clinic=clinic, starts_at=dt.time(0), ends_at=dt.time(23, 40))
    first = sunday - dt.timedelta(1)
    generate(days=3, clinics=[clinic], first=first)
    start, end = clinic.day_bounds(sunday)
    before = Slot.objects.exclude(starts_at__gte=start, starts_at__lt=end).count()

    plan = changes.draft_plan(
        clinic=clinic, kind=Kind.LEAVE, payload=leave(template, start, end), by=receptionist
    )
    assert plan.removed == Slot.objects.filter(starts_at__gte=start, starts_at__lt=end).count() > 60
    assert (plan.added, plan.kept, before) == (0, 0, 2 * 71)
