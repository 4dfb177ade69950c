"""Small random backlogs for the matcher, and the plainest exact answer: pairs of choices that exclude each other."""

import dataclasses
import datetime as dt
import itertools
import random
from collections import Counter, defaultdict

from ortools.sat.python import cp_model

from scheduling.models import Booking, BookingRequest, Service, SessionTicket, Slot
from tests import factories
from tests.scheduling import grid

DAYS = 9
WISH, A_DAY = 10**7, 10**3  # what matching says a wish and a day are worth


def make(seed):
    """A clinic with two or three practitioners, some times taken, and four to six requests."""
    chance = random.Random(seed)
    clinic = factories.ClinicFactory()
    factories.EquipmentFactory(clinic=clinic, kind="laser-head", units=1)
    places = [
        (factories.PractitionerFactory(), factories.StationFactory(clinic=clinic))
        for _ in range(chance.choice([2, 2, 3]))
    ]
    doctors = [doctor for doctor, _station in places]
    services = [
        factories.ServiceFactory(practitioners=doctors),
        factories.ServiceFactory(practitioners=doctors, duration_minutes=30, buffer_minutes=10),
        factories.ServiceFactory(practitioners=doctors[:2], equipment_kinds=["laser-head"]),
    ]
    for doctor, station in places:
        for n in sorted(chance.sample(range(DAYS), chance.randint(2, 4))):
            factories.make_slots(doctor, station, _day(n), slots=chance.randint(1, 3))
    patients = factories.PatientFactory.create_batch(3)
    for slot in Slot.objects.all():
        if chance.random() < 0.15:
            elsewhere = Booking.objects.filter(starts_at__lt=slot.ends_at, ends_at__gt=slot.starts_at)
            away = set(elsewhere.values_list("patient", flat=True))
            patient = chance.choice([each for each in patients if each.pk not in away])
            factories.book([slot], patient=patient, service=services[0])
            patients.append(factories.PatientFactory())
    for _ in range(chance.randint(4, 6)):
        _request(chance, services, doctors, patients)
    return clinic


