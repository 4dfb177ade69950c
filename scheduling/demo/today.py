"""The demo's day under way, at whatever time it begins: people waiting, called, treated and late, and work to do."""

import datetime as dt
import uuid
from collections.abc import Sequence
from contextlib import suppress

from django.db import transaction
from django.db.models import Max

from clinic_booking.models import Event, Notification, User
from patients.models import Patient, PatientClinic
from scheduling import walk_ins
from scheduling.demo.messages import stage_messages
from scheduling.demo.people import NAMESPACE
from scheduling.demo.staff import username
from scheduling.errors import BookingError
from scheduling.locks import database_now
from scheduling.models import (
    Booking,
    Clinic,
    DeskNote,
    Overbooking,
    Practitioner,
    Service,
    SessionTicket,
    VisitTicket,
    WalkIn,
)
from scheduling.overbooking import overbook

STEPS = ("started", "called", "arrived", "arrived", "late")
WAITING_MINUTES = (25, 12, 5)
TRIES = 30
Status = Booking.Status


def stage_today(clinics: Sequence[Clinic], patients: Sequence[Patient]) -> None:
    """Whatever of it is missing; a day that was staged is left to those who play with it."""
    desk = User.objects.get(username=username("receptionist"))
    for clinic in clinics:
        with transaction.atomic():
            _stamp(clinic)
            if not WalkIn.objects.filter(visit__clinic=clinic, visit__date=clinic.today()).exists():
                _stage(clinic, patients, desk)
    with transaction.atomic():
        _trouble(clinics[0], desk)
    _overbook(clinics[0], patients)
    stage_messages(clinics, patients)


def _of_today(clinic: Clinic) -> list[Booking]:
    first, until = clinic.day_bounds(clinic.today())
    found = Booking.objects.live().filter(clinic=clinic, starts_at__gte=first, starts_at__lt=until)
    return list(found.select_related("session", "visit", "practitioner").order_by("starts_at", "pk"))


def _stamp(clinic: Clinic) -> None:
    """Who was here came at some time, and has a number."""
    now = database_now()
    for booking in _of_today(clinic):
        if booking.status == Status.BOOKED or booking.arrived_at:
            continue
        booking.arrived_at = min(now, booking.starts_at) - dt.timedelta(minutes=6)
        if booking.status == Status.FULFILLED:
            booking.called_at = booking.arrived_at + dt.timedelta(minutes=4)
            booking.started_at = booking.arrived_at + dt.timedelta(minutes=5)
            booking.finished_at = booking.started_at + (booking.ends_at - booking.starts_at)
        booking.save(update_fields=["arrived_at", "called_at", "started_at", "finished_at"])
        _number(booking.visit, booking.arrived_at)


def _number(visit: VisitTicket, arrived_at: dt.datetime) -> None:
    visit.refresh_from_db()
    if visit.number is None:
        of_day = VisitTicket.objects.filter(clinic=visit.clinic_id, date=visit.date)
        visit.number = (of_day.aggregate(Max("number"))["number__max"] or 0) + 1
        visit.arrived_at = arrived_at
        visit.save(update_fields=["number", "arrived_at"])


def _stage(clinic: Clinic, patients: Sequence[Patient], desk: User) -> None:
    now = database_now()
    nearest = sorted(_of_today(clinic), key=lambda b: abs(b.starts_at - now))
    # Several of one patient would be in two steps at once.
    own = list({booking.patient_id: booking for booking in reversed(nearest)}.values())[::-1]
    for booking, step in zip(own, STEPS, strict=False):
        _set(booking, step, now)
    if own:
        writer = own[0].practitioner.user or desk
        text = "Wants a follow-up in 2 weeks, mornings"
        DeskNote.objects.create(booking=own[0], text=text, written_by=writer)
    _walk_ins(clinic, patients, desk, now)


