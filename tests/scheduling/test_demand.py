import datetime as dt

import pytest

from clinic_booking.models import Event
from scheduling import demand
from scheduling.demand import PatternSpec, Policies, Unmeetable
from scheduling.models import BookingRequest, SessionTicket, WaitlistEntry
from tests import factories

pytestmark = pytest.mark.django_db
TODAY = dt.date(2026, 11, 2)  # a Monday
HALF_YEAR = {"valid_from": TODAY, "valid_until": TODAY + dt.timedelta(180)}


@pytest.fixture
def lim(practitioner, station):
    """Mondays to Fridays 9–12, with a break at ten, and every second Saturday."""
    factories.ScheduleTemplateFactory(
        practitioner=practitioner,
        station=station,
        clinic=station.clinic,
        weekdays=[1, 2, 3, 4, 5],
        breaks=[(dt.time(10), dt.time(10, 20))],
    )
    factories.ScheduleTemplateFactory(
        practitioner=practitioner,
        station=station,
        clinic=station.clinic,
        weekdays=[6],
        every_n_weeks=2,
        valid_from=TODAY,
    )
    return practitioner


@pytest.fixture
def problems(lim, service):
    def problems(*patterns, quantity=6, **values):
        values = HALF_YEAR | {"service": service, "today": TODAY} | values
        return [p.sentence for p in demand.unmeetable(quantity=quantity, patterns=patterns, **values)]

    return problems


def must(**values):
    return PatternSpec(is_hard=True, **values)


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"weekdays": frozenset({1, 7})},
        {"weekdays": frozenset({6})},
        {"from_time": dt.time(10, 20), "until_time": dt.time(10, 40)},
        {"min_gap_days": 14, "max_gap_days": 28},
        {"earliest": TODAY + dt.timedelta(14), "latest": TODAY + dt.timedelta(14), "min_gap_days": 0},
    ],
)
def test_what_can_be_met_is_let_through(problems, pattern):
    assert problems(must(**pattern)) == []
    assert problems(PatternSpec(**pattern)) == []


@pytest.mark.parametrize(("quantity", "said"), [(0, "Between 1 and 100"), (-3, "-3"), (101, "101")])
def test_absurd_number_of_sessions(problems, quantity, said):
    assert said in problems(quantity=quantity)[0]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (10, 5, "before “valid from”"),
        (-10, -1, "The validity is over: it ends on 1 November 2026."),
        (0, 3000, "longer than five years"),
        (3000, 3001, "more than five years away"),
    ],
)
def test_validity(problems, first, last, said):
    days = {"valid_from": TODAY + dt.timedelta(first), "valid_until": TODAY + dt.timedelta(last)}
    assert said in problems(**days)[0]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ({"weekdays": frozenset({7})}, "Nobody offers General consultation on Sundays."),
        (
            {"from_time": dt.time(9), "until_time": dt.time(9, 10)},
            "The window of 10 minutes is shorter than a visit (20 minutes).",
        ),
        ({"from_time": dt.time(12)}, "Visits are possible between 09:00 and 12:00 only."),
        ({"from_time": dt.time(11), "until_time": dt.time(10)}, "The window ends before it begins."),
        ({"earliest": TODAY + dt.timedelta(181)}, "Its dates lie outside the validity."),
        ({"latest": TODAY - dt.timedelta(1)}, "Its dates lie outside the validity."),
        (
            {"earliest": TODAY + dt.timedelta(9), "latest": TODAY + dt.timedelta(8)},
            "The last day is before the first.",
        ),
        (
            {"min_gap_days": 10, "max_gap_days": 5},
            "The largest gap (5 days) is smaller than the smallest (10 days).",
        ),
    ],
)
@pytest.mark.parametrize("is_hard", [True, False])
def test_pattern_that_cannot_be_met(problems, pattern, said, is_hard):
    assert problems(PatternSpec(is_hard=is_hard, **pattern)) == [said]


def test_practitioner_is_named_with_the_day(problems, lim):
    assert problems(must(practitioners=frozenset({lim.pk}), weekdays=frozenset({7}))) == [
        "Dr Lim Wei Jie does not work on Sundays."
    ]