def _request(chance, services, doctors, patients):
    count = chance.choice([1, 1, 2, 3])
    request = factories.BookingRequestFactory(
        service=chance.choice(services),
        patient=chance.choice(patients),
        quantity=count,
        urgency=chance.choice([0, 0, 1, 2]),
        valid_until=_day(chance.randint(3, DAYS)).date() if chance.random() < 0.2 else None,
    )
    sessions = [factories.SessionTicketFactory(request=request, number=n + 1) for n in range(count)]
    rules = [{}]
    if count > 1:
        least = chance.randint(0, 2)
        rules = [{"is_hard": True, "min_gap_days": least, "max_gap_days": least + chance.randint(0, 3)}]
    if chance.random() < 0.4:
        rules.append({"is_hard": True, "weekdays": sorted(chance.sample(range(1, 8), 4))})
    if chance.random() < 0.3:
        rules.append({"is_hard": True, "from_time": dt.time(9, chance.choice([0, 20]))})
    if chance.random() < 0.6:
        rules.append({"weekdays": sorted(chance.sample(range(1, 8), 3)), "practitioners": doctors[:1]})
    if chance.random() < 0.3:
        rules.append({"min_gap_days": 2, "max_gap_days": 3})
    for rule in rules:
        factories.BookingPatternFactory(request=request, **rule)
    free = Slot.objects.filter(booking=None).order_by("starts_at", "pk")
    if count > 1 and chance.random() < 0.3 and not request.service.equipment_kinds and free:
        _book_one(sessions[chance.randrange(count)], request, free[len(free) // 2])


def _book_one(session, request, slot):
    overlaps = Booking.objects.filter(
        patient=request.patient, starts_at__lt=slot.ends_at, ends_at__gt=slot.starts_at
    )
    if request.service.occupied == dt.timedelta(minutes=20) and not overlaps.exists():
        factories.book([slot], session=session, patient=request.patient, service=request.service)
        SessionTicket.objects.filter(pk=session.pk).update(status="scheduled")


def _day(n):
    return factories.tomorrow_at(9) + dt.timedelta(days=n)


@dataclasses.dataclass(frozen=True)
class Time:
    slot_id: int
    covers: tuple[int, ...]
    begin: dt.datetime
    end: dt.datetime
    blocked_until: dt.datetime
    day: dt.date
    doctor: int


def score(clinic, *, of):
    """Of the bookings of the sessions: what the best plan would have most of."""
    bookings = list(Booking.objects.live().filter(session__in=of).select_related("session__request"))
    loads = Counter(booking.practitioner_id for booking in bookings)
    wishes = sum(_wishes_met(clinic, booking) for booking in bookings)
    days = sum(DAYS + 1 - _from_today(clinic.local_date(booking.starts_at)) for booking in bookings)
    return {
        "sessions": len(bookings),
        "urgency": sum(booking.session.request.urgency for booking in bookings),
        "worth": WISH * wishes + A_DAY * days - sum(n * n for n in loads.values()),
    }


def _from_today(day):
    return (day - _day(0).date()).days


def _wishes_met(clinic, booking):
    request, number = booking.session.request, booking.session.number
    earlier = Booking.objects.live().filter(session__request=request, session__number__lt=number)
    before = earlier.order_by("session__number").last()
    day = clinic.local_date(booking.starts_at)
    gap = (day - clinic.local_date(before.starts_at)).days if before else None
    begin, end = (at.astimezone(clinic.zone) for at in (booking.starts_at, booking.ends_at))
    return sum(
        not p.is_hard and _holds(p, day, begin, end, booking.practitioner_id) and _gap_fits(p, gap)
        for p in request.patterns.all()
    )


def _holds(pattern, day, begin, end, doctor):
    doctors = {one.pk for one in pattern.practitioners.all()}
    return (
        (not pattern.weekdays or day.isoweekday() in pattern.weekdays)
        and (not pattern.from_time or begin.time() >= pattern.from_time)
        and (not pattern.until_time or end.time() <= pattern.until_time)
        and (not doctors or doctor in doctors)
    )


def _gap_fits(pattern, gap):
    return gap is None or (
        (pattern.min_gap_days is None or gap >= pattern.min_gap_days)
        and (pattern.max_gap_days is None or gap <= pattern.max_gap_days)
    )


class Exact:
    """A boolean for each session and time, a clause for each two that exclude each other. No time limit."""

    def __init__(self, clinic):
        self.clinic, self.model = clinic, cp_model.CpModel()
        self.chosen, self.worth, self.urgency = {}, [], []
        self.loads = defaultdict(list)
        self.times = {service.pk: self._times(service) for service in Service.objects.all()}
        self.fixed = {b.session_id: b for b in Booking.objects.live()}
        for request in BookingRequest.objects.filter(sessions__status="planned").distinct():
            self._add(request)
        self._exclude()

    def _times(self, service):
        return [
            Time(
                start.slot.pk,
                tuple(start.covers),
                start.slot.starts_at,
                start.slot.starts_at + dt.timedelta(minutes=service.duration_minutes),
                start.slot.starts_at + service.occupied,
                self.clinic.local_date(start.slot.starts_at),
                start.slot.practitioner_id,
            )
            for start in grid.starts(service, self.clinic)
            if start.status == "available"
        ]

    def _add(self, request):
        sessions = list(request.sessions.order_by("number"))
        patterns = list(request.patterns.all())
        for session in sessions:
            if session.status == "planned":
                self.chosen[session] = {
                    time: self.model.new_bool_var("")
                    for time in self.times[request.service_id]
                    if self._allowed(request, patterns, time)
                }
                placed = sum(self.chosen[session].values())
                self.model.add(placed <= 1)
                self.urgency.append((request.urgency, placed))
        for one, other in itertools.pairwise(sessions):
            self._neighbours(patterns, one, other)
            if one.status == other.status == "planned":
                later, earlier = self.chosen[other], self.chosen[one]
                self.model.add(sum(later.values()) <= sum(earlier.values()))
        self._not_around_fixed(patterns, sessions)
        for n, session in enumerate(sessions):
            if session.status == "planned":
                self._value(patterns, session, sessions[n - 1] if n else None)

    def _allowed(self, request, patterns, time):
        if request.valid_until and time.day > request.valid_until:
            return False
        begin, end = time.begin.astimezone(self.clinic.zone), time.end.astimezone(self.clinic.zone)
        busy = Booking.objects.live().filter(patient=request.patient)
        return all(_holds(p, time.day, begin, end, time.doctor) for p in patterns if p.is_hard) and not any(
            b.starts_at < time.end and time.begin < b.ends_at for b in busy
        )

    def _ends(self, session):
        """The times at which it can be: its booking's, or those to choose from."""
        if session.status == "planned":
            return [(t.begin, t.blocked_until, t.day, literal) for t, literal in self.chosen[session].items()]
        b = self.fixed[session.pk]
        return [(b.starts_at, b.ends_at, self.clinic.local_date(b.starts_at), 1)]

    def _neighbours(self, patterns, one, other):
        if one.status == other.status == "scheduled":
            return
        hard = [p for p in patterns if p.is_hard]
        for (begin, until, day, a), (later, _u, later_day, b) in itertools.product(
            self._ends(one), self._ends(other)
        ):
            end = until if one.status == other.status else begin + one.request.service.occupied
            if one.status == "planned" and other.status == "scheduled":
                end = begin + dt.timedelta(minutes=one.request.service.duration_minutes)
            if one.status == "scheduled":
                end = self.fixed[one.pk].ends_at
            if later < end or not all(_gap_fits(p, (later_day - day).days) for p in hard):
                self.model.add(a + b <= 1)

    def _not_around_fixed(self, patterns, sessions):
        """Sessions that are not neighbours keep their order and the smallest gap too."""
        least = max((p.min_gap_days or 0 for p in patterns if p.is_hard), default=0)
        for one, other in itertools.combinations(sessions, 2):
            if {one.status, other.status} == {"planned", "scheduled"}:
                for (begin, _u, day, a), (later, _v, later_day, b) in itertools.product(
                    self._ends(one), self._ends(other)
                ):
                    if later <= begin or (later_day - day).days < least:
                        self.model.add(a + b <= 1)

    def _value(self, patterns, session, before):
        for time, literal in self.chosen[session].items():
            self.worth.append(A_DAY * (DAYS + 1 - _from_today(time.day)) * literal)
            self.loads[time.doctor].append(literal)
        for pattern in patterns:
            if pattern.is_hard:
                continue
            met, granted = self.model.new_bool_var(""), []
            for time, literal in self.chosen[session].items():
                begin, end = time.begin.astimezone(self.clinic.zone), time.end.astimezone(self.clinic.zone)
                if _holds(pattern, time.day, begin, end, time.doctor):
                    granted.append(literal)
                for _b, _u, day, other in self._ends(before) if before else ():
                    if not _gap_fits(pattern, (time.day - day).days):
                        self.model.add(met + literal + other <= 2)
            self.model.add(met <= sum(granted))
            self.worth.append(WISH * met)

    def _exclude(self):
        every = [(s, t, literal) for s, times in self.chosen.items() for t, literal in times.items()]
        for (s, one, a), (t, other, b) in itertools.combinations(every, 2):
            if s == t:
                continue
            same_patient = s.request.patient_id == t.request.patient_id
            if set(one.covers) & set(other.covers) or (
                same_patient and one.begin < other.end and other.begin < one.end
            ):
                self.model.add(a + b <= 1)
            # One laser head.
            together = one.begin < other.blocked_until and other.begin < one.blocked_until
            if together and s.request.service.equipment_kinds and t.request.service.equipment_kinds:
                self.model.add(a + b <= 1)

    def solve(self):
        count = sum(sum(times.values()) for times in self.chosen.values())
        found = {"sessions": self._maximise(count)}
        found["urgency"] = self._maximise(sum(urgency * placed for urgency, placed in self.urgency))
        worth = sum(self.worth)
        for literals in self.loads.values():
            square = self.model.new_int_var(0, 10_000, "")
            number = self.model.new_int_var(0, 100, "")
            self.model.add(number == sum(literals))
            self.model.add_multiplication_equality(square, [number, number])
            worth -= square
        found["worth"] = self._maximise(worth)
        return found

    def _maximise(self, amount):
        self.model.maximize(amount)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        assert solver.solve(self.model) == cp_model.OPTIMAL
        self.model.add(amount >= round(solver.objective_value))
        return round(solver.objective_value)
