"""A time against the patterns of a request."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from scheduling import fit
from scheduling.fit import Pattern, Rules, Time
from scheduling.models import Clinic
from tests import factories

SINGAPORE = ZoneInfo("Asia/Singapore")
MONDAY = dt.date(2026, 10, 5)
HERE = Clinic(pk=1, time_zone="Asia/Singapore")
DR_LIM = 7


def at(hour=10, minute=0, *, day=MONDAY, minutes=20, clinic=HERE, who=DR_LIM):
    starts_at = dt.datetime.combine(day, dt.time(hour, minute), clinic.zone)
    return Time(starts_at.astimezone(dt.UTC), starts_at + dt.timedelta(minutes=minutes), clinic, who)


def codes(rules, time):
    return [reason.code for reason in rules.hard_violations(time)]


def hard(**asked):
    return Rules(patterns=(Pattern(is_hard=True, **asked),))


def on(days_later):
    return MONDAY + dt.timedelta(days_later)


@pytest.mark.parametrize(
    ("asked", "fitting", "failing", "code"),
    [
        ({"weekdays": frozenset({1, 3})}, at(), at(day=on(1)), "weekday"),
        ({"from_time": dt.time(10)}, at(10), at(9, 59), "too_early_in_day"),
        ({"until_time": dt.time(10, 20)}, at(10), at(10, 1), "too_late_in_day"),
        ({"until_time": dt.time(23, 59)}, at(23, 30), at(23, 50), "too_late_in_day"),
        ({"earliest": MONDAY}, at(0), at(23, day=on(-1)), "before_dates"),
        ({"latest": MONDAY}, at(23), at(0, day=on(1)), "after_dates"),
        ({"practitioners": frozenset({DR_LIM})}, at(), at(who=8), "practitioner"),
        ({"clinics": frozenset({1})}, at(), at(clinic=Clinic(pk=2, time_zone="Asia/Singapore")), "clinic"),
    ],
)
def test_hard_pattern(asked, fitting, failing, code):
    rules = hard(**asked)
    assert rules.fits(fitting)
    assert codes(rules, fitting) == []
    assert not rules.fits(failing)
    assert codes(rules, failing) == [code]


def test_without_patterns_all_fits():
    assert Rules().fits(at())
    assert Rules().score(at()) == 0


def test_days_are_those_of_the_clinic():
    """Seven in the evening in UTC is already Tuesday in Singapore."""
    rules = hard(weekdays=frozenset({2}))
    evening = dt.datetime(2026, 10, 5, 19, tzinfo=dt.UTC)
    london = Clinic(pk=3, time_zone="Europe/London")
    assert rules.fits(Time(evening, evening + dt.timedelta(minutes=20), HERE, DR_LIM))
    assert not rules.fits(Time(evening, evening + dt.timedelta(minutes=20), london, DR_LIM))


def test_every_hard_pattern_must_hold():
    rules = Rules(
        patterns=(
            Pattern(is_hard=True, weekdays=frozenset({1})),
            Pattern(is_hard=True, from_time=dt.time(11), clinics=frozenset({9})),
        )
    )
    assert codes(rules, at(10, day=on(1))) == ["weekday", "clinic", "too_early_in_day"]


def test_reason_is_given_once():
    rules = Rules(patterns=(Pattern(is_hard=True, weekdays=frozenset({2})),) * 2)
    assert codes(rules, at()) == ["weekday"]


@pytest.mark.parametrize(
    ("day", "expected"), [(-1, ["not_valid_yet"]), (0, []), (7, []), (8, ["not_valid_any_more"])]
)
def test_validity_is_hard(day, expected):
    assert codes(Rules(valid_from=MONDAY, valid_until=on(7)), at(day=on(day))) == expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], []),
        ([-14], []),
        ([-13], ["too_close"]),
        ([0], ["too_close"]),
        ([13], ["too_close"]),
        ([-21], []),
        ([-22], ["too_far"]),
        ([22], ["too_far"]),
        ([-40, -14, 14, 40], []),
        ([-40, -22, 3], ["too_close", "too_far"]),
    ],
)
def test_gaps_count_to_the_neighbours(others, expected):
    rules = Rules(
        patterns=(Pattern(is_hard=True, min_gap_days=14, max_gap_days=21),),
        other_days=tuple(on(n) for n in others),
    )
    assert codes(rules, at()) == expected
    assert rules.fits(at()) == (not expected)


def test_gap_of_nothing_allows_the_same_day():
    rules = Rules(patterns=(Pattern(is_hard=True, min_gap_days=0, max_gap_days=0),), other_days=(MONDAY,))
    assert rules.fits(at())
    assert codes(rules, at(day=on(1))) == ["too_far"]


def test_gap_counts_days_not_hours():
    """From late on Monday to early on Tuesday is a day."""
    rules = Rules(patterns=(Pattern(is_hard=True, min_gap_days=1),), other_days=(MONDAY,))
    assert rules.fits(at(0, 10, day=on(1)))


def test_wishes_count_one_each_when_all_they_say_holds():
    rules = Rules(
        patterns=(
            Pattern(weekdays=frozenset({1})),
            Pattern(weekdays=frozenset({1}), from_time=dt.time(11)),
            Pattern(practitioners=frozenset({DR_LIM})),
            Pattern(is_hard=True, clinics=frozenset({1})),
        )
    )
    assert rules.score(at(10)) == 2
    assert rules.score(at(11)) == 3
    assert rules.score(at(11, who=8)) == 2
    assert rules.fits(at(11, who=8))


# -- Read from the database ----------------------------------------------------------------------


@pytest.fixture
def request_of_three(slots, service):
    """Its first session is booked tomorrow, the second was cancelled, the third is planned."""
    request = factories.BookingRequestFactory(service=service, quantity=3)
    sessions = [
        factories.SessionTicketFactory(request=request, number=n, status="planned") for n in (1, 2, 3)
    ]
    factories.book(slots[:1], session=sessions[0], service=service, patient=request.patient)
    factories.BookingFactory(session=sessions[1], service=service, patient=request.patient, cancelled=True)
    return request


def test_rules_as_stored(request_of_three, practitioner, clinic, django_assert_num_queries):
    factories.BookingPatternFactory(
        request=request_of_three, is_hard=True, min_gap_days=2, practitioners=[practitioner], clinics=[clinic]
    )
    first, _, third = request_of_three.sessions.order_by("number")
    with django_assert_num_queries(5):
        rules_of = fit.read_rules([request_of_three.pk])[request_of_three.pk]
        rules = rules_of(third.pk)
    day = factories.tomorrow_at(9).date()
    assert rules.other_days == (day,)
    assert rules_of(first.pk).other_days == ()
    assert codes(rules, at(clinic=clinic, who=practitioner.pk, day=day)) == ["too_close"]
    assert rules.fits(at(clinic=clinic, who=practitioner.pk, day=day + dt.timedelta(2)))
    assert codes(rules, at(clinic=clinic, who=0, day=day + dt.timedelta(2))) == ["practitioner"]


def test_validity_as_stored(clinic):
    request = factories.BookingRequestFactory(valid_until=MONDAY)
    rules = Rules.of(request)
    assert rules.fits(at(clinic=clinic))
    assert not rules.fits(at(clinic=clinic, day=on(1)))
