"""What the database itself refuses (design §3), tried by plain ORM and SQL past every verb."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from scheduling.models import Booking, Hold, Slot
from scheduling.models.bookings import HOLD_SECONDS, MAX_RENEWALS
from tests import factories

pytestmark = pytest.mark.django_db
MINUTE = dt.timedelta(minutes=1)


def refused(constraint):
    return pytest.raises((IntegrityError, DataError), match=constraint)


def check_now():
    """Foreign keys are deferred to the end of the transaction, which a test does not reach."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.fixture
def slot(slots):
    return slots[0]


@pytest.mark.parametrize("shift", [-19, -1, 0, 1, 19], ids=str)
def test_practitioner_is_in_one_place(slots, shift):
    last = slots[-1]
    Slot.objects.exclude(pk=last.pk).delete()

    with refused("practitioner_in_one_place|slot_once"), transaction.atomic():
        factories.SlotFactory(practitioner=last.practitioner, starts_at=last.starts_at + shift * MINUTE)


@pytest.mark.parametrize("shift", [-19, -1, 0, 1, 19], ids=str)
def test_station_is_used_once(slots, shift):
    last = slots[-1]
    Slot.objects.exclude(pk=last.pk).delete()

    with refused("station_used_once"), transaction.atomic():
        factories.SlotFactory(
            clinic=last.clinic, station=last.station, starts_at=last.starts_at + shift * MINUTE
        )


def test_slots_may_touch(slots):
    """And do so to the microsecond: the end belongs to the next."""
    factories.SlotFactory(
        clinic=slots[0].clinic,
        practitioner=slots[0].practitioner,
        station=slots[0].station,
        starts_at=slots[-1].ends_at,
    )
    assert Slot.objects.count() == 7


def test_overlap_of_a_second_is_refused(slots):
    with refused("practitioner_in_one_place"), transaction.atomic():
        factories.SlotFactory(
            practitioner=slots[0].practitioner, starts_at=slots[-1].ends_at - dt.timedelta(seconds=1)
        )


def test_slots_far_in_the_future_are_told_apart(practitioner, station):
    """The boxes count seconds in floating point: enough for centuries."""
    start = dt.datetime(2399, 12, 31, 12, tzinfo=dt.UTC)
    slots = factories.make_slots(practitioner, station, start, minutes=5)

    with refused("practitioner_in_one_place"), transaction.atomic():
        factories.SlotFactory(practitioner=practitioner, starts_at=slots[-1].starts_at + MINUTE)


def test_forms_say_why_a_slot_is_refused(slot):
    clone = factories.SlotFactory.build(
        clinic=slot.clinic,
        practitioner=slot.practitioner,
        station=slot.station,
        starts_at=slot.starts_at + MINUTE,
    )

    with pytest.raises(ValidationError) as caught:
        clone.validate_constraints()

    assert caught.value.messages == [
        "The practitioner already has a slot at this time.",
        "The station is already used at this time.",
    ]


def test_free_slot_passes_validation(slots):
    slots[-1].validate_constraints()


@pytest.mark.parametrize("seconds", [0, -60], ids=["equal", "before"])
def test_slot_ends_after_it_starts(slot, seconds):
    with refused("slot_ends_after_start"), transaction.atomic():
        Slot.objects.filter(pk=slot.pk).update(ends_at=slot.starts_at + dt.timedelta(seconds=seconds))


def test_slot_has_one_claim(slots):
    hold = factories.hold(slots[:1])
    booking = factories.book(slots[1:2])

    for slot, claim in [
        (slots[1], {"hold": hold, "held_until": hold.expires_at}),
        (slots[0], {"booking": booking}),
        (slots[0], {"is_blocked": True}),
        (slots[1], {"is_blocked": True}),
    ]:
        with refused("slot_one_claim"), transaction.atomic():
            Slot.objects.filter(pk=slot.pk).update(**claim)


