import datetime as dt
import itertools
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.availability import Absence, ExtraHours, Hours, slot_specs

SINGAPORE = zoneinfo.ZoneInfo("Asia/Singapore")
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MONDAY = dt.date(2026, 6, 1)
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


def hours(**values):
    defaults = {
        "template_id": 1,
        "clinic_id": 1,
        "practitioner_id": 1,
        "station_id": 1,
        "weekdays": EVERY_DAY,
        "starts_at": dt.time(9),
        "ends_at": dt.time(10),
        "slot_minutes": 20,
        "valid_from": MONDAY,
    }
    return Hours(**defaults | values)


def specs(*work, zone=SINGAPORE, first=MONDAY, days=1, **more):
    return list(slot_specs(zone=zone, first=first, days=days, hours=work, **more))


def local(found, zone=SINGAPORE):
    return [f"{spec.starts_at.astimezone(zone):%H:%M}" for spec in found]


def dates(found, zone=SINGAPORE):
    return [f"{spec.starts_at.astimezone(zone):%a %d}" for spec in found]


def at(day, hour, minute=0, zone=SINGAPORE):
    return dt.datetime.combine(day, dt.time(hour, minute), zone)


def test_hours_become_slots_in_utc():
    found = specs(hours())

    assert [spec.starts_at for spec in found] == [
        dt.datetime(2026, 6, 1, 1, minute, tzinfo=dt.UTC) for minute in (0, 20, 40)
    ]
    assert found[0] == (1, 1, 1, 1, None, found[0].starts_at, found[1].starts_at)


def test_early_hours_lie_on_the_day_before_in_utc():
    found = specs(hours(weekdays=[1], starts_at=dt.time(0), ends_at=dt.time(8), slot_minutes=240), days=7)

    assert dates(found) == ["Mon 01", "Mon 01"]
    assert [spec.starts_at for spec in found] == [
        dt.datetime(2026, 5, 31, 16, tzinfo=dt.UTC),
        dt.datetime(2026, 5, 31, 20, tzinfo=dt.UTC),
    ]


def test_partial_slot_at_the_end_is_dropped():
    assert local(specs(hours(ends_at=dt.time(9, 59)))) == ["09:00", "09:20"]


def test_grid_starts_again_after_a_break():
    work = hours(ends_at=dt.time(10, 30), breaks=((dt.time(9, 30), dt.time(9, 45)),))

    assert local(specs(work)) == ["09:00", "09:45", "10:05"]


@pytest.mark.parametrize(
    ("breaks", "times"),
    [
        (((dt.time(8), dt.time(9, 10)),), ["09:10", "09:30"]),
        (((dt.time(9, 40), dt.time(12)),), ["09:00", "09:20"]),
        (((dt.time(9, 5), dt.time(9, 30)), (dt.time(9, 20), dt.time(9, 40))), ["09:40"]),
        (((dt.time(7), dt.time(12)),), []),
        (((dt.time(11), dt.time(12)),), ["09:00", "09:20", "09:40"]),
    ],
    ids=["before the start", "over the end", "overlapping", "all of it", "outside"],
)
def test_breaks_may_lie_anywhere(breaks, times):
    assert local(specs(hours(breaks=breaks))) == times


def test_only_the_weekdays_within_validity():
    work = hours(
        weekdays=[1, 7],
        ends_at=dt.time(9, 20),
        valid_from=dt.date(2026, 6, 7),
        valid_until=dt.date(2026, 6, 14),
    )

    assert dates(specs(work, days=30)) == ["Sun 07", "Mon 08", "Sun 14"]


def test_every_second_week_counts_iso_weeks():
    """From a Wednesday on, so the Monday of that week is before it and the next one comes a week later."""
    work = hours(
        weekdays=[1, 3], ends_at=dt.time(9, 20), every_n_weeks=2, valid_from=MONDAY + dt.timedelta(days=2)
    )

    assert dates(specs(work, days=31)) == ["Wed 03", "Mon 15", "Wed 17", "Mon 29", "Wed 01"]


def test_every_second_week_runs_across_the_year():
    """2026 has 53 ISO weeks: counting week numbers would slip."""
    work = hours(weekdays=[1], ends_at=dt.time(9, 20), every_n_weeks=2, valid_from=dt.date(2026, 12, 21))

    found = specs(work, first=dt.date(2026, 12, 21), days=32)
    assert dates(found) == ["Mon 21", "Mon 04", "Mon 18"]


