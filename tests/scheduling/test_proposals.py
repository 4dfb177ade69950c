"""What follows what, what is best and why there is nothing: pure, without a database but for the last part."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from scheduling import proposals
from scheduling.itineraries import Places, Step, Wish, courses, longest, visits
from scheduling.models import Clinic, Service, WalkingTime
from scheduling.search import Start
from tests import factories

DAY = dt.date(2027, 3, 1)  # a Monday
SINGAPORE, BERLIN = ZoneInfo("Asia/Singapore"), ZoneInfo("Europe/Berlin")
HERE = Clinic(id=1, name="Here", walking_minutes=2)
THERE = Clinic(id=2, name="There", walking_minutes=2)
NORTH = Clinic(id=3, name="North", time_zone="Europe/Berlin", walking_minutes=2)
CONSULT = Service(id=1, name="Consultation", duration_minutes=20, price_cents=4500)
XRAY = Service(id=2, name="X-ray", duration_minutes=20, price_cents=8500)
LASER = Service(id=3, name="Laser", duration_minutes=40, buffer_minutes=20, price_cents=22000)
DOCTOR, OTHER, RADIOGRAPHER = 11, 12, 13


def at(text, *, day=0, zone=SINGAPORE):
    return dt.datetime.combine(DAY + dt.timedelta(day), dt.time.fromisoformat(text), zone)


def start(text, who=DOCTOR, *, station=None, clinic=1, day=0, zone=SINGAPORE):
    instant = at(text, day=day, zone=zone)
    return Start(int(instant.timestamp()) * 100 + who, instant, who, station or who, clinic)


def places(*clinics, **walks):
    return Places({clinic.pk: clinic for clinic in clinics or (HERE, THERE)}, walks.get("walks", {}))


def wish(*services, **options):
    own = {key: options.pop(key) for key in list(options) if key in Step.__dataclass_fields__}
    return Wish(steps=tuple(Step(service=service, **own) for service in services), first=DAY, **options)


def found(consult=(), xray=(), laser=()):
    """In order of time, as the search gives them."""
    return {
        pk: sorted(starts, key=lambda each: each.starts_at)
        for pk, starts in ((1, consult), (2, xray), (3, laser))
    }


def times(fitting):
    return [[f"{stop.starts_at:%H:%M}" for stop in visit.stops] for visit in fitting]


BOTH = wish(CONSULT, XRAY)


def test_one_service_is_each_of_its_starts():
    fitting = visits(wish(CONSULT), found([start("09:00"), start("09:20", OTHER)]), places())
    assert times(fitting) == [["09:00"], ["09:20"]]


def test_second_follows_the_end_of_the_first():
    xrays = [start(text, RADIOGRAPHER) for text in ("09:00", "09:20", "09:40", "10:20")]
    fitting = visits(BOTH, found([start("09:00"), start("09:40")], xrays), places())
    # 09:20 is the very end of 09:00–09:20, too early for two minutes on foot.
    assert times(fitting) == [["09:00", "09:40"], ["09:40", "10:20"]]


def test_longest_wait_is_kept():
    xrays = [start("09:50", RADIOGRAPHER), start("09:51", RADIOGRAPHER)]
    assert times(visits(BOTH, found([start("09:00")], xrays), places())) == [["09:00", "09:50"]]
    assert not visits(BOTH, found([start("09:00")], xrays[1:]), places())


def test_shortest_wait_is_kept():
    xrays = [start(text, RADIOGRAPHER) for text in ("09:30", "09:40")]
    rested = wish(CONSULT, XRAY, min_wait=dt.timedelta(minutes=15))
    assert times(visits(rested, found([start("09:00")], xrays), places())) == [["09:00", "09:40"]]


@pytest.mark.parametrize(("minutes", "fits"), [(5, True), (6, False)])
def test_walk_between_two_stations_is_respected(minutes, fits):
    """The gap is five minutes."""
    supply = found([start("09:00", station=21)], [start("09:25", RADIOGRAPHER, station=22)])
    assert bool(visits(BOTH, supply, places(walks={(21, 22): minutes}))) == fits
    # Stored once, walked either way.
    back = found([start("09:00", station=22)], [start("09:25", RADIOGRAPHER, station=21)])
    assert bool(visits(BOTH, back, places(walks={(21, 22): minutes}))) == fits


def test_same_station_needs_no_walk():
    supply = found([start("09:00", station=21)], [start("09:20", RADIOGRAPHER, station=21)])
    assert visits(BOTH, supply, places())


def test_buffer_keeps_the_practitioner_busy_not_the_patient():
    laser_then_consult = wish(LASER, CONSULT)
    same = found([start("09:40"), start("10:00")], laser=[start("09:00")])
    assert times(visits(laser_then_consult, same, places())) == [["09:00", "10:00"]]
    other = found([start("09:42", OTHER)], laser=[start("09:00")])
    assert times(visits(laser_then_consult, other, places())) == [["09:00", "09:42"]]


def test_later_middle_step_may_be_the_only_way():
    """The earliest x-ray leads nowhere: the laser is too long after it."""
    three = wish(CONSULT, XRAY, LASER)
    supply = found(
        [start("09:00")],
        [start("09:22", RADIOGRAPHER), start("09:50", RADIOGRAPHER)],
        [start("10:40", OTHER)],
    )
    assert times(visits(three, supply, places())) == [["09:00", "09:50", "10:40"]]


def test_patient_is_not_in_two_places():
    supply = found(
        [start("09:00"), start("10:00")], [start("09:30", RADIOGRAPHER), start("10:30", RADIOGRAPHER)]
    )
    busy = [(at("09:40"), at("10:00"))]
    assert times(visits(BOTH, supply, places(), busy)) == [["10:00", "10:30"]]


def test_named_practitioners_times_and_weekdays():
    starts = [start("09:00"), start("17:20", OTHER), start("18:00"), start("18:40", day=1)]
    after_five = wish(CONSULT, practitioners=frozenset({DOCTOR}), after=dt.time(17), before=dt.time(18, 30))
    assert times(visits(after_five, found(starts), places())) == [["18:00"]]
    tuesdays = wish(CONSULT, weekdays=frozenset({2}))
    assert times(visits(tuesdays, found(starts), places())) == [["18:40"]]


def test_change_of_clinic_only_where_allowed_and_with_time_to_travel():
    supply = found(
        [start("09:00")], [start("10:10", RADIOGRAPHER, clinic=2), start("10:20", RADIOGRAPHER, clinic=2)]
    )
    hour = dt.timedelta(minutes=120)
    assert not visits(wish(CONSULT, XRAY, max_wait=hour), supply, places())
    (visit,) = visits(wish(CONSULT, XRAY, max_wait=hour, same_clinic=False), supply, places())
    assert (times([visit]), visit.changes) == ([["09:00", "10:20"]], 1)


def test_same_clinic_is_preferred_to_a_change():
    supply = found(
        [start("09:00")], [start("10:20", RADIOGRAPHER, clinic=2), start("10:40", RADIOGRAPHER, clinic=1)]
    )
    loose = wish(CONSULT, XRAY, max_wait=dt.timedelta(hours=4), same_clinic=False)
    assert times(visits(loose, supply, places())) == [["09:00", "10:40"]]


def test_other_days_only_where_allowed():
    supply = found([start("09:00")], [start("09:00", RADIOGRAPHER, day=2)])
    assert not visits(BOTH, supply, places())
    assert visits(wish(CONSULT, XRAY, same_day=False), supply, places())


@pytest.mark.parametrize(("day", "hours"), [(dt.date(2027, 3, 28), 23), (dt.date(2027, 10, 31), 25)])
def test_gaps_are_elapsed_time_when_the_clock_changes(day, hours):
    """From 01:40 to 03:05 by the wall it is 25 minutes in March and 145 in October."""
    until = dt.datetime.combine(day + dt.timedelta(1), dt.time(), BERLIN).astimezone(dt.UTC)
    since = dt.datetime.combine(day, dt.time(), BERLIN).astimezone(dt.UTC)
    assert (until - since) == dt.timedelta(hours=hours)
    first, second = (
        dt.datetime.combine(day, dt.time.fromisoformat(text), BERLIN).astimezone(dt.UTC)
        for text in ("01:40", "03:05")
    )
    supply = {1: [Start(1, first, 1, 1, 3)], 2: [Start(2, second, 2, 2, 3)]}
    asked = Wish(
        steps=tuple(Step(service=s, max_wait=dt.timedelta(minutes=60)) for s in (CONSULT, XRAY)),
        first=day,
        days=1,
    )
    assert bool(visits(asked, supply, places(NORTH))) == (hours == 23)
    night = Wish(steps=(Step(service=CONSULT, after=dt.time(3)),), first=day, days=1)
    assert [v.first.start.slot_id for v in visits(night, {1: [*supply[1], *supply[2]]}, places(NORTH))] == [2]


def test_days_are_those_of_the_clinic():
    """00:30 in Singapore is the evening before in UTC."""
    early = Start(1, at("00:30").astimezone(dt.UTC), DOCTOR, DOCTOR, 1)
    assert visits(wish(CONSULT, days=1), {1: [early]}, places())
    assert not visits(
        wish(CONSULT, days=1),
        {1: [early._replace(starts_at=early.starts_at - dt.timedelta(hours=1))]},
        places(),
    )


# -- Courses -------------------------------------------------------------------------------------


def weekly(weeks, text="10:00", who=DOCTOR):
    return [start(text, who, day=7 * week) for week in range(weeks)]


def test_course_keeps_doctor_and_time():
    six = wish(CONSULT, times=6)
    supply = found([*weekly(6), *weekly(6, "09:00", OTHER)])
    (course,) = courses(six, every := visits(six, supply, places()), [every[1]])
    assert {visit.practitioners for visit in course} == {(DOCTOR,)}
    assert [visit.first.day for visit in course] == [DAY + dt.timedelta(7 * week) for week in range(6)]


def test_course_gives_way_by_a_day_or_two():
    three = wish(CONSULT, times=3)
    supply = found([start("10:00"), start("10:00", day=9), start("10:00", day=16)])
    fitting = visits(three, supply, places())
    assert [len(course) for course in courses(three, fitting, fitting)] == [3]
    apart = found([start("10:00"), start("10:00", day=10), start("10:00", day=17)])
    assert not courses(three, fitting := visits(three, apart, places()), fitting)
    assert longest(three, fitting) == 2


def test_course_does_not_run_into_a_dead_end():
    """A week on is the best second visit, but only the day after it leads on to a third."""
    three = wish(CONSULT, times=3)
    supply = found([start("10:00"), start("10:00", day=7), start("10:00", day=9), start("10:00", day=18)])
    fitting = visits(three, supply, places())
    (course,) = courses(three, fitting, fitting)
    assert [(visit.first.day - DAY).days for visit in course] == [0, 9, 18]


def test_first_visit_is_within_the_days():
    three = wish(CONSULT, times=3, days=7)
    fitting = visits(three, found([start("10:00", day=day) for day in (8, 15, 22)]), places())
    assert not courses(three, fitting, fitting)


# -- Best and why --------------------------------------------------------------------------------


def test_proposals_are_not_all_of_one_morning():
    starts = [
        start(f"{hour:02d}:{minute:02d}", day=day)
        for day in range(4)
        for hour in range(8, 18)
        for minute in (0, 20, 40)
    ]
    asked = wish(CONSULT)
    best = proposals._best(asked, visits(asked, found(starts), places()))
    days = [course[0].first.day for course in best]
    assert len(best) == 10
    assert len(set(days)) == 4
    assert best[0][0].starts_at == at("08:00")


def test_reasons_are_said_in_words():
    asked = wish(CONSULT, XRAY, after=dt.time(9))
    supply = found(
        [start("09:00"), start("10:00")], [start("09:22", RADIOGRAPHER), start("10:45", RADIOGRAPHER)]
    )
    first, second = proposals._best(asked, visits(asked, supply, places()))
    assert proposals.reasons(first, [first, second], asked) == [
        "Earliest",
        "Hardly any waiting between",
        "After 09:00, as asked",
    ]
    assert proposals.reasons(second, [first, second], asked) == ["After 09:00, as asked", "25 min of waiting"]


def test_course_says_what_stays_the_same():
    six = wish(CONSULT, times=6)
    (course,) = proposals._best(six, visits(six, found(weekly(6)), places()))
    assert proposals.reasons(course, [course], six) == [
        "Earliest",
        "Same person for all 6 visits",
        "Always Monday at 10:00",
    ]


# -- With the database ---------------------------------------------------------------------------


@pytest.fixture
def radiographer(db):
    return factories.PractitionerFactory(name="Koh Zhi Wei")


@pytest.fixture
def xray(radiographer):
    return factories.ServiceFactory(
        slug="x-ray", name="X-ray", station_kind="x-ray", price_cents=8500, practitioners=[radiographer]
    )


@pytest.fixture
def xray_room(clinic):
    return factories.StationFactory(clinic=clinic, name="X-ray", kind="x-ray")


@pytest.fixture
def xray_slots(radiographer, xray_room, xray):
    return factories.make_slots(radiographer, xray_room, factories.tomorrow_at(9))


def visit_of(service, xray, clinic, **options):
    return Wish(steps=(Step(service=service), Step(service=xray)), first=clinic.today(), **options)


def test_proposal_has_parts_price_and_length(slots, service, xray, xray_slots, clinic):
    answer = proposals.propose(wish=visit_of(service, xray, clinic), clinics=[clinic])
    best = answer.proposals[0]
    assert best.parts == [f"{slots[0].pk}:{service.pk}", f"{xray_slots[2].pk}:{xray.pk}"]
    assert (best.price_cents, best.minutes) == (15000, 60)


def test_walking_time_of_the_stations_counts(slots, service, xray, xray_slots, clinic, station, xray_room):
    clinic.walking_minutes = 0
    clinic.save()
    first = proposals.propose(wish=visit_of(service, xray, clinic), clinics=[clinic]).proposals[0]
    assert first.stops[1].starts_at == xray_slots[1].starts_at
    WalkingTime.objects.create(first=station, second=xray_room, minutes=21)
    first = proposals.propose(wish=visit_of(service, xray, clinic), clinics=[clinic])
    assert not first.proposals or first.proposals[0].stops[1].starts_at > xray_slots[2].starts_at


def test_own_bookings_are_gone_around(slots, service, xray, xray_slots, clinic, patient):
    booking = factories.book(xray_slots[2:3], patient=patient, service=xray)
    asked = visit_of(service, xray, clinic)
    first = proposals.propose(wish=asked, clinics=[clinic], patient=patient).proposals[0]
    assert first.stops[0].starts_at == slots[1].starts_at  # its x-ray is after the booked one
    assert all(stop.starts_at != booking.starts_at for stop in first.stops)


def said(answer):
    return [block.sentence for block in answer.blocks]


BLOCKED = [
    ({"after": dt.time(11)}, "There are 6 times if before 11:00 is allowed."),
    ({"before": dt.time(8)}, "There are 6 times if after 08:00 is allowed."),
    ({"practitioners": frozenset({0})}, "There are 6 times if it may be with somebody else."),
]


@pytest.mark.parametrize(("asked", "sentence"), BLOCKED)
def test_says_which_wish_stands_in_the_way(slots, service, clinic, asked, sentence):
    answer = proposals.propose(
        wish=Wish(steps=(Step(service=service, **asked),), first=clinic.today()), clinics=[clinic]
    )
    assert answer.proposals == []
    assert sentence in said(answer)


def test_says_that_another_clinic_or_a_later_day_would_do(slots, service, clinic):
    other = factories.ClinicFactory()
    asked = Wish(steps=(Step(service=service),), first=clinic.today(), days=3)
    blocks = said(proposals.propose(wish=asked, clinics=[other]))
    assert "There are 6 times if other clinics are allowed." in blocks
    early = Wish(steps=(Step(service=service),), first=clinic.today(), days=1)
    (sentence, later) = said(proposals.propose(wish=early, clinics=[clinic]))
    assert (sentence, "after these days is on" in later) == (
        f"There is no free time for {service.name} in these days.",
        True,
    )


def test_says_how_much_of_a_course_fits(slots, service, clinic):
    asked = Wish(steps=(Step(service=service),), first=clinic.today(), times=6)
    assert "1 of 6 visits fit, the others do not." in said(proposals.propose(wish=asked, clinics=[clinic]))
