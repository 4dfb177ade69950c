"""A clinic with planned hours, and visits in them made as patients make them. For the tests of change plans."""

import datetime as dt
import uuid

from django.db import transaction

from scheduling import booking, changes, holds
from scheduling.edits import exception_payload, hours_payload
from scheduling.inventory import generate
from scheduling.models import ChangePlan, ScheduleException, Slot
from tests import factories

Kind = ChangePlan.Kind


def no_holidays(monkeypatch):
    """Whatever day it is."""
    monkeypatch.setattr("scheduling.inventory.public_holidays", lambda clinic, first, days: set())


def practise(clinic, service, *, name="Dr Lim Wei Jie", kind="consult", days=5, **values):
    """A practitioner of the service with hours in a room of their own, and the slots of the coming days."""
    who = factories.PractitionerFactory(name=name)
    service.practitioners.add(who)
    room = factories.StationFactory(clinic=clinic, kind=kind)
    template = factories.ScheduleTemplateFactory(clinic=clinic, practitioner=who, station=room, **values)
    generate(days=days, clinics=[clinic], first=tomorrow(clinic))
    return template


def tomorrow(clinic):
    return clinic.today() + dt.timedelta(1)


def at(clinic, hour, minute=0, *, day=1):
    return dt.datetime.combine(clinic.today() + dt.timedelta(day), dt.time(hour, minute), clinic.zone)


def visit(template, service, hour, minute=0, *, day=1, patient=None):
    slot = Slot.objects.get(
        practitioner=template.practitioner, starts_at=at(template.clinic, hour, minute, day=day)
    )
    hold = holds.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=uuid.uuid4().hex, any_service=True)
    with transaction.atomic():
        return booking.confirm_hold(hold_id=hold.pk, patient=patient or factories.PatientFactory())


def leave(template, start, end, *, clinic=None):
    exception = ScheduleException(
        kind=Kind.LEAVE, practitioner=template.practitioner, clinic=clinic, starts_at=start, ends_at=end
    )
    return exception_payload(exception)


def sick_day(template, by, *, day=1):
    payload = leave(template, at(template.clinic, 0, day=day), at(template.clinic, 0, day=day + 1))
    return changes.draft_plan(clinic=template.clinic, kind=Kind.LEAVE, payload=payload, by=by)


def new_hours(template, by, *, breaks=(), **values):
    for name, value in values.items():
        setattr(template, name, value)
    payload = hours_payload(template, list(breaks))
    return changes.draft_plan(clinic=template.clinic, kind=Kind.HOURS, payload=payload, by=by)


def when(plan):
    """Old and new time of each proposal, and with whom."""
    zone = plan.clinic.zone
    return [
        (
            f"{p.from_starts_at.astimezone(zone):%H:%M}",
            p.decision,
            p.starts_at and f"{p.starts_at.astimezone(zone):%H:%M}",
            p.starts_at and (p.starts_at.astimezone(zone).date() - plan.clinic.today()).days,
            p.practitioner and p.practitioner.name,
        )
        for p in plan.proposals.order_by("from_starts_at")
    ]