def test_practitioner_who_does_not_offer_it(problems):
    other = factories.PractitionerFactory(name="Dr Tan")
    assert problems(must(practitioners=frozenset({other.pk}))) == [
        "Dr Tan does not offer General consultation."
    ]


def test_clinic_without_a_room(problems, service):
    other = factories.StationFactory(kind="x-ray", clinic__name="Tampines").clinic
    assert problems(must(clinics=frozenset({other.pk}))) == ["There is no consult room in Tampines."]


def test_clinic_without_the_equipment(problems, service, clinic):
    service.equipment_kinds = ["laser-head"]
    service.save()
    assert problems() == ["No clinic has the equipment for General consultation."]
    elsewhere = factories.StationFactory(clinic__name="Tampines").clinic
    factories.EquipmentFactory(clinic=elsewhere, kind="laser-head")
    assert problems(must(clinics=frozenset({clinic.pk}))) == ["There is no laser-head in Tanjong Pagar."]


def test_practitioner_does_not_work_there(problems, lim):
    elsewhere = factories.ScheduleTemplateFactory(clinic__name="Tampines")
    factories.ServiceFactory(practitioners=[elsewhere.practitioner])
    lim.services.get().practitioners.add(elsewhere.practitioner)
    pattern = must(practitioners=frozenset({lim.pk}), clinics=frozenset({elsewhere.clinic_id}))
    assert problems(pattern) == ["Dr Lim Wei Jie does not work in Tampines."]


def test_service_that_nobody_offers(problems, lim, service):
    lim.is_active = False
    lim.save()
    assert problems() == ["Nobody offers General consultation at present."]


def test_leave_of_all_the_time_is_seen(problems, lim, clinic):
    from_, until = clinic.day_bounds(TODAY, days=200)
    factories.ScheduleExceptionFactory(leave=True, practitioner=lim, starts_at=from_, ends_at=until)
    assert problems(must(weekdays=frozenset({1}))) == [
        "Nobody has working hours for General consultation in this time."
    ]


def test_extra_hours_are_hours(problems, lim, clinic, station):
    sunday = dt.datetime.combine(TODAY + dt.timedelta(6), dt.time(9), clinic.zone)
    factories.ScheduleExceptionFactory(
        extra_hours=True,
        practitioner=lim,
        clinic=clinic,
        station=station,
        starts_at=sunday,
        ends_at=sunday + dt.timedelta(hours=2),
    )
    assert problems(must(weekdays=frozenset({7}))) == []


def test_visit_longer_than_any_stretch_of_work(problems, service):
    service.duration_minutes = 200
    service.save()
    assert problems(must()) == ["Nobody has working hours for General consultation in this time."]


def test_gaps_do_not_fit_into_the_validity(problems):
    until = TODAY + dt.timedelta(62)
    assert problems(must(min_gap_days=14), quantity=6, valid_until=until) == [
        "At least 14 days apart, only 5 of 6 sessions fit until 3 January 2027."
    ]
    assert problems(must(min_gap_days=14), quantity=5, valid_until=until) == []
    assert problems(PatternSpec(min_gap_days=14), quantity=6, valid_until=until) == []


def test_more_sessions_than_hours(problems):
    """Monday to Wednesday, eight visits of twenty minutes a day beside the break."""
    days = {"valid_until": TODAY + dt.timedelta(2)}
    assert problems(quantity=24, **days) == []
    assert problems(quantity=25, **days) == ["There are hours for 24 of 25 sessions in this time."]
    (said,) = problems(must(max_gap_days=0), quantity=9, **days)
    assert said == "There are hours for 8 of 9 sessions in this time."


def test_gaps_and_weekdays_are_seen_together(problems):
    """Every second Saturday cannot be a week apart."""
    pattern = must(weekdays=frozenset({6}), min_gap_days=7, max_gap_days=13)
    assert "only 1 of 2 sessions" in problems(pattern, quantity=2)[0]


def test_long_validity_is_counted_by_its_gaps(problems):
    until = TODAY + dt.timedelta(402)
    assert problems(must(min_gap_days=100), quantity=5, valid_until=until) == []
    assert "only 5 of 6" in problems(must(min_gap_days=100), quantity=6, valid_until=until)[0]


