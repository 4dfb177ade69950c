"""The matcher beside patients who book online, beside itself, and beside what changes while it thinks."""

import functools

import pytest
from django.db import transaction

from clinic_booking.errors import NamedError
from scheduling import booking, matching
from scheduling.models import Booking, SessionTicket, Slot
from tests import factories
from tests.invariants import broken
from tests.race import Rival, before, together
from tests.scheduling.hard_rules import broken_rules
from tests.scheduling.test_matching import day, hard, make_request

pytestmark = pytest.mark.django_db(transaction=True)
CLIENTS = 32


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db):
    yield
    assert broken() == {}
    assert broken_rules() == []


def books_online(number, slots, service, patient):
    """Like a person: takes the first of some times that is free."""
    for slot in slots:
        try:
            held = booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=f"client-{number}")
            with transaction.atomic():
                return booking.confirm_hold(hold_id=held.pk, patient=patient)
        except NamedError:
            continue
    return None


def test_two_runs_and_32_clients_share_the_times(practitioner, station, service):
    service.equipment_kinds = ["laser-head"]
    service.save()
    factories.EquipmentFactory(clinic=station.clinic, kind="laser-head", units=2)
    others = factories.PractitionerFactory.create_batch(2)
    service.practitioners.add(*others)
    places = [
        (practitioner, station),
        *((p, factories.StationFactory(clinic=station.clinic)) for p in others),
    ]
    slots = [
        s
        for who, where in places
        for n in range(5)
        for s in factories.make_slots(who, where, day(n), slots=6)
    ]
    for n in range(20):
        make_request(service, 1 + n % 3, patterns=[hard(min_gap_days=1)])
    planned = SessionTicket.objects.count()
    clients = [
        functools.partial(books_online, n, slots[n % 9 :: 9], service, patient)
        for n, patient in enumerate(factories.PatientFactory.create_batch(CLIENTS))
    ]
    run = functools.partial(matching.match_requests, time_limit=6)
    outcomes = together(run, run, *clients)
    reports, online = outcomes[:2], outcomes[2:]
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    scheduled = SessionTicket.objects.filter(status="scheduled", request__source="online")
    made = [one for one in online if one]
    assert (
        sum(report.placed for report in reports) + len(made) == Booking.objects.count() == scheduled.count()
    )
    still = SessionTicket.objects.filter(status="planned")
    assert still.count() + sum(report.placed for report in reports) == planned
    assert not still.filter(unplaced_reason="").exists()
    assert Slot.objects.filter(booking__isnull=False).count() == Booking.objects.count()


def test_time_that_is_taken_meanwhile_is_planned_anew(
    monkeypatch, practitioner, station, service, other_patient
):
    slots = [factories.make_slots(practitioner, station, day(n), slots=1)[0] for n in range(2)]
    request = make_request(service)

    def rival():
        return Rival(lambda: books_online(0, slots, service, other_patient)).outcome()

    before(monkeypatch, "scheduling.booking.place_sessions", rival)
    report = matching.match_requests()
    assert (report.placed, report.lost, report.rounds) == (1, 1, 2)
    assert Booking.objects.get(session__request=request).starts_at == slots[1].starts_at


def test_autofill_takes_the_next_time_when_it_loses_one(monkeypatch, slots, service, other_patient):
    request = make_request(service)
    before(
        monkeypatch,
        "scheduling.booking.place_sessions",
        lambda: Rival(lambda: books_online(0, slots, service, other_patient)).outcome(),
    )
    [made] = matching.autofill(request_id=request.pk, by=None).placed
    assert made.starts_at == slots[1].starts_at


def test_request_that_moved_meanwhile_is_planned_anew(monkeypatch, practitioner, station, service, patient):
    """Its gaps were planned from a date that is no longer so."""
    weeks = [factories.make_slots(practitioner, station, day(n), slots=2)[0] for n in range(12)]
    request = make_request(service, 2, patient=patient, patterns=[hard(min_gap_days=3, max_gap_days=3)])
    first = request.sessions.get(number=1)
    with transaction.atomic():
        places = [booking.Place(first.pk, weeks[0].pk)]
        [made] = booking.place_sessions(places=places, by=None).booked

    def move():
        with transaction.atomic():
            booking.move_booking(booking_id=made.pk, slot_id=weeks[5].pk, by=None)

    before(monkeypatch, "scheduling.matching.single.write", lambda: Rival(move).outcome())
    [second] = matching.autofill(request_id=request.pk, by=None).placed
    assert second.starts_at == weeks[8].starts_at


def test_two_autofills_of_a_request_book_it_once(practitioner, station, service):
    for n in range(10):
        factories.make_slots(practitioner, station, day(n), slots=2)
    request = make_request(service, 4, patterns=[hard(min_gap_days=1)])
    fill = functools.partial(matching.autofill, request_id=request.pk, by=None)
    results = together(fill, fill, fill)
    assert sum(len(result.placed) for result in results) == 4
    assert Booking.objects.count() == 4
