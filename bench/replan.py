"""A doctor calls in sick: 24 visits get new times."""

import datetime as dt
import secrets
import time

from django.db import transaction
from django.db.models import Count

from bench.fill import DAYS, PRACTITIONERS, SLOTS_A_DAY, book, plan_clinics
from clinic_booking.models import User
from patients.models import Patient
from scheduling import booking, changes
from scheduling.inventory import generate
from scheduling.models import ChangePlan, Clinic, Service, Slot

TAKEN_PERCENT = 60


def replan_a_sick_day() -> tuple[str, int, int, str, str]:
    """Slots, visits, how many were moved, seconds to show and to apply."""
    clinics = plan_clinics(3)
    generate(days=DAYS, clinics=clinics)
    book(clinics, percent=TAKEN_PERCENT)
    doctor, day = _full_day(clinics[0])
    _fill(doctor, day)
    by, _made = User.objects.get_or_create(username="bench")
    payload = {"practitioner": doctor, "clinic": None, "station": None, "slot_minutes": 20, "reason": ""}
    payload |= {"starts_at": day.isoformat(), "ends_at": (day + dt.timedelta(days=1)).isoformat()}
    begin = time.perf_counter()
    plan = changes.draft_plan(clinic=clinics[0], kind=ChangePlan.Kind.LEAVE, payload=payload, by=by)
    shown = time.perf_counter() - begin
    begin = time.perf_counter()
    changes.apply_plan(plan_id=plan.pk, by=by)
    applied = time.perf_counter() - begin
    proposals = plan.proposals.all()
    moved = sum(p.moved_version is not None for p in proposals)
    count = Slot.objects.filter(clinic__in=clinics).count()
    assert len(proposals) == SLOTS_A_DAY
    return f"{count:,}", len(proposals), moved, f"{shown:.2f}", f"{applied:.2f}"


def _full_day(clinic: Clinic) -> tuple[int, dt.datetime]:
    """A doctor and the first midnight after tomorrow's whose day has all its slots."""
    for ahead in range(2, DAYS):
        first, until = clinic.day_bounds(clinic.today() + dt.timedelta(days=ahead))
        working = Slot.objects.filter(clinic=clinic, starts_at__gte=first, starts_at__lt=until)
        doctors = working.values("practitioner").annotate(n=Count("pk")).filter(n=SLOTS_A_DAY)
        if len(doctors) == PRACTITIONERS:
            return doctors[0]["practitioner"], first
    raise AssertionError("nobody works")


def _fill(doctor: int, day: dt.datetime) -> None:
    service = Service.objects.get(slug="bench")
    free = Slot.objects.filter(
        practitioner=doctor, starts_at__range=(day, day + dt.timedelta(days=1)), booking=None
    )
    for n, slot in enumerate(free):
        patient = Patient.objects.create(
            name=f"Sick day {n}", email=f"sick{n}@example.com", phone="+6590000000"
        )
        hold = booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=secrets.token_urlsafe(24))
        with transaction.atomic():
            booking.confirm_hold(hold_id=hold.pk, patient=patient)
