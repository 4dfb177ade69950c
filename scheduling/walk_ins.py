"""People who came without a booking: into the queue, called, served as a booking of their session, or gone.

Locks the session first, then the walk-in: who serves and who sends away the same person meet there.
"""

from django.db import transaction
from django.db.models import Q, QuerySet

from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Patient
from scheduling import demand, live
from scheduling.arrivals import give_number
from scheduling.errors import NobodyFree, NotOffered, SlotTaken, WrongState
from scheduling.locks import database_now, tell
from scheduling.models import (
    Booking,
    BookingRequest,
    Clinic,
    Practitioner,
    Service,
    SessionTicket,
    Slot,
    Station,
    Urgency,
    VisitTicket,
    WalkIn,
)
from scheduling.placing import Place, place_sessions

ATTEMPTS = 5


def add_walk_in(
    *,
    clinic: Clinic,
    patient: Patient,
    service: Service,
    practitioner: Practitioner | None = None,
    urgency: int = Urgency.ROUTINE,
    by: User,
) -> WalkIn:
    """Into today's queue, with a number: the request, its session, the visit. Joins the caller's transaction.

    Who waits for the same already is returned as they are: a second click adds nobody. Raises NotOffered where the
    service is never delivered there, or not by this practitioner.
    """
    offers = service.practitioners.filter(is_active=True)
    if practitioner:
        offers = offers.filter(pk=practitioner.pk)
    if not offers.exists() or not clinic.stations.filter(kind=service.station_kind).exists():
        raise NotOffered
    now = database_now()
    today = clinic.local_date(now)
    visit, _is_new = VisitTicket.objects.get_or_create(patient=patient, clinic=clinic, date=today)
    visit = give_number(visit.pk, now)
    waiting = WalkIn.objects.filter(
        visit=visit, session__request__service=service, booking=None, left_at=None
    )
    if already := waiting.first():
        return already
    request = demand.request_sessions(
        patient=patient,
        service=service,
        quantity=1,
        source=BookingRequest.Source.WALK_IN,
        valid_from=today,
        valid_until=today,
        urgency=urgency,
        by=by,
        is_checked=True,
    )
    walk_in = WalkIn.objects.create(
        visit=visit, session=request.sessions.get(), practitioner=practitioner, arrived_at=now
    )
    _tell("walk_in.arrived", walk_in, by, number=visit.number)
    return walk_in


def call_walk_in(*, walk_in_id: int, by: User, station: Station | None = None) -> WalkIn:
    """To the station, or where the service would be delivered; once more is a recall. Raises WrongState, NobodyFree."""
    walk_in = _lock(walk_in_id)
    station = station or _station_for(walk_in)
    if station is None:
        raise NobodyFree
    walk_in.called_at, walk_in.called_to = database_now(), station
    walk_in.save(update_fields=["called_at", "called_to"])
    _tell("walk_in.called", walk_in, by, station=station.pk)
    return walk_in


def leave_queue(*, walk_in_id: int, by: User) -> WalkIn:
    """They went away: the session is cancelled. Joins the caller's transaction. Raises WrongState."""
    walk_in = _lock(walk_in_id)
    walk_in.left_at = database_now()
    walk_in.save(update_fields=["left_at"])
    SessionTicket.objects.filter(pk=walk_in.session_id).update(
        status=SessionTicket.Status.CANCELLED, unplaced_reason=""
    )
    _tell("walk_in.left", walk_in, by)
    return walk_in


def start_walk_in(*, walk_in_id: int, by: User, practitioner: Practitioner | None = None) -> Booking:
    """Serve them now: a booking of the first free time of today, begun already. Opens its own transactions.

    Raises WrongState, NobodyFree where no time is free today: that takes an overbooking.
    """
    for _ in range(ATTEMPTS):
        walk_in = _related().get(pk=walk_in_id)
        slot = first_free(walk_in, practitioner or walk_in.practitioner)
        if slot is None:
            with transaction.atomic():
                _lock(walk_in_id)  # somebody else may have served them just now: that is said first
            raise NobodyFree
        try:
            with transaction.atomic(durable=True):
                return _serve(walk_in, slot, by)
        except SlotTaken:
            continue
    raise NobodyFree


