"""Sessions of one request get times: the best ones that keep every rule, and a reason where there is none."""

import datetime as dt

import pytest

from clinic_booking.models import Event
from scheduling import matching
from scheduling.models import Booking, SessionTicket, Slot
from tests import factories
from tests.scheduling.hard_rules import broken_rules

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def all_rules_kept(db):
    yield
    assert broken_rules() == []


def day(n, hour=9):
    return factories.tomorrow_at(hour) + dt.timedelta(days=n)


@pytest.fixture
def weeks(practitioner, station, service):
    """Four free slots on each of 29 days from tomorrow."""
    return [slot for n in range(29) for slot in factories.make_slots(practitioner, station, day(n), slots=4)]


def make_request(service, sessions=1, *, patterns=(), **values):
    request = factories.BookingRequestFactory(service=service, quantity=sessions, **values)
    for number in range(1, sessions + 1):
        factories.SessionTicketFactory(request=request, number=number)
    for pattern in patterns:
        factories.BookingPatternFactory(request=request, **pattern)
    return request


def hard(**values):
    return {"is_hard": True} | values


def wish(**values):
    return {"is_hard": False} | values


def fill(request, by=None):
    return matching.autofill(request_id=request.pk, by=by)


def days_of(request):
    bookings = Booking.objects.live().filter(session__request=request).order_by("session__number")
    return [(booking.starts_at.date() - day(0).date()).days for booking in bookings]


def reason(request, number=1):
    return SessionTicket.objects.get(request=request, number=number).unplaced_reason


def test_sessions_follow_each_other_a_week_apart(weeks, service):
    request = make_request(service, 4, patterns=[hard(min_gap_days=7, max_gap_days=7)])
    result = fill(request)
    assert len(result.placed) == 4
    assert result.unplaced == []
    assert days_of(request) == [0, 7, 14, 21]
    assert not SessionTicket.objects.filter(status="planned").exists()


def test_autofill_again_changes_nothing(weeks, service):
    request = make_request(service, 2)
    fill(request)
    before = list(Booking.objects.values_list("pk", "starts_at"))
    assert fill(request) == matching.AutofillResult()
    assert list(Booking.objects.values_list("pk", "starts_at")) == before


def test_all_hard_patterns_hold_at_once(weeks, service, practitioner):
    request = make_request(
        service,
        patterns=[hard(weekdays=[3]), hard(from_time=dt.time(9, 20)), hard(practitioners=[practitioner])],
    )
    [made] = fill(request).placed
    local = made.starts_at.astimezone(made.clinic.zone)
    assert (local.isoweekday(), local.time()) == (3, dt.time(9, 20))


def test_wish_is_worth_more_than_an_early_day(weeks, service):
    request = make_request(service, patterns=[wish(earliest=day(20).date())])
    fill(request)
    assert days_of(request) == [20]


def test_wish_gives_way_to_a_further_session(weeks, service):
    request = make_request(
        service, 2, patterns=[hard(min_gap_days=20, max_gap_days=28), wish(earliest=day(9).date())]
    )
    fill(request)
    assert days_of(request) == [0, 20]


def test_wish_for_a_gap_counts_between_sessions(weeks, service):
    request = make_request(service, 3, patterns=[hard(min_gap_days=1), wish(min_gap_days=4, max_gap_days=5)])
    fill(request)
    assert days_of(request) == [0, 4, 8]


def test_gap_counts_from_the_session_that_is_booked(weeks, service, patient):
    request = make_request(service, 2, patient=patient, patterns=[hard(min_gap_days=10)])
    first = request.sessions.get(number=1)
    factories.book(weeks[8:9], session=first, patient=patient, service=service)
    SessionTicket.objects.filter(pk=first.pk).update(status="scheduled")
    fill(request)
    assert days_of(request) == [2, 12]


def test_returned_session_goes_between_its_neighbours(weeks, service, patient):
    request = make_request(service, 3, patient=patient, patterns=[hard(min_gap_days=2)])
    for number, slots in ((1, weeks[0:1]), (3, weeks[40:41])):
        session = request.sessions.get(number=number)
        factories.book(slots, session=session, patient=patient, service=service)
        SessionTicket.objects.filter(pk=session.pk).update(status="scheduled")
    fill(request)
    assert days_of(request) == [0, 2, 10]


