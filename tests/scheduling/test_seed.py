import datetime as dt
import io

import phonenumbers
import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Count
from django.utils import timezone

from billing.demo import bill_bookings, make_contracts
from billing.models import Bill, Contract, ContractLine
from clinic_booking.models import Event
from patients.identity import whole_number
from patients.models import Identifier, Patient
from scheduling import consistency
from scheduling.demo import seed
from scheduling.demo.people import COMMUNITIES, make_patients
from scheduling.demo.staff import PASSWORD, ROLES, username
from scheduling.models import (
    Booking,
    EquipmentReservation,
    Practitioner,
    Service,
    SessionTicket,
    Slot,
    WalkingTime,
)

DAYS = 5


@pytest.fixture(scope="module")
def clinics(django_db_setup, django_db_blocker):
    """Seeded once for all tests of this file; each test's own changes are rolled back to it."""
    atomic = transaction.atomic()
    atomic._from_testcase = True  # lets the batches of `generate` believe that they commit
    with django_db_blocker.unblock(), atomic:
        made = seed(say=lambda text: None, days=DAYS)
        make_contracts(made, make_patients())
        bill_bookings(made)
        connection.cursor().execute("ANALYZE")  # else plans are made for empty tables
        yield made
        transaction.set_rollback(True)


@pytest.fixture
def seeded(clinics, db):
    return clinics


def everything():
    return {
        "slots": list(Slot.objects.order_by("pk").values()),
        "bookings": list(Booking.objects.order_by("pk").values()),
        "bills": list(Bill.objects.order_by("pk").values()),
        "patients": list(Patient.objects.order_by("pk").values()),
        "contracts": list(Contract.objects.order_by("pk").values()),
        "lines": list(ContractLine.objects.order_by("pk").values()),
        "reservations": list(EquipmentReservation.objects.order_by("pk").values()),
    }


def test_group_is_as_described(seeded):
    slots_of_services = {-(-s.occupied // dt.timedelta(minutes=20)) for s in Service.objects.all()}

    assert [clinic.payment_policy for clinic in seeded] == ["pay_now", "deposit", "pay_at_clinic"]
    assert {bool(clinic.legal_entity.gst_number) for clinic in seeded} == {True, False}
    assert 20 <= Practitioner.objects.count() <= 24
    assert slots_of_services == {1, 2, 3, 4}
    assert not Service.objects.filter(practitioners=None).exists()


def test_patients_are_invented_and_of_all_communities(seeded):
    patients = Patient.objects.all()

    assert len(patients) == 300
    assert all(patient.email.endswith("@example.com") for patient in patients)
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(patient.phone)) for patient in patients)
    assert len({patient.phone for patient in patients}) == 300
    for part in ["Tan ", " binte ", " s/o ", " d/o ", "Pereira"]:
        assert any(part in patient.name for patient in patients), part
    assert len(COMMUNITIES) == 4


def test_half_of_the_first_days_is_booked(seeded):
    booked = Slot.objects.filter(booking__isnull=False).count() / Slot.objects.count()
    freed = Booking.objects.filter(status__in=["cancelled", "noshow"])

    assert 0.45 < booked < 0.75
    assert Booking.objects.values("visit").annotate(n=Count("pk")).filter(n=2).exists()
    assert freed.exists()
    assert not freed.filter(slots__isnull=False).exists()


def test_only_patients_with_contracts_are_told(seeded):
    told = Event.objects.filter(topic__startswith="appointment.")
    bookings = Booking.objects.filter(pk__in=[event.data["booking"] for event in told])
    assert not bookings.exclude(session__request__source="contract").exists()


def test_contracts_show_each_state(seeded):
    by_note = {contract.note: contract for contract in Contract.objects.all()}
    sessions = SessionTicket.objects.filter(request__source="contract")

    assert [c.status for c in Contract.objects.order_by("pk")] == [
        *["confirmed", "confirmed", "draft", "confirmed", "cancelled"]
    ]
    assert {c.billing for c in by_note.values()} == {"on_signing", "instalments", "per_visit"}
    statuses = Bill.objects.filter(contract__isnull=False).values_list("status", flat=True)
    assert set(statuses) == {"paid", "part_paid", "refund_due"}
    assert not Booking.objects.filter(session__request__price_cents=8900).exclude(price_cents=8900).exists()
    assert by_note["Mondays only"].patient.user.username == username("patient")
    assert sessions.filter(status="completed").count() == 2
    assert sessions.filter(status="scheduled").exists()
    assert not sessions.filter(status="planned", unplaced_reason="").exists()
    assert sessions.filter(status="planned").exists()


def test_equipment_is_scarce_and_never_used_twice(seeded):
    needed = Booking.objects.live().exclude(service__equipment_kinds=[])
    assert {kind for service in Service.objects.all() for kind in service.equipment_kinds} == {
        "laser-head",
        "ultrasound",
    }
    assert needed.exists()
    assert EquipmentReservation.objects.filter(booking__in=needed).count() == needed.count()
    assert WalkingTime.objects.exists()