def begin_as(*, walk_in_id: int, booking: Booking, by: User) -> Booking:
    """The booking was made for the walk-in's session: it is here and begins. Joins the transaction that booked it."""
    walk_in = _lock(walk_in_id, is_planned=False)
    now = database_now()
    walk_in.booking = booking
    walk_in.save(update_fields=["booking"])
    booking.status, booking.arrived_at = Booking.Status.ARRIVED, walk_in.arrived_at
    booking.called_at, booking.started_at = walk_in.called_at, now
    for topic in ("appointment.arrived", "appointment.started"):
        booking.version += 1
        tell(topic, booking, by=by.pk, walk_in=walk_in.pk)
    booking.save(update_fields=["status", "version", "arrived_at", "called_at", "started_at"])
    live.nudge(booking.clinic_id, walk_in.visit.date)
    return booking


def _serve(walk_in: WalkIn, slot: Slot, by: User) -> Booking:
    place = Place(walk_in.session_id, slot.pk)
    placed = place_sessions(places=[place], by=by, may_have_begun=True)
    if placed.lost:
        error = placed.lost[0][1]
        if isinstance(error, SlotTaken):
            raise error
        _lock(walk_in.pk)  # says first that somebody else was faster
        raise error
    return begin_as(walk_in_id=walk_in.pk, booking=placed.booked[0], by=by)


def first_free(walk_in: WalkIn, practitioner: Practitioner | None) -> Slot | None:
    """The slot with which the first free time of the clinic's day begins, the one under way included."""
    service, visit = walk_in.session.request.service, walk_in.visit
    now = database_now()
    until = visit.clinic.day_bounds(visit.date)[1]
    who = [practitioner.pk] if practitioner else list(service.practitioners.values_list("pk", flat=True))
    free = Q(booking=None, is_blocked=False) & (Q(held_until=None) | Q(held_until__lte=now))
    slots = Slot.objects.filter(
        free,
        clinic=visit.clinic,
        practitioner__in=who,
        station__kind=service.station_kind,
        ends_at__gt=now,
        starts_at__lt=until,
    )
    runs: dict[tuple[int, int], list[Slot]] = {}
    found = []
    for slot in slots.order_by("starts_at", "pk"):
        run = runs.setdefault((slot.practitioner_id, slot.station_id), [])
        if run and run[-1].ends_at != slot.starts_at:
            run.clear()
        run.append(slot)
        while run and slot.ends_at - run[0].starts_at >= service.occupied:
            found.append(run.pop(0))
    return min(found, key=lambda s: (s.starts_at, s.pk), default=None)


def _station_for(walk_in: WalkIn) -> Station | None:
    slot = first_free(walk_in, walk_in.practitioner)
    if slot:
        return slot.station
    # All taken: where the practitioner is today, or any room for it.
    kind = walk_in.session.request.service.station_kind
    rooms = walk_in.visit.clinic.stations.filter(kind=kind)
    if walk_in.practitioner_id:
        first, until = walk_in.visit.clinic.day_bounds(walk_in.visit.date)
        there = Slot.objects.filter(
            practitioner=walk_in.practitioner_id, starts_at__gte=first, starts_at__lt=until
        )
        rooms = rooms.filter(pk__in=there.values("station"))
    return rooms.first()


def _related() -> QuerySet[WalkIn]:
    return WalkIn.objects.select_related("visit__clinic", "visit__patient", "session__request__service")


def _lock(walk_in_id: int, *, is_planned: bool = True) -> WalkIn:
    """Still waiting, under the locks of the session and the walk-in. Raises WrongState."""
    session_id = WalkIn.objects.values_list("session_id", flat=True).get(pk=walk_in_id)
    session = SessionTicket.objects.select_for_update(of=("self",), no_key=True).get(pk=session_id)
    walk_in = _related().select_for_update(of=("self",), no_key=True).get(pk=walk_in_id)
    if walk_in.left_at:
        raise WrongState(WrongState.left)
    if walk_in.booking_id or (is_planned and session.status != SessionTicket.Status.PLANNED):
        raise WrongState(WrongState.begun)
    return walk_in


def _tell(topic: str, walk_in: WalkIn, by: User, **more: object) -> None:
    data = {"walk_in": walk_in.pk, "by": by.pk} | more
    publish(topic, f"walk_in:{walk_in.pk}", data, clinic_id=walk_in.visit.clinic_id)
    live.nudge(walk_in.visit.clinic_id, walk_in.visit.date)