def test_long_service_takes_joining_slots(weeks, practitioner):
    service = factories.ServiceFactory(duration_minutes=30, buffer_minutes=10, practitioners=[practitioner])
    factories.book(weeks[1:2], service=factories.ServiceFactory(practitioners=[practitioner]))
    [made] = fill(make_request(service)).placed
    assert list(made.slots.order_by("starts_at")) == weeks[2:4]


def test_patient_is_never_in_two_places(slots, service, patient):
    other = factories.PractitionerFactory()
    station = factories.StationFactory(clinic=slots[0].clinic)
    theirs = factories.ServiceFactory(practitioners=[other])
    factories.book(factories.make_slots(other, station, day(0), slots=3), patient=patient, service=theirs)
    [made] = fill(make_request(service, patient=patient)).placed
    assert made.starts_at == day(0) + dt.timedelta(hours=1)


def test_last_unit_of_equipment_is_used_once(slots, practitioner):
    service = factories.ServiceFactory(practitioners=[practitioner], equipment_kinds=["laser-head"])
    factories.EquipmentFactory(clinic=slots[0].clinic, kind="laser-head", units=1)
    other = factories.PractitionerFactory()
    service.practitioners.add(other)
    factories.make_slots(other, factories.StationFactory(clinic=slots[0].clinic), day(0))
    made = [fill(make_request(service)).placed[0] for _n in range(3)]
    assert len({booking.starts_at for booking in made}) == 3


def test_held_time_is_left_alone(slots, service):
    factories.hold(slots[:1])
    [made] = fill(make_request(service)).placed
    assert made.starts_at == slots[1].starts_at


def test_session_that_is_offered_a_time_waits(slots, service, patient):
    request = make_request(service, patient=patient)
    factories.hold(slots[:1], session=request.sessions.get(), patient=patient)
    assert fill(request) == matching.AutofillResult()


def test_closed_request_gets_nothing(slots, service):
    request = make_request(service, closed_at=day(0))
    assert fill(request) == matching.AutofillResult()


def test_events_tell_of_the_request(weeks, service):
    request = make_request(service, 5, patterns=[hard(min_gap_days=7)])
    sessions = list(request.sessions.order_by("number").values_list("pk", flat=True))
    fill(request)
    matched = Event.objects.get(topic="request.matched")
    assert (matched.subject, matched.data["count"]) == (f"request:{request.pk}", 5)
    assert sorted(matched.data["sessions"]) == sessions


# -- Reasons -------------------------------------------------------------------------------------


def test_reason_names_the_day_that_would_help(practitioner, station, service):
    monday = next(n for n in range(7) if day(n).isoweekday() == 1)
    factories.make_slots(practitioner, station, day(monday + 1), slots=4)
    patterns = [hard(weekdays=[1], from_time=dt.time(9), until_time=dt.time(12))]
    request = make_request(service, patterns=patterns)
    [session] = fill(request).unplaced
    assert session.unplaced_reason.startswith("No consult room is free on Mondays 9:00–12:00 until ")
    assert "4 other times fit if other days such as Tuesday are allowed" in session.unplaced_reason
    assert session.tried_at
    assert Event.objects.filter(topic="request.unmatched").count() == 1
    fill(request)
    assert Event.objects.filter(topic="request.unmatched").count() == 1


def test_reason_names_the_equipment(slots, practitioner):
    service = factories.ServiceFactory(practitioners=[practitioner], equipment_kinds=["laser-head"])
    request = make_request(service)
    fill(request)
    assert reason(request) == "No clinic has the equipment laser-head."


def test_reason_names_the_dates_for_which_there_is_no_supply(slots, service):
    request = make_request(service, valid_from=day(90).date())
    fill(request)
    assert reason(request).startswith("Times are made until ")


def test_reason_names_the_gap_and_later_sessions_wait(slots, service):
    request = make_request(service, 3, patterns=[hard(min_gap_days=7)])
    fill(request)
    assert "with another gap to the session before" in reason(request, 2) or "Times are made" in reason(
        request, 2
    )
    assert reason(request, 3) == "Session 2 comes before it and has no time yet."


def test_reason_says_that_nobody_offers_it(slots):
    request = make_request(factories.ServiceFactory(name="Tattoo removal"))
    fill(request)
    assert reason(request) == "Nobody offers Tattoo removal."


def test_reason_is_gone_when_there_is_a_time(slots, service):
    Slot.objects.update(is_blocked=True)
    request = make_request(service)
    fill(request)
    assert reason(request)
    Slot.objects.update(is_blocked=False)
    fill(request)
    assert not reason(request)