def test_holiday_takes_the_day():
    found = specs(hours(ends_at=dt.time(9, 20)), days=3, holidays={MONDAY + dt.timedelta(days=1)})

    assert dates(found) == ["Mon 01", "Wed 03"]


def test_leave_takes_what_it_touches_and_the_grid_stays():
    leave = Absence(practitioner_id=1, starts_at=at(MONDAY, 9, 15), ends_at=at(MONDAY, 9, 25))

    assert local(specs(hours(ends_at=dt.time(11)), absences=[leave])) == ["09:40", "10:00", "10:20", "10:40"]


@pytest.mark.parametrize(
    ("absence", "left"),
    [
        ({"practitioner_id": 2}, 3),
        ({"clinic_id": 2}, 3),
        ({"clinic_id": 1, "station_id": 2}, 3),
        ({"practitioner_id": 1, "clinic_id": 2}, 3),
        ({"clinic_id": 1, "station_id": 1}, 0),
        ({}, 0),
    ],
)
def test_absence_concerns_whom_it_names(absence, left):
    away = Absence(starts_at=at(MONDAY, 0), ends_at=at(MONDAY, 23), **absence)

    assert len(specs(hours(), absences=[away])) == left


def test_extra_hours_add_slots_even_on_a_holiday():
    extra = ExtraHours(
        exception_id=9,
        clinic_id=1,
        practitioner_id=1,
        station_id=2,
        slot_minutes=30,
        starts_at=at(MONDAY, 18),
        ends_at=at(MONDAY, 19, 15),
    )
    holiday = Absence(clinic_id=1, starts_at=at(MONDAY, 0), ends_at=at(MONDAY, 23, 59), is_holiday=True)

    found = specs(extra_hours=[extra], absences=[holiday], holidays={MONDAY})

    assert local(found) == ["18:00", "18:30"]
    assert {(spec.template_id, spec.exception_id, spec.station_id) for spec in found} == {(None, 9, 2)}


def test_leave_takes_extra_hours_too():
    extra = ExtraHours(
        exception_id=9,
        clinic_id=1,
        practitioner_id=1,
        station_id=1,
        slot_minutes=20,
        starts_at=at(MONDAY, 18),
        ends_at=at(MONDAY, 19),
    )
    leave = Absence(practitioner_id=1, starts_at=at(MONDAY, 18, 30), ends_at=at(MONDAY, 20))

    assert local(specs(extra_hours=[extra], absences=[leave])) == ["18:00"]


def test_extra_hours_of_another_day_are_left_out():
    extra = ExtraHours(
        exception_id=9,
        clinic_id=1,
        practitioner_id=1,
        station_id=1,
        slot_minutes=60,
        starts_at=at(MONDAY, 22),
        ends_at=at(MONDAY, 23, 59) + dt.timedelta(hours=3),
    )

    assert local(specs(extra_hours=[extra])) == ["22:00", "23:00"]
    assert local(specs(extra_hours=[extra], first=MONDAY + dt.timedelta(days=1))) == ["00:00", "01:00"]


def test_same_slot_from_two_sources_comes_once():
    assert len(specs(hours(), hours(template_id=2))) == 3


def test_missing_hour_of_spring_has_no_slots():
    """Berlin, 29 March 2026: 02:00 is followed by 03:00."""
    work = hours(starts_at=dt.time(1, 30), ends_at=dt.time(4), valid_from=dt.date(2026, 1, 1))

    found = specs(work, zone=BERLIN, first=dt.date(2026, 3, 29))

    assert local(found, BERLIN) == ["01:30", "03:10", "03:30"]
    assert not [a for a, b in itertools.pairwise(found) if a.ends_at > b.starts_at]


def test_slot_that_ends_when_the_clock_jumps_stays():
    work = hours(starts_at=dt.time(1, 40), ends_at=dt.time(3, 20), valid_from=dt.date(2026, 1, 1))

    found = specs(work, zone=BERLIN, first=dt.date(2026, 3, 29))

    assert local(found, BERLIN) == ["01:40", "03:00"]
    assert found[0].ends_at == found[1].starts_at