def test_bookings_have_all_that_belongs_to_them(seeded):
    live = (
        Booking.objects.live()
        .prefetch_related("slots")
        .select_related("session__request", "visit", "service")
    )

    assert len(live) > 100
    for booking in live:
        slots = sorted(booking.slots.all(), key=lambda slot: slot.starts_at)
        assert slots[0].starts_at == booking.starts_at
        assert slots[-1].ends_at >= booking.starts_at + booking.service.occupied
        assert {(s.practitioner_id, s.station_id, s.clinic_id) for s in slots} == {
            (booking.practitioner_id, booking.station_id, booking.clinic_id)
        }
        assert booking.session.request.patient_id == booking.visit.patient_id == booking.patient_id
        assert booking.visit.date == timezone.localdate(booking.starts_at)
        expected = "completed" if booking.status == "fulfilled" else "scheduled"
        assert booking.session.status == expected


def test_every_booking_has_its_bill(seeded):
    assert not Booking.objects.filter(bill=None).exists()
    paid_now = Bill.objects.filter(total_cents__gt=0, contract=None)
    assert {bill.status for bill in paid_now.exclude(booking__status="cancelled")} == {"issued"}
    assert {bill.status for bill in Bill.objects.filter(total_cents=0)} <= {"paid", "void"}
    off = Bill.objects.filter(booking__status="cancelled", total_cents__gt=0)
    assert {bill.status for bill in off} == {"void"}
    assert {bool(bill.gst_cents) for bill in Bill.objects.filter(entity_gst_number="")} == {False}
    assert {bool(bill.gst_cents) for bill in paid_now.exclude(entity_gst_number="")} == {True}


def test_all_is_consistent(seeded):
    assert list(consistency.broken()) == []


def test_second_run_changes_nothing(seeded):
    before = everything()

    made = seed(say=lambda text: None, days=DAYS)
    assert (make_contracts(made, make_patients()), bill_bookings(made)) == (0, 0)

    assert everything() == before


def test_next_day_only_adds_a_day(seeded, monkeypatch):
    tomorrow = timezone.localdate() + dt.timedelta(days=1)
    monkeypatch.setattr("scheduling.demo._today", lambda: tomorrow)
    before = everything()

    seed(say=lambda text: None, days=DAYS)

    after = everything()
    assert after["slots"][: len(before["slots"])] == before["slots"]
    assert after["bookings"][: len(before["bookings"])] == before["bookings"]
    added = {timezone.localdate(slot["starts_at"]) for slot in after["slots"][len(before["slots"]) :]}
    assert added <= {timezone.localdate() + dt.timedelta(days=DAYS)}


def unbill(bookings):
    """What no verb does and no trigger allows."""
    bills = list(Bill.objects.filter(booking_id__in=bookings).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in ("ledgerentry", "creditnote", "billline"):
            cursor.execute(f"DELETE FROM billing_{table} WHERE bill_id = ANY(%s)", [bills])  # noqa: S608
        cursor.execute("DELETE FROM billing_bill WHERE id = ANY(%s)", [bills])
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_interrupted_run_is_continued(seeded):
    day = timezone.localdate() + dt.timedelta(days=2)
    of_day = Booking.objects.filter(visit__date=day)  # those of contracts were made after all others
    references = set(of_day.filter(session__request__contract="").values_list("reference", flat=True))
    Slot.objects.filter(booking__in=of_day).update(booking=None)
    EquipmentReservation.objects.filter(booking__in=of_day).delete()
    booked = list(of_day.values_list("pk", flat=True))
    unbill(booked)
    Booking.objects.filter(pk__in=booked).delete()

    seed(say=lambda text: None, days=DAYS)

    assert references
    assert set(of_day.values_list("reference", flat=True)) == references


def test_logins_are_one_for_each_role(seeded):
    out = io.StringIO()
    call_command("seed_demo", "--logins", stdout=out)

    users = {role: authenticate(username=username(role), password=PASSWORD) for role in ROLES}
    assert all(username(role) in out.getvalue() for role in ROLES)
    assert out.getvalue().count(PASSWORD) == len(ROLES)
    assert users["admin"].office == "system_admin"
    assert not users["admin"].is_superuser
    assert users["patient"].patient is not None
    assert not users["patient"].memberships.exists()
    assert users["doctor"].practitioner.slots.exists()
    assert {m.role for m in users["receptionist"].memberships.all()} == {"receptionist"}
    assert users["manager"].memberships.count() == len(seeded)


def test_production_refuses_demo_data(settings):
    settings.PRODUCTION = True

    with pytest.raises(CommandError, match="production"):
        call_command("seed_demo")


def test_identity_numbers_are_of_nobody(seeded):
    numbers = Identifier.objects.all()
    assert len({each.value for each in numbers}) == len(numbers) > 200
    assert all(each.value.startswith("T9") and whole_number(each.value) for each in numbers)
    assert not numbers.filter(patient__user__username=username("patient")).exists()
    assert numbers.filter(checked_at=None).exists()
