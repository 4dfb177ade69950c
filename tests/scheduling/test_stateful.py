"""All verbs in random order, against a simple model of what should come out and the promises of design §3."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from scheduling import booking, calendar, errors, inventory, live, search
from scheduling.models import Hold, ScheduleTemplate
from tests import clock
from tests.race import in_transaction
from tests.scheduling.model import OCCUPIES, OWNERS, STEP, Claim, Key, ModelOfDay, World

numbers = st.integers(0, 30)
mostly_not = st.sampled_from([False, False, False, True])
owners = st.sampled_from(sorted(OWNERS))
services = st.sampled_from(sorted(OCCUPIES))
patients = st.integers(0, 2)
VERBS = {
    "arrived": booking.check_in,
    "called": booking.call,
    "started": booking.start,
    "fulfilled": booking.complete,
    "noshow": booking.no_show,
}


class ClinicDay(ModelOfDay):
    @rule(owner=owners, n=numbers, service=services)
    def hold(self, owner: str, n: int, service: str) -> None:
        self.hold_at(self.pick(n), owner, service)

    def hold_at(self, start: Key, owner: str, service: str) -> None:
        patient = OWNERS[owner]
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
        self.look()

    @precondition(lambda self: any(held.is_live for held in self.holds))
    @rule(n=numbers)
    def run_out(self, n: int) -> None:
        self.age(self.recent([held for held in self.holds if held.is_live], n))

    def age(self, held: Claim) -> None:
        clock.run_out(Hold.objects.get(pk=held.pk))
        held.has_run_out = True
        self.look(is_told=False)

    @rule()
    def sweep(self) -> None:
        due = [held for held in self.holds if held.has_run_out and not held.status]
        assert self.expect(None, booking.expire_holds) == len(due)
        for held in due:
            self.end(held, "expired")
        self.marks = {key: held for key, held in self.marks.items() if not held.has_run_out}
        self.look()

    @precondition(lambda self: self.holds)
    @rule(n=numbers, patient=patients, late=st.booleans())
    def confirm(self, n: int, patient: int, late: bool) -> None:
        self.confirm_for(patient, self.recent(self.holds, n), late)

    def confirm_for(self, patient: int, held: Claim, late: bool) -> None:
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
        self.look()

    @rule(owner=owners, n=numbers, service=services, patient=patients)
    def book(self, owner: str, n: int, service: str, patient: int) -> None:
        before = len(self.holds)
        self.hold(owner, n, service)
        if len(self.holds) > before:
            self.confirm_for(patient, self.holds[-1], late=False)

    @precondition(lambda self: any(held.is_live for held in self.holds))
    @rule(n=numbers, nth=st.integers(0, 2), how=st.sampled_from(["hold", "move", "block"]), service=services)
    def lose(self, n: int, nth: int, how: str, service: str) -> None:
        """A hold runs out, somebody else is quick, and then its payment comes."""
        held = self.recent([each for each in self.holds if each.is_live], n)
        self.age(held)
        key = held.at[nth % len(held.at)]
        if how == "hold":
            self.hold_at(key, next(owner for owner in OWNERS if owner != held.owner), service)
        elif how == "move" and self.bookings:
            self.move_to(key, self.recent(self.bookings, n))
        elif how == "block":
            self.block_all([key])
        self.confirm_for(n % 3, held, late=True)

    @precondition(lambda self: self.bookings)
    @rule(n=numbers, to=numbers, is_stale=mostly_not)
    def move(self, n: int, to: int, is_stale: bool) -> None:
        self.move_to(self.pick(to), self.recent(self.bookings, n), is_stale)

    def move_to(self, start: Key, made: Claim, is_stale: bool = False) -> None:
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
        self.look()

    @precondition(lambda self: self.bookings)
    @rule(n=numbers, what=st.sampled_from([*VERBS, "cancelled"]), is_stale=mostly_not)
    def change(self, n: int, what: str, is_stale: bool) -> None:
        made = self.recent(self.bookings, n)
        arguments = {"booking_id": made.pk, "by": self.world.staff}
        if what == "cancelled":
            verb, is_stale = in_transaction(booking.cancel_booking, **arguments, reason="desk"), False
        else:
            verb = in_transaction(VERBS[what], **arguments, version=made.version - is_stale)
        refusal: type[Exception] | None = errors.ChangedMeanwhile if is_stale else None
        if not is_stale and not self.may(made, what):
            refusal = errors.WrongState
        if self.expect(refusal, verb):
            if what in ("called", "started") and "arrived" not in made.steps:
                made.steps.append("arrived")
                made.version += 1
            # A recall is no further step, and what is over keeps the steps that led there.
            made.steps = [step for step in made.steps if step != what] + [what]
            made.status = what if what in ("cancelled", "fulfilled", "noshow") else "arrived"
            made.version += 1
        self.look()

    def may(self, made: Claim, what: str) -> bool:
        if made.status == "booked":
            return True
        return made.status == "arrived" and (
            what in ("cancelled", "fulfilled")
            or (what in ("called", "started") and "started" not in made.steps)
        )

    @precondition(lambda self: self.bookings)
    @rule(n=numbers, is_stale=mostly_not)
    def undo(self, n: int, is_stale: bool) -> None:
        made = self.recent(self.bookings, n)
        refusal: type[Exception] | None = None
        if is_stale:
            refusal = errors.ChangedMeanwhile
        elif made.status in ("booked", "cancelled"):
            refusal = errors.WrongState
        elif made.status == "noshow":
            gone = not set(made.at) <= self.stored.keys()
            refusal = errors.SlotGone if gone else self.refusal(made.at)
            if not refusal and self.is_busy(made.patient or 0, made.at[0][1], made.service):
                refusal = errors.PatientBusy
        version = made.version - is_stale
        undo = in_transaction(booking.undo_status, booking_id=made.pk, by=self.world.staff, version=version)
        if self.expect(refusal, undo):
            if made.status == "noshow":
                self.inherit(made.at)
            made.steps.pop()
            made.status = "arrived" if "arrived" in made.steps else "booked"
            made.version += 1
        self.look()

    @rule(n=numbers, length=st.integers(1, 2))
    def block(self, n: int, length: int) -> None:
        start = self.pick(n)
        keys = [(start[0], start[1] + i * STEP) for i in range(length)]
        self.block_all([key for key in keys if key in self.stored])

    def block_all(self, keys: list[Key]) -> None:
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
        self.look()

    @precondition(lambda self: self.blocked)
    @rule()
    def unblock(self) -> None:
        ids = [self.stored[key][0] for key in self.blocked]
        self.expect(None, in_transaction(inventory.unblock_slots, slot_ids=ids, by=self.world.staff))
        self.blocked.clear()
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
        self.look(is_told=False)

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
        text = json.loads(calendar.dataset(clinics=[self.world.clinic], first=self.world.day, days=1))
        (text,) = text["clinics"]
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
@pytest.mark.timeout(300)
def test_any_order_of_verbs_keeps_every_promise(monkeypatch, day_of_visit):
    announced: list[tuple[Any, ...]] = []
    monkeypatch.setattr(live, "announce", announced.extend)
    monkeypatch.setattr(inventory, "public_holidays", lambda *_: set())  # whatever day the test runs on
    monkeypatch.setattr(ClinicDay, "world", World(), raising=False)
    monkeypatch.setattr(ClinicDay, "announced", announced, raising=False)
    run_state_machine_as_test(
        ClinicDay,
        settings=settings(
            max_examples=80,
            stateful_step_count=30,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