def test_status_cannot_be_written(slot):
    with pytest.raises(Exception, match="status"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE scheduling_slot SET status = 'available' WHERE id = %s", [slot.pk])


def test_status_follows_the_claim(slots):
    factories.book(slots[:1])
    Slot.objects.filter(pk=slots[1].pk).update(is_blocked=True)

    statuses = Slot.objects.order_by("starts_at").values_list("status", flat=True)
    assert list(statuses) == ["booked", "blocked"] + ["available"] * 4


def test_hold_and_its_end_go_together(slots):
    hold = factories.hold(slots[:1])

    for claim in [{"hold": None}, {"held_until": None}]:
        with refused("slot_hold_has_end"), transaction.atomic():
            Slot.objects.filter(hold=hold).update(**claim)


def test_slot_is_held_exactly_as_long_as_its_hold(slots):
    hold = factories.hold(slots[:1])

    with refused("slot_held_until_is_that_of_the_hold"), transaction.atomic():
        Slot.objects.filter(hold=hold).update(held_until=hold.expires_at + MINUTE)
        check_now()


def test_hold_cannot_vanish_from_under_its_slots(slots):
    hold = factories.hold(slots[:1])

    with refused("slot_held_until_is_that_of_the_hold"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM scheduling_hold WHERE id = %s", [hold.pk])
        check_now()


@pytest.mark.parametrize("seconds", [HOLD_SECONDS - 1, HOLD_SECONDS + 1])
def test_hold_lasts_300_seconds(seconds):
    now = timezone.now()

    with refused("hold_lasts_300_seconds"), transaction.atomic():
        factories.HoldFactory(locked_at=now, expires_at=now + dt.timedelta(seconds=seconds))


def test_hold_is_renewed_a_few_times_only():
    with refused("hold_renewals_bounded"), transaction.atomic():
        factories.HoldFactory(renewals=MAX_RENEWALS + 1)


def test_ended_hold_has_a_reason():
    for end in [{"ended_at": timezone.now()}, {"end_reason": Hold.EndReason.RELEASED}]:
        with refused("hold_end_has_reason"), transaction.atomic():
            factories.HoldFactory(**end)


def test_owner_has_one_hold_at_a_time():
    first = factories.HoldFactory(owner="browser")
    with refused("one_hold_for_each_owner"), transaction.atomic():
        factories.HoldFactory(owner="browser")

    Hold.objects.filter(pk=first.pk).update(ended_at=timezone.now(), end_reason=Hold.EndReason.RELEASED)
    factories.HoldFactory(owner="browser")
    assert Hold.objects.filter(owner="browser").count() == 2


def test_patient_is_in_one_place(patient):
    booking = factories.BookingFactory(patient=patient)

    with refused("patient_in_one_place"), transaction.atomic():
        factories.BookingFactory(patient=patient, starts_at=booking.starts_at + 19 * MINUTE)
    factories.BookingFactory(patient=patient, starts_at=booking.ends_at)
    assert Booking.objects.filter(patient=patient).count() == 2


def test_cancelled_booking_does_not_keep_the_patient_busy(patient):
    booking = factories.BookingFactory(patient=patient, cancelled=True)

    factories.BookingFactory(patient=patient, starts_at=booking.starts_at)

    with refused("patient_in_one_place|session_booked_once"), transaction.atomic():
        Booking.objects.filter(pk=booking.pk).update(
            status=Booking.Status.BOOKED, cancelled_at=None, cancel_reason=""
        )


def test_session_is_booked_once():
    booking = factories.BookingFactory()

    with refused("session_booked_once"), transaction.atomic():
        factories.BookingFactory(session=booking.session, patient=booking.patient, starts_at=booking.ends_at)


def test_cancelled_booking_says_when():
    booking = factories.BookingFactory()

    for change in [{"status": "cancelled"}, {"cancelled_at": timezone.now()}, {"cancel_reason": "patient"}]:
        with refused("booking_cancelled_has_time"), transaction.atomic():
            Booking.objects.filter(pk=booking.pk).update(**change)


def test_booking_ends_after_it_starts():
    booking = factories.BookingFactory()

    with refused("booking_ends_after_start"), transaction.atomic():
        Booking.objects.filter(pk=booking.pk).update(ends_at=booking.starts_at)


def test_booking_reference_is_unique():
    booking = factories.BookingFactory()

    with refused("reference"), transaction.atomic():
        factories.BookingFactory(reference=booking.reference)


def test_patient_has_one_visit_a_day():
    visit = factories.VisitTicketFactory()

    with refused("one_visit_a_day"), transaction.atomic():
        visit.pk = None
        visit.save(force_insert=True)


def test_session_number_comes_once():
    ticket = factories.SessionTicketFactory()

    with refused("session_number_once"), transaction.atomic():
        factories.SessionTicketFactory(request=ticket.request, number=ticket.number)


def test_request_wants_something():
    with refused("request_wants_something"), transaction.atomic():
        factories.BookingRequestFactory(quantity=0)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"ends_at": dt.time(9)}, "template_ends_after_start"),
        ({"valid_until": dt.date(2023, 1, 1)}, "template_valid_in_order"),
        ({"slot_minutes": 0}, "template_numbers_sane"),
        ({"slot_minutes": 300}, "template_numbers_sane"),
        ({"every_n_weeks": 0}, "template_numbers_sane"),
    ],
)
def test_template_makes_sense(values, constraint):
    with refused(constraint), transaction.atomic():
        factories.ScheduleTemplateFactory(**values)


def test_break_ends_after_it_starts():
    with refused("break_ends_after_start"), transaction.atomic():
        factories.TemplateBreakFactory(starts_at=dt.time(10), ends_at=dt.time(10))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "leave"},
        {"kind": "closure", "clinic": None},
        {"kind": "public_holiday", "clinic": None},
        {"kind": "extra_hours"},
    ],
    ids=lambda values: values["kind"],
)
def test_exception_names_who_and_where(values):
    with refused("exception_names_who_and_where"), transaction.atomic():
        factories.ScheduleExceptionFactory(**values)


def test_clinic_closes_after_it_opens():
    with refused("clinic_closes_after_opening"), transaction.atomic():
        factories.ClinicFactory(opens_at=dt.time(8), closes_at=dt.time(8))


@pytest.mark.parametrize("minutes", [0, 4, 721])
def test_service_has_a_sane_duration(minutes):
    with refused("service_duration_sane"), transaction.atomic():
        factories.ServiceFactory(duration_minutes=minutes)


def test_version_counts_changes_of_the_claim(slots):
    slot = slots[0]
    factories.hold(slots[:1])
    held = Slot.objects.get(pk=slot.pk).version
    Slot.objects.filter(pk=slot.pk).update(block_reason="no claim changed")

    assert held == 2
    assert Slot.objects.get(pk=slot.pk).version == held


@pytest.mark.parametrize("model", [factories.ConsentFactory], ids=["consent"])
def test_consents_are_append_only(model):
    consent = model()

    with refused("append-only"), transaction.atomic():
        type(consent).objects.filter(pk=consent.pk).update(is_given=False)
    with refused("append-only"), transaction.atomic():
        type(consent).objects.filter(pk=consent.pk).delete()
