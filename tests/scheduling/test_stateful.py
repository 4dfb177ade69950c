"""All verbs in random order, against a simple model of what should come out and the promises of design §3."""

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from scheduling import booking, calendar, errors, inventory, live, search
from scheduling.models import Booking, Hold, ScheduleTemplate
from tests import clock, factories
from tests.invariants import broken
from tests.race import in_transaction

STEP = dt.timedelta(minutes=20)
OCCUPIES = {"short": 1, "long": 2, "buffered": 3, "special": 1}  # slots
LASTS = {"short": STEP, "long": 2 * STEP, "buffered": 2 * STEP, "special": STEP}
OWNERS = {"guest": None, "other guest": None, "phone": 0, "laptop": 0}  # the last two are one patient's
Key = tuple[int, dt.datetime]  # practitioner, start

numbers = st.integers(0, 30)
mostly_not = st.sampled_from([False, False, False, True])
owners = st.sampled_from(sorted(OWNERS))
services = st.sampled_from(sorted(OCCUPIES))
patients = st.integers(0, 2)


@dataclasses.dataclass(eq=False)
class Claim:
    """A hold or a booking of the model."""

    pk: Any
    service: str
    at: list[Key]
    patient: int | None
    owner: str = ""
    status: str = ""  # of a hold: why it ended
    has_run_out: bool = False
    renewals: int = 0
    version: int = 1

    @property
    def is_live(self) -> bool:
        """Of a hold."""
        return not self.status and not self.has_run_out


class World:
    """Two practitioners of one clinic; the slots of the second come from a template."""

    def __init__(self) -> None:
        self.clinic = factories.ClinicFactory()
        self.people = [factories.PractitionerFactory() for _ in range(2)]
        rooms = [factories.StationFactory(clinic=self.clinic) for _ in range(2)]
        self.services = {
            "short": factories.ServiceFactory(practitioners=self.people),
            "long": factories.ServiceFactory(double=True, practitioners=self.people),
            "buffered": factories.ServiceFactory(double=True, with_buffer=True, practitioners=self.people),
            "special": factories.ServiceFactory(practitioners=self.people[:1]),
        }
        self.patients = [factories.PatientFactory() for _ in range(3)]
        self.staff = factories.UserFactory()
        nine = factories.tomorrow_at(9)
        self.day = nine.date()
        factories.make_slots(self.people[0], rooms[0], nine, slots=5)
        factories.ScheduleTemplateFactory(
            clinic=self.clinic, practitioner=self.people[1], station=rooms[1], ends_at=dt.time(10, 20)
        )
        inventory.generate(days=1, first=self.day, clinics=[self.clinic])
        self.planned = {(1, nine + n * STEP) for n in range(4)}