def _set(booking: Booking, step: str, now: dt.datetime) -> None:
    def ago(minutes: int) -> dt.datetime:
        return now - dt.timedelta(minutes=minutes)

    times = {
        "started": (ago(25), ago(12), ago(10)),
        "called": (ago(20), ago(1), None),
        "arrived": (ago(14), None, None),
        "late": (None, None, None),
    }[step]
    booking.arrived_at, booking.called_at, booking.started_at = times
    booking.finished_at, booking.status = None, Status.BOOKED if step == "late" else Status.ARRIVED
    booking.save(update_fields=["arrived_at", "called_at", "started_at", "finished_at", "status"])
    SessionTicket.objects.filter(pk=booking.session_id).update(status=SessionTicket.Status.SCHEDULED)
    if booking.arrived_at:
        _number(booking.visit, booking.arrived_at)


def _walk_ins(clinic: Clinic, patients: Sequence[Patient], desk: User, now: dt.datetime) -> None:
    here = Practitioner.objects.filter(slots__clinic=clinic)
    service = Service.objects.filter(
        practitioners__in=here, station_kind__in=clinic.stations.values("kind")
    ).order_by("pk")[0]
    busy = set(VisitTicket.objects.filter(date=clinic.today()).values_list("patient_id", flat=True))
    free = [patient for patient in patients[150:] if patient.pk not in busy]
    for patient, minutes in zip(free, WAITING_MINUTES, strict=False):
        made = walk_ins.add_walk_in(clinic=clinic, patient=patient, service=service, by=desk)
        arrived = now - dt.timedelta(minutes=minutes)
        WalkIn.objects.filter(pk=made.pk).update(arrived_at=arrived)
        VisitTicket.objects.filter(pk=made.visit_id).update(arrived_at=arrived)


def _overbook(clinic: Clinic, patients: Sequence[Patient]) -> None:
    """One visit too many, on purpose: today while there are hours to come, else on the next day of work."""
    if Overbooking.objects.filter(template__clinic=clinic, ended_at=None).exists():
        return
    manager = User.objects.get(username=username("manager"))
    soon = database_now() + dt.timedelta(minutes=10)
    taken = Booking.objects.filter(
        clinic=clinic, status=Status.BOOKED, starts_at__gt=soon, slots__isnull=False
    )
    related = taken.select_related("practitioner", "station", "service").distinct()
    for booking in related.order_by("starts_at", "pk")[:TRIES]:
        with suppress(BookingError), transaction.atomic():
            overbook(
                clinic=clinic,
                practitioner=booking.practitioner,
                station=booking.station,
                service=booking.service,
                starts_at=booking.starts_at,
                patient=patients[-1],
                reason="Fever, must be seen",
                by=manager,
            )
            return


# -- Work to do ----------------------------------------------------------------------------------


def _trouble(clinic: Clinic, desk: User) -> None:
    """A message that failed, a patient without an address, one who is twice on file."""
    if Notification.objects.filter(status=Notification.Status.FAILED).exists():
        return
    tomorrow = clinic.day_bounds(clinic.today())[1]
    ahead = Booking.objects.filter(clinic=clinic, status=Status.BOOKED, starts_at__gte=tomorrow)
    coming = list(
        ahead.exclude(patient__user__isnull=False).select_related("patient").order_by("starts_at", "pk")[:40]
    )
    if len(coming) < 3:
        return
    _fail(coming[0])
    Patient.objects.filter(pk=coming[1].patient_id).update(email="")
    known = next(b.patient for b in coming[2:] if b.patient_id not in {c.patient_id for c in coming[:2]})
    twin, _made = Patient.objects.get_or_create(
        uuid=uuid.uuid5(NAMESPACE, "twice on file"),
        defaults={
            "name": f"{known.name} (Ms)",
            "email": "second.file@example.com",
            "phone": known.phone,
            "birth_date": known.birth_date,
        },
    )
    PatientClinic.objects.get_or_create(patient=twin, clinic_id=clinic.pk)


def _fail(booking: Booking) -> None:
    """Written without `publish`: its jobs would send the message after all."""
    data = {"booking": booking.pk, "reference": booking.reference, "version": booking.version}
    event = Event.objects.create(
        topic="appointment.booked",
        subject=f"booking:{booking.pk}",
        clinic_id=booking.clinic_id,
        data=data,
    )
    Notification.objects.create(
        event=event,
        kind="booked",
        status=Notification.Status.FAILED,
        attempts=10,
        error="SMTPServerDisconnected",
    )