@pytest.mark.parametrize("ahead", [150, 300, 900])
def test_dates_far_ahead_are_no_problem(problems, ahead):
    until = TODAY + dt.timedelta(1000)
    far = must(earliest=TODAY + dt.timedelta(ahead), weekdays=frozenset({2}))
    assert problems(far, quantity=2, valid_until=until) == []
    assert (
        "on Sundays" in problems(must(earliest=far.earliest, weekdays=frozenset({7})), valid_until=until)[0]
    )


def test_rules_that_contradict_each_other(problems):
    monday, friday = must(weekdays=frozenset({1})), must(weekdays=frozenset({5}))
    assert problems(monday, friday) == ["This rule cannot hold together with the rules before it."]
    assert problems(must(min_gap_days=14), must(max_gap_days=7)) == [
        "The gaps that the rules ask for contradict each other."
    ]
    assert problems(monday, PatternSpec(weekdays=frozenset({5}))) == []


# -- Verbs ---------------------------------------------------------------------------------------


def ask(patient, service, **values):
    values = {"quantity": 6, "source": "contract", "contract": "C-2026-0001", "by": None} | values
    return demand.request_sessions(patient=patient, service=service, **values)


def test_request_has_sessions_and_patterns(lim, service, patient, clinic):
    pattern = must(
        weekdays=frozenset({3, 1}), practitioners=frozenset({lim.pk}), clinics=frozenset({clinic.pk})
    )
    request = ask(patient, service, is_prepaid=True, policies=Policies(no_show="return"), patterns=[pattern])

    assert [s.number for s in request.sessions.order_by("number")] == [1, 2, 3, 4, 5, 6]
    assert set(request.sessions.values_list("status", flat=True)) == {"planned"}
    assert PatternSpec.of(request.patterns.get()) == pattern
    assert (request.late_cancel, request.no_show, request.is_prepaid) == ("forfeit", "return", True)


def test_unmeetable_request_is_not_made(lim, service, patient):
    with pytest.raises(Unmeetable, match="on Sundays"):
        ask(patient, service, patterns=[must(weekdays=frozenset({7}))])

    assert not BookingRequest.objects.exists()


def test_closed_request_wants_nothing_more(lim, service, patient):
    request = ask(patient, service)
    booked, waits, *_others = request.sessions.order_by("number")
    SessionTicket.objects.filter(pk=booked.pk).update(status="scheduled")
    entry = factories.WaitlistEntryFactory(session=waits)

    demand.close_request(request_id=request.pk, by=None)
    demand.close_request(request_id=request.pk, by=None)

    assert list(request.sessions.order_by("number").values_list("status", flat=True)) == [
        "scheduled",
        *["cancelled"] * 5,
    ]
    entry.refresh_from_db()
    assert (entry.status, entry.ended_at is None) == (WaitlistEntry.Status.LEFT, False)
    assert Event.objects.filter(topic="request.closed").count() == 1


def test_patterns_can_be_changed_until_it_is_closed(lim, service, patient, receptionist):
    request = ask(patient, service, patterns=[must(weekdays=frozenset({1}))])
    request.sessions.update(unplaced_reason="No time on Mondays")
    arguments = {"request_id": request.pk, "by": receptionist}

    demand.change_patterns(patterns=[must(weekdays=frozenset({2}))], **arguments)

    assert [p.weekdays for p in request.patterns.all()] == [[2]]
    assert set(request.sessions.values_list("unplaced_reason", flat=True)) == {""}
    with pytest.raises(Unmeetable):
        demand.change_patterns(patterns=[must(weekdays=frozenset({7}))], **arguments)
    demand.close_request(request_id=request.pk, by=receptionist)
    with pytest.raises(demand.RequestClosed):
        demand.change_patterns(patterns=[], **arguments)
    assert [p.weekdays for p in request.patterns.all()] == [[2]]


def test_session_costs_what_was_agreed_for_it(patient, service):
    agreed = factories.BookingRequestFactory(service=service, price_cents=100)
    prepaid = factories.BookingRequestFactory(service=service, price_cents=100, is_prepaid=True)
    usual = factories.BookingRequestFactory(service=service)
    prices = [request.session_price_cents for request in (agreed, prepaid, usual)]
    assert prices == [100, 0, service.price_cents]
