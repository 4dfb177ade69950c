"""What fits a chosen time, and when a service is free next."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from patients.models import Patient
from scheduling import search
from scheduling.courses import AGREED, AgainstRules, check_rules
from scheduling.errors import SlotGone
from scheduling.locks import database_now
from scheduling.models import Clinic, Hold, Practitioner, ScheduleTemplate, Service, SessionTicket, Slot

SHOWN, ELSEWHERE = 8, 4
LONGEST = dt.timedelta(hours=12)


@dataclass(frozen=True)
class Picked:
    """A time that was clicked, with the services that fit into what is free from there on."""

    slot: Slot
    services: list[Service]


def offered_at(clinic: Clinic) -> list[Service]:
    """All that somebody delivers there."""
    works = Exists(ScheduleTemplate.objects.filter(clinic=clinic, practitioner=OuterRef("pk")))
    ahead = Slot.objects.filter(clinic=clinic, practitioner=OuterRef("pk"), starts_at__gt=Now())
    who = Practitioner.objects.filter(works | Exists(ahead), is_active=True)
    kinds = clinic.stations.values("kind")
    offered = Service.objects.filter(station_kind__in=kinds, practitioners__in=who)
    return list(offered.distinct().order_by("name"))


def picked(slot: Slot, owner: str) -> Picked:
    """Own holds are free to oneself."""
    now = database_now()
    after = Slot.objects.filter(
        practitioner=slot.practitioner_id,
        station=slot.station_id,
        starts_at__gte=slot.starts_at,
        starts_at__lt=slot.starts_at + LONGEST,
    ).order_by("starts_at")
    own = set(Hold.objects.filter(owner=owner, ended_at=None).values_list("pk", flat=True))
    reached = slot.starts_at
    for each in after:
        held = each.held_until and each.held_until > now and each.hold_id not in own
        if each.starts_at != reached or each.booking_id or each.is_blocked or held:
            break
        reached = each.ends_at
    room = reached - slot.starts_at
    offered = Service.objects.filter(practitioners=slot.practitioner_id, station_kind=slot.station.kind)
    fitting = [s for s in offered.order_by("name") if s.occupied <= room] if slot.starts_at > now else []
    return Picked(slot, fitting)


@dataclass(frozen=True)
class Next:
    slot_id: int
    starts_at: dt.datetime
    practitioner: str
    clinic: Clinic


def next_free(service: Service, clinic: Clinic, others: list[Clinic]) -> list[Next]:
    """The next free times here, then those of the other clinics. Across all practitioners."""
    return [*_next(service, [clinic], SHOWN), *_next(service, others, ELSEWHERE)]


def _next(service: Service, clinics: list[Clinic], limit: int) -> list[Next]:
    if not clinics:
        return []
    by_id = {clinic.pk: clinic for clinic in clinics}
    found = search.nearest_free(
        service_id=service.pk, clinic_ids=list(by_id), around=database_now(), limit=limit
    )
    return [Next(f.slot_id, f.starts_at, f.practitioner_name, by_id[f.clinic_id]) for f in found]


def covering(patient: Patient, service: Service, slot_id: int | None) -> list[SessionTicket]:
    """Of each of the patient's contracts the next session of the service that may be at this time."""
    now = database_now()
    planned = SessionTicket.objects.filter(
        AGREED,
        status=SessionTicket.Status.PLANNED,
        request__patient=patient,
        request__service=service,
        request__closed_at=None,
    ).exclude(Q(holds__ended_at=None) & Q(holds__expires_at__gt=now) & Q(holds__kind=Hold.Kind.OFFER))
    first: dict[int, SessionTicket] = {}
    for session in planned.select_related("request__service").order_by("request", "number"):
        if session.request_id not in first and _may_be(session, slot_id):
            first[session.request_id] = session
    return list(first.values())


def _may_be(session: SessionTicket, slot_id: int | None) -> bool:
    if slot_id is None:
        return True
    try:
        check_rules(session, slot_id)
    except (AgainstRules, SlotGone):
        return False
    return True