class ClinicDay(RuleBasedStateMachine):
    world: World
    announced: list[tuple[Any, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.holds: list[Claim] = []
        self.bookings: list[Claim] = []
        self.blocked: set[Key] = set()
        self.marks: dict[Key, Claim] = {}  # the hold that a slot still names, run out or not
        self.stored = self.slots_in_database()

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.savepoint)

    # -- The model ---------------------------------------------------------------------------------

    def pick(self, n: int) -> Key:
        """A slot; one that a run-out hold still names more often than others."""
        late = [key for key, held in self.marks.items() if held.has_run_out and key in self.stored]
        among = sorted(late) if late and n % 3 == 0 else sorted(self.stored)
        return among[n // 3 % len(among)]

    def recent(self, claims: list[Claim], n: int) -> Claim:
        return claims[-1 - n % min(4, len(claims))]

    def chain(self, start: Key, service: str) -> list[Key] | None:
        """The slots that the service takes from the start; None where it is not offered."""
        who, begins = start
        keys = [(who, begins + n * STEP) for n in range(OCCUPIES[service])]
        is_offered = service != "special" or who == 0
        return keys if is_offered and all(key in self.stored for key in keys) else None

    def live_bookings(self) -> list[Claim]:
        return [made for made in self.bookings if made.status not in ("cancelled", "noshow")]

    def refusal(self, keys: list[Key] | None, *but: Claim) -> type[Exception] | None:
        """Why these slots cannot be claimed, were it not for claims that would give way."""
        if keys is None:
            return errors.NotOffered
        if self.blocked.intersection(keys):
            return errors.SlotBlocked
        claims = [held for held in self.holds if held.is_live] + self.live_bookings()
        taken = {key for claim in claims if claim not in but for key in claim.at}
        return errors.SlotTaken if taken.intersection(keys) else None

    def is_busy(self, patient: int, begins: dt.datetime, service: str, *but: Claim) -> bool:
        return any(
            made.patient == patient
            and made.at[0][1] < begins + LASTS[service]
            and begins < made.at[0][1] + LASTS[made.service]
            for made in self.live_bookings()
            if made not in but
        )

    def end(self, held: Claim, reason: str) -> None:
        if not held.status:
            held.status = "expired" if held.has_run_out else reason
            self.forget(held)

    def forget(self, held: Claim) -> None:
        self.marks = {key: each for key, each in self.marks.items() if each is not held}

    def inherit(self, keys: list[Key], by: Claim | None = None) -> None:
        """Whoever claims a slot ends the run-out hold that it names; its other slots name it on."""
        for key in keys:
            if (held := self.marks.pop(key, None)) and held is not by and not held.status:
                held.status = "expired"

    # -- Looking at the database ---------------------------------------------------------------------

    def slots_in_database(self) -> dict[Key, tuple[Any, ...]]:
        people = [person.pk for person in self.world.people]
        with connection.cursor() as cursor:
            cursor.execute("""
                SELECT practitioner_id, starts_at, id, version, status, booking_id, hold_id, held_until,
                    held_until > clock_timestamp() FROM scheduling_slot""")
            return {(people.index(row[0]), row[1]): row[2:] for row in cursor.fetchall()}

    def expect(self, refusal: type[Exception] | None, verb: Callable[..., Any], **arguments: Any) -> Any:
        """The verb's result; None when it was rightly refused, which changes nothing."""
        self.announced.clear()
        if refusal is None:
            return verb(**arguments)
        with pytest.raises(refusal) as refused:
            verb(**arguments)
        assert refused.type is refusal
        self.announced.clear()
        return None

    def look(self) -> None:
        """After each step: the database is as the model says, every change was announced, all promises are kept."""
        before, self.stored = self.stored, self.slots_in_database()
        booked = {key: made.pk for made in self.live_bookings() for key in made.at}
        for key, (_, version, status, booking_id, hold_id, _, _) in self.stored.items():
            assert booking_id == booked.get(key)
            assert hold_id == (self.marks[key].pk if key in self.marks else None)
            assert (status == "blocked") == (key in self.blocked)
            if key in before and before[key][0] == self.stored[key][0]:
                assert version >= before[key][1]
                assert (version == before[key][1]) == (
                    self.stored[key][2:-1] == before[key][2:-1]
                ) or booking_id
        assert {h.pk: (h.end_reason, h.renewals, h.owner) for h in Hold.objects.all()} == {
            h.pk: (h.status, h.renewals, h.owner) for h in self.holds
        }
        assert {
            (b.pk, b.status, b.version, b.starts_at, b.practitioner_id) for b in Booking.objects.all()
        } == {
            (b.pk, b.status, b.version, b.at[0][1], self.world.people[b.at[0][0]].pk) for b in self.bookings
        }
        connection.check_constraints()
        assert broken() == {}

    def look_at_announcements(self) -> None:
        """The last word on each slot is its state, and each slot that changed was spoken of."""
        last = {change[2]: change for change in self.announced}
        now = {slot[0]: slot for slot in self.slots_in_database().values()}
        for pk, version, *_ in self.stored.values():
            assert pk not in now or now[pk][1] == version or pk in last
        for clinic_id, day, pk, version, status, held_until in last.values():
            _, stored_version, stored_status, _, _, until, is_held = now[pk]
            assert (clinic_id, day, version) == (self.world.clinic.pk, self.world.day, stored_version)
            assert status == ("held" if is_held else stored_status)
            assert held_until == (int(until.timestamp() * 1000) if is_held else None)

    # -- The verbs -----------------------------------------------------------------------------------

    @rule(owner=owners, n=numbers, service=services)
    def hold(self, owner: str, n: int, service: str) -> None:
        start, patient = self.pick(n), OWNERS[owner]
        prior = [
            h for h in self.holds
            if not h.status and (h.owner == owner or (patient is not None and h.patient == patient))
        ]  # fmt: skip
        keys = self.chain(start, service)
        same = [h for h in prior if h.is_live and (h.owner, h.service, h.at[0]) == (owner, service, start)]
        refusal = self.refusal(keys, *prior)
        made = self.expect(
            None if same and keys else refusal,
            booking.hold_slots,
            slot_id=self.stored[start][0],
            service_id=self.world.services[service].pk,
            owner=owner,
            patient=None if patient is None else self.world.patients[patient],
        )
        if same and keys:
            assert made.pk == same[0].pk
        elif made:
            assert keys is not None
            for each in prior:
                self.end(each, "released")
            self.inherit(keys)
            self.holds.append(Claim(made.pk, service, keys, patient, owner))
            self.marks |= dict.fromkeys(keys, self.holds[-1])
        self.look_at_announcements()
        self.look()

    @precondition(lambda self: self.holds)
    @rule(n=numbers, is_foreign=mostly_not)
    def renew(self, n: int, is_foreign: bool) -> None:
        held = self.recent(self.holds, n)
        owner = "stranger" if is_foreign else held.owner
        if is_foreign:
            refusal = errors.HoldGone
        elif not held.is_live:
            refusal = errors.HoldExpired
        else:
            refusal = errors.NoMoreRenewals if held.renewals == 2 else None
        if self.expect(refusal, booking.renew_hold, hold_id=held.pk, owner=owner):
            held.renewals += 1
        self.look_at_announcements()
        self.look()

    @precondition(lambda self: self.holds)
    @rule(n=numbers, is_foreign=mostly_not)
    def release(self, n: int, is_foreign: bool) -> None:
        held = self.recent(self.holds, n)
        owner = "stranger" if is_foreign else held.owner
        refusal = errors.HoldGone if is_foreign else None
        self.expect(refusal, booking.release_hold, hold_id=held.pk, owner=owner)
        if not refusal:
            self.end(held, "released")
            self.forget(held)
        self.look_at_announcements()
        self.look()

    @precondition(lambda self: any(held.is_live for held in self.holds))
    @rule(n=numbers)
    def run_out(self, n: int) -> None:
        live_ones = [held for held in self.holds if held.is_live]
        held = live_ones[n % len(live_ones)]
        clock.run_out(Hold.objects.get(pk=held.pk))
        held.has_run_out = True
        self.look()

    @rule()
    def sweep(self) -> None:
        due = [held for held in self.holds if held.has_run_out and not held.status]
        assert self.expect(None, booking.expire_holds) == len(due)
        for held in due:
            self.end(held, "expired")
        self.marks = {key: held for key, held in self.marks.items() if not held.has_run_out}
        self.look_at_announcements()
        self.look()

    @precondition(lambda self: self.holds)
    @rule(n=numbers, patient=patients, late=st.booleans())
    def confirm(self, n: int, patient: int, late: bool) -> None:
        held = self.recent(self.holds, n)
        refusal: type[Exception] | None = None
        if held.status != "confirmed":
            if not held.is_live and (not late or held.status == "released"):
                refusal = errors.HoldExpired
            elif not set(held.at) <= self.stored.keys() or self.refusal(held.at, held):
                refusal = errors.SlotTaken
            elif self.is_busy(patient, held.at[0][1], held.service):
                refusal = errors.PatientBusy
        confirm = in_transaction(
            booking.confirm_hold, hold_id=held.pk, patient=self.world.patients[patient], late=late
        )
        made = self.expect(refusal, confirm)
        if made and held.status == "confirmed":
            assert made.pk in {each.pk for each in self.bookings}
        elif made:
            self.inherit(held.at, by=held)
            held.status = "confirmed"
            self.bookings.append(Claim(made.pk, held.service, held.at, patient, status="booked"))
        self.look_at_announcements()
        self.look()

    @rule(owner=owners, n=numbers, service=services, patient=patients)
    def book(self, owner: str, n: int, service: str, patient: int) -> None:
        before = len(self.holds)
        self.hold(owner, n, service)
        if len(self.holds) > before:
            self.confirm(0, patient, late=False)

    @precondition(lambda self: self.bookings)
    @rule(n=numbers, to=numbers, is_stale=mostly_not)
    def move(self, n: int, to: int, is_stale: bool) -> None:
        made, start = self.recent(self.bookings, n), self.pick(to)
        keys = self.chain(start, made.service)
        refusal: type[Exception] | None
        if is_stale:
            refusal = errors.ChangedMeanwhile
        elif made.status != "booked":
            refusal = errors.WrongState
        else:
            refusal = self.refusal(keys, made)
            if not refusal and self.is_busy(made.patient or 0, start[1], made.service, made):
                refusal = errors.PatientBusy
        move = in_transaction(
            booking.move_booking,
            booking_id=made.pk,
            slot_id=self.stored[start][0],
            by=self.world.staff,
            version=made.version - is_stale,
        )
        if self.expect(refusal, move):
            assert keys is not None
            self.inherit(keys)
            made.at, made.version = keys, made.version + 1
        self.look_at_announcements()
        self.look()

    @precondition(lambda self: self.bookings)
    @rule(n=numbers, what=st.sampled_from(["cancelled", "arrived", "fulfilled", "noshow"]))
    def change(self, n: int, what: str) -> None:
        made = self.recent(self.bookings, n)
        allowed = {"booked", "arrived"} if what in ("cancelled", "fulfilled") else {"booked"}
        verbs = {"arrived": booking.check_in, "fulfilled": booking.complete, "noshow": booking.no_show}
        arguments = {"booking_id": made.pk, "by": self.world.staff}
        if what == "cancelled":
            verb = in_transaction(booking.cancel_booking, **arguments, reason="desk")
        else:
            verb = in_transaction(verbs[what], **arguments)
        if self.expect(None if made.status in allowed else errors.WrongState, verb):
            made.status, made.version = what, made.version + 1
        self.look_at_announcements()
        self.look()

    @rule(n=numbers, length=st.integers(1, 2))
    def block(self, n: int, length: int) -> None:
        start = self.pick(n)
        keys = [key for key in ((start[0], start[1] + i * STEP) for i in range(length)) if key in self.stored]
        is_taken = any(self.refusal([key]) is errors.SlotTaken for key in keys)
        block = in_transaction(
            inventory.block_slots,
            slot_ids=[self.stored[key][0] for key in keys],
            reason="repair",
            by=self.world.staff,
        )
        if self.expect(errors.SlotTaken if is_taken else None, block):
            self.inherit(keys)
            self.blocked.update(keys)
        self.look_at_announcements()
        self.look()

    @precondition(lambda self: self.blocked)
    @rule()
    def unblock(self) -> None:
        ids = [self.stored[key][0] for key in self.blocked]
        self.expect(None, in_transaction(inventory.unblock_slots, slot_ids=ids, by=self.world.staff))
        self.blocked.clear()
        self.look_at_announcements()
        self.look()

    @rule(is_wanted=st.booleans())
    def regenerate(self, is_wanted: bool) -> None:
        ScheduleTemplate.objects.update(weekdays=list(range(1, 8)) if is_wanted else [])
        free = {key for key in self.world.planned & self.stored.keys() if not self.refusal([key])}
        missing = self.world.planned - self.stored.keys()
        report = self.expect(
            None, inventory.generate, days=1, first=self.world.day, clinics=[self.world.clinic]
        )
        assert (report.added, report.removed) == ((len(missing), 0) if is_wanted else (0, len(free)))
        self.marks = {key: held for key, held in self.marks.items() if is_wanted or key not in free}
        kept = self.stored.keys() | missing if is_wanted else self.stored.keys() - free
        assert self.slots_in_database().keys() == kept
        self.look()

    # -- What people see -----------------------------------------------------------------------------

    @rule(service=services)
    def look_for_times(self, service: str) -> None:
        asked = {"service": self.world.services[service], "clinics": [self.world.clinic]}
        people = [person.pk for person in self.world.people]
        found = {
            (people.index(person.practitioner_id), time.starts_at): time.status == "available"
            for person in search.day_times(**asked, day=self.world.day)
            for time in person.times
        }
        chains = {key: self.chain(key, service) for key in self.stored}
        assert found == {key: not self.refusal(chain) for key, chain in chains.items() if chain}
        assert search.day_counts(**asked, first=self.world.day, days=1) == {
            self.world.day: sum(found.values())
        }

    @rule()
    def look_at_calendar(self) -> None:
        text = json.loads(calendar.dataset(clinic=self.world.clinic, first=self.world.day, days=1))
        shown = {
            (pk, version, status)
            for column in text["columns"]
            for pk, version, status in zip(
                *(column["slots"][k] for k in ("id", "version", "status")), strict=True
            )
        }
        assert shown == {(s[0], s[1], "held" if s[-1] else s[2]) for s in self.stored.values()}
        assert len(text["bookings"]) == len(self.live_bookings())


@pytest.mark.django_db
def test_any_order_of_verbs_keeps_every_promise(monkeypatch):
    announced: list[tuple[Any, ...]] = []
    monkeypatch.setattr(live, "announce", announced.extend)
    monkeypatch.setattr(inventory, "_holidays", lambda *_: set())  # whatever day the test runs on
    monkeypatch.setattr(ClinicDay, "world", World(), raising=False)
    monkeypatch.setattr(ClinicDay, "announced", announced, raising=False)
    run_state_machine_as_test(
        ClinicDay,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
