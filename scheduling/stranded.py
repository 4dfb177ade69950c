"""Visits whose time cannot be kept: they are listed until they have a new one, and their old time is taken back."""

import datetime as dt

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from clinic_booking.events import subscribe
from clinic_booking.models import Event
from scheduling import edits, replan
from scheduling.edits import Scope
from scheduling.inventory import regenerate
from scheduling.locks import database_now
from scheduling.models import Booking, ChangePlan, ChangeProposal, Clinic, ScheduleException
from scheduling.replan import Candidate

LIVE = [Booking.Status.BOOKED, Booking.Status.ARRIVED]
SHOWN = 30


def needing_time(clinic: Clinic) -> QuerySet[Booking]:
    """Visits that were left open, and any other in leave or a closure: somebody may have been paying meanwhile."""
    away = ScheduleException.objects.filter(
        Q(clinic=OuterRef("clinic")) | Q(clinic=None),
        Q(practitioner=OuterRef("practitioner")) | Q(practitioner=None),
        kind__in=[ScheduleException.Kind.LEAVE, ScheduleException.Kind.CLOSURE],
        starts_at__lt=OuterRef("ends_at"),
        ends_at__gt=OuterRef("starts_at"),
    )
    left = ChangeProposal.objects.open_proposals().values("booking")
    ahead = Booking.objects.filter(clinic=clinic, status__in=LIVE, ends_at__gt=Now())
    return ahead.filter(Q(pk__in=left) | Exists(away)).order_by("starts_at", "pk")


def options_of_open(booking: Booking) -> list[Candidate]:
    """New times for a visit whose time cannot be kept, best first."""
    scope = Scope(clinics=[], practitioners=[], first=dt.date.min, last=dt.date.min)
    needs = replan.find_times([booking], scope=scope, now=database_now(), wanted={}, firm=())
    return needs[0].candidates[:SHOWN]


@subscribe("appointment.moved", "appointment.cancelled", "appointment.noshow")
def take_back_time(event: Event) -> None:
    """A visit that was left open has gone: its old time is outside of the hours and must not be offered."""
    left = ChangeProposal.objects.filter(
        booking=event.data["booking"],
        decision=ChangeProposal.Decision.OPEN,
        plan__status=ChangePlan.Status.APPLIED,
    )
    for proposal in left.select_related("plan"):
        for clinic in edits.clinics_with(proposal.from_practitioner_id):
            day = clinic.local_date(proposal.from_starts_at)
            with transaction.atomic(durable=True):
                regenerate(clinic=clinic, practitioners=[proposal.from_practitioner_id], first=day, days=1)