def test_doubled_hour_of_autumn_has_its_slots_once():
    """Berlin, 25 October 2026: 02:00 to 03:00 comes twice."""
    work = hours(starts_at=dt.time(1, 40), ends_at=dt.time(3, 20), valid_from=dt.date(2026, 1, 1))

    found = specs(work, zone=BERLIN, first=dt.date(2026, 10, 25))

    assert local(found, BERLIN) == ["01:40", "02:00", "02:20", "02:40", "03:00"]
    assert found[3].ends_at == dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC)
    assert found[4].starts_at == dt.datetime(2026, 10, 25, 2, tzinfo=dt.UTC)


def test_hours_stay_the_same_on_the_wall_clock_all_year():
    found = specs(hours(ends_at=dt.time(9, 20), valid_from=dt.date(2026, 1, 1)), zone=BERLIN, days=300)

    assert len(found) == 300
    assert set(local(found, BERLIN)) == {"09:00"}


ZONES = st.sampled_from(
    [SINGAPORE, BERLIN, *map(zoneinfo.ZoneInfo, ["America/New_York", "Australia/Lord_Howe", "Africa/Cairo"])]
)
TIMES = st.times().map(lambda time: time.replace(second=0, microsecond=0))
SPANS = st.tuples(TIMES, TIMES).map(sorted).filter(lambda span: span[0] < span[1])
DAYS = st.dates(dt.date(2025, 1, 1), dt.date(2027, 12, 31))


@st.composite
def any_hours(draw):
    starts_at, ends_at = draw(SPANS)
    return hours(
        weekdays=draw(st.sets(st.sampled_from(EVERY_DAY), min_size=1)),
        starts_at=starts_at,
        ends_at=ends_at,
        slot_minutes=draw(st.integers(5, 240)),
        valid_from=draw(DAYS),
        every_n_weeks=draw(st.integers(1, 4)),
        breaks=tuple(map(tuple, draw(st.lists(SPANS, max_size=3)))),
    )


@given(work=any_hours(), zone=ZONES, first=DAYS, days=st.integers(1, 20))
def test_slots_are_whole_ordered_and_within_the_hours(work, zone, first, days):
    found = specs(work, zone=zone, first=first, days=days)

    assert not [a for a, b in itertools.pairwise(found) if a.ends_at > b.starts_at]
    for spec in found:
        starts_at, ends_at = spec.starts_at.astimezone(zone), spec.ends_at.astimezone(zone)
        assert ends_at.astimezone(dt.UTC) - spec.starts_at == dt.timedelta(minutes=work.slot_minutes)
        assert first <= starts_at.date() < first + dt.timedelta(days)
        assert starts_at.isoweekday() in work.weekdays
        assert work.starts_at <= starts_at.time().replace(fold=0)
        assert not [b for b in work.breaks if b[0] < shown_end(spec, zone) and starts_at.time() < b[1]]
        assert shown_end(spec, zone) <= work.ends_at


def shown_end(spec, zone):
    """The last minute of the slot on the wall clock, plus one; a day's end is its last moment."""
    last = (spec.ends_at - dt.timedelta(microseconds=1)).astimezone(zone).replace(tzinfo=None, fold=0)
    end = last + dt.timedelta(microseconds=1)
    return end.time() if end.date() == last.date() else dt.time.max


@given(work=any_hours(), zone=ZONES, day=DAYS, start=st.integers(0, 240), length=st.integers(1, 48))
def test_an_absence_only_takes_away(work, zone, day, start, length):
    starts_at = dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(hours=start)
    away = Absence(practitioner_id=1, starts_at=starts_at, ends_at=starts_at + dt.timedelta(hours=length))

    without = specs(work, zone=zone, first=day, days=12)
    with_it = specs(work, zone=zone, first=day, days=12, absences=[away])

    assert with_it == [
        spec for spec in without if spec.ends_at <= away.starts_at or spec.starts_at >= away.ends_at
    ]


@given(work=any_hours(), zone=ZONES, first=DAYS, days=st.integers(2, 15), cut=st.integers(1, 14))
def test_a_period_in_two_parts_gives_the_same_slots(work, zone, first, days, cut):
    cut = min(cut, days - 1)
    middle = first + dt.timedelta(cut)

    parts = specs(work, zone=zone, first=first, days=cut) + specs(
        work, zone=zone, first=middle, days=days - cut
    )

    assert parts == specs(work, zone=zone, first=first, days=days)
