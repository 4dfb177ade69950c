import datetime as dt
import io
import json

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from scheduling import consistency
from scheduling.models import (
    Booking,
    BookingRequest,
    Equipment,
    EquipmentReservation,
    Hold,
    Overbooking,
    Service,
    SessionTicket,
    Slot,
    VisitTicket,
    WalkIn,
)
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def booking(slots, service):
    service.duration_minutes = 40
    service.save()
    factories.hold(slots[4:], service=service)
    return factories.book(slots[:2], service=service)


def names():
    return {found.name for found in consistency.broken()}


def test_all_is_well(booking):
    factories.BookingFactory(cancelled=True)
    walk_in(booking)

    assert list(consistency.broken()) == []


def change(model, **values):
    return lambda booking: model.objects.update(**values)


def free_second_slot(booking):
    Slot.objects.filter(booking=booking).latest("starts_at").delete()


def swap_practitioner(booking):
    Slot.objects.filter(booking=booking).update(practitioner=factories.PractitionerFactory())


def end_without_freeing(booking):
    Booking.objects.filter(pk=booking.pk).update(status="noshow")


def lose_hold_slot(booking):
    Slot.objects.filter(hold__isnull=False).earliest("starts_at").delete()


def end_hold_without_freeing(booking):
    Hold.objects.update(ended_at=timezone.now(), end_reason="released")


def confirm_without_booking(booking):
    Slot.objects.filter(hold__isnull=False).update(hold=None, held_until=None)
    Hold.objects.update(ended_at=timezone.now(), end_reason="confirmed")


def confirm_half_a_group(booking):
    lead = factories.HoldFactory(ended_at=timezone.now(), end_reason="confirmed")
    factories.HoldFactory(lead=lead, part=1, ended_at=timezone.now(), end_reason="released")


def need_equipment(booking):
    Service.objects.update(equipment_kinds=["laser-head"])


def lose_units(booking):
    scales = factories.EquipmentFactory(clinic=booking.clinic, units=1)
    span = {"starts_at": booking.starts_at, "ends_at": booking.ends_at}
    EquipmentReservation.objects.create(equipment=scales, unit=1, booking=booking, **span)
    Equipment.objects.update(units=0)


def move_clinic(booking):
    Slot.objects.filter(booking=None, hold=None).update(clinic=factories.ClinicFactory())


def orphan_session(booking):
    factories.SessionTicketFactory(status="scheduled")


def visit_of_another_day(booking):
    VisitTicket.objects.update(date="2020-01-01")


def request_of_another(booking):
    BookingRequest.objects.update(patient=factories.PatientFactory())


def skip_a_number(booking):
    VisitTicket.objects.update(number=2, arrived_at=timezone.now())


def arrive_without_a_number(booking):
    Booking.objects.update(status="arrived", arrived_at=timezone.now())


def finish_before_the_start(booking):
    now = timezone.now()
    VisitTicket.objects.update(number=1, arrived_at=now)
    Booking.objects.update(status="arrived", arrived_at=now, started_at=now - dt.timedelta(1))


def walk_in(booking, **values):
    session = factories.SessionTicketFactory(
        request__patient=booking.patient, request__source="walk_in", number=1
    )
    return WalkIn.objects.create(visit=booking.visit, session=session, **values)


def leave_with_a_planned_session(booking):
    walk_in(booking, left_at=timezone.now())


def wait_for_another(booking):
    BookingRequest.objects.filter(sessions=walk_in(booking).session_id).update(
        patient=factories.PatientFactory()
    )


def overbook_what_has_its_time(booking):
    template = factories.ScheduleTemplateFactory()
    Overbooking.objects.create(
        booking=booking,
        template=template,
        date=booking.visit.date,
        number=1,
        limit=1,
        reason="Emergency",
        added_by=factories.UserFactory(),
    )


DAMAGES = [
    (free_second_slot, "a live booking has exactly its slots, without a gap"),
    (swap_practitioner, "a booked slot is of its booking's practitioner, station and clinic"),
    (end_without_freeing, "an ended booking keeps no slot"),
    (change(SessionTicket, status="planned"), "a session says what its booking says"),
    (orphan_session, "a scheduled or completed session has its booking"),
    (request_of_another, "a booking is of the patient and service that its session asks for"),
    (change(BookingRequest, quantity=2), "a request has as many sessions as it asks for"),
    (visit_of_another_day, "a visit is the patient's day at the clinic"),
    (lose_hold_slot, "a live hold has exactly its slots, without a gap"),
    (end_hold_without_freeing, "an ended hold claims nothing"),
    (confirm_half_a_group, "what is held together is confirmed together"),
    (need_equipment, "a booking has the equipment it needs"),
    (lose_units, "equipment is reserved within its units, for what needs it"),
    (confirm_without_booking, "a confirmed hold has its booking, any other none"),
    (skip_a_number, "queue numbers of a day follow each other"),
    (arrive_without_a_number, "who is here has a queue number"),
    (finish_before_the_start, "the times of a visit follow each other"),
    (leave_with_a_planned_session, "a walk-in waits, was served or left, and so did its session"),
    (wait_for_another, "a walk-in is of its session's patient"),
    (overbook_what_has_its_time, "an overbooking that stands claims no time"),
    (move_clinic, "a station is used in its own clinic"),
]


@pytest.mark.parametrize(("damage", "name"), DAMAGES, ids=[name for _damage, name in DAMAGES])
def test_damage_is_named(booking, damage, name):
    assert names() == set()

    damage(booking)

    assert name in names()


def test_every_check_is_tried():
    ours = {
        name for name, query in consistency.CHECKS.items() if "billing_" not in query and "audit" not in query
    }

    assert ours == {name for _damage, name in DAMAGES}


def test_dropped_constraint_is_named():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE scheduling_slot DROP CONSTRAINT station_used_once")
        cursor.execute("DROP INDEX one_hold_for_each_owner")

    [found] = consistency.broken()

    assert found.name == "the database has all constraints of the models"
    assert found.examples == ["one_hold_for_each_owner", "station_used_once"]


def test_command_says_that_all_is_well(booking):
    out = io.StringIO()

    call_command("check_consistency", stdout=out)

    assert out.getvalue() == f"All {len(consistency.CHECKS) + 1} checks hold.\n"


def test_command_fails_and_names_what_is_wrong(booking):
    visit_of_another_day(booking)
    out = io.StringIO()

    with pytest.raises(SystemExit) as caught:
        call_command("check_consistency", stdout=out)

    assert caught.value.code == 1
    assert out.getvalue() == (
        f"broken: a visit is the patient's day at the clinic (1): booking {booking.reference}\n"
    )


def test_report_can_be_read_by_machines(booking):
    visit_of_another_day(booking)
    out = io.StringIO()

    with pytest.raises(SystemExit):
        call_command("check_consistency", "--json", stdout=out)

    assert json.loads(out.getvalue())["broken"] == [
        {
            "name": "a visit is the patient's day at the clinic",
            "count": 1,
            "examples": [f"booking {booking.reference}"],
        }
    ]
