"""Four calendars stay open while 300 acts happen at random: in the end each shows what the database says."""

import datetime as dt
import random
import uuid

from django.db import transaction
from playwright.sync_api import expect

from clinic_booking.errors import NamedError, named
from scheduling import booking, desk_moves, inventory
from scheduling.models import Booking, Clinic, Slot
from tests import factories
from tests.e2e.conftest import AHEAD, DAY
from tests.e2e.steps import book
from tests.e2e.system import until
from tests.race import together

DOCTORS, SLOTS, THREADS, ACTS = 4, 12, 3, 100
SHOWN = """() => [...document.querySelectorAll(".ec-event[role=button]")].map((node) => {
  const head = document.querySelectorAll(".ec-col-head b")[parseInt(node.style.gridColumn) - 1].textContent;
  const seen = node.querySelector("[data-booking]");
  return [seen.dataset.booking, head, seen.querySelector("span").textContent.slice(0, 5)];
})"""
BLOCKED = """() => [...document.querySelectorAll(".ec-event.st-blocked")].map((node) =>
  node.querySelector("span").textContent)"""


class Hands:
    """One person's acts, each at random on whatever is there; a refusal is an answer too."""

    def __init__(self, seed, user, service, clinic):
        self.dice, self.user, self.service, self.clinic = random.Random(seed), user, service, clinic  # noqa: S311
        self.done, self.refused, self.last = 0, 0, None

    def work(self):
        for _ in range(ACTS):
            act = self.dice.choice(
                [self.book, self.move, self.move, self.undo, self.cancel, self.block, self.open]
            )
            try:
                act()
            except Exception as problem:
                if not isinstance(named(problem), NamedError):
                    raise
                self.refused += 1
            self.done += 1
        return self.done

    def slot(self, **wanted):
        found = Slot.objects.filter(clinic=self.clinic, **wanted).select_related(
            "clinic", "practitioner", "station"
        )
        return self.dice.choice(list(found) or list(Slot.objects.filter(clinic=self.clinic)))

    def visit(self):
        found = Booking.objects.filter(clinic=self.clinic, status="booked").select_related(
            *desk_moves.RELATED
        )
        return self.dice.choice(list(found))

    def book(self):
        book(self.slot(status="available"), self.service)

    def move(self):
        visit, key = self.visit(), str(uuid.uuid4())
        drop = desk_moves.Drop(key, visit, visit.version, self.slot(status="available"), self.user)
        desk_moves.commit(drop)
        self.last = (visit, key)

    def undo(self):
        if self.last:
            desk_moves.undo(booking=self.last[0], key=self.last[1], by=self.user)

    def cancel(self):
        if Booking.objects.filter(clinic=self.clinic, status="booked").count() > DOCTORS * 3:
            with transaction.atomic():
                booking.cancel_booking(booking_id=self.visit().pk, by=self.user, reason="clinic")

    def block(self):
        with transaction.atomic():
            inventory.block_slots(slot_ids=[self.slot(status="available").pk], reason="Soak", by=self.user)

    def open(self):
        with transaction.atomic():
            inventory.unblock_slots(slot_ids=[self.slot(status="blocked").pk], by=self.user)


def truth(clinic, column):
    live = Booking.objects.live().filter(clinic=clinic).select_related("practitioner", "station")
    return sorted(
        [each.reference, getattr(each, column).name, f"{each.starts_at.astimezone(clinic.zone):%H:%M}"]
        for each in live
    )


def blocks(clinic):
    """As the calendar shows them: neighbours as one."""
    runs = []
    for slot in Slot.objects.filter(clinic=clinic, is_blocked=True).order_by("practitioner", "starts_at"):
        if runs and runs[-1][0] == slot.practitioner_id and runs[-1][2] == slot.starts_at:
            runs[-1][2] = slot.ends_at
        else:
            runs.append([slot.practitioner_id, slot.starts_at, slot.ends_at])
    return sorted("–".join(f"{at.astimezone(clinic.zone):%H:%M}" for at in run[1:]) for run in runs)


def test_four_calendars_equal_the_database_after_300_acts(open_browser, receptionist, clinic, service):
    Clinic.objects.filter(pk=clinic.pk).update(payment_policy=Clinic.PaymentPolicy.PAY_AT_CLINIC)
    for n in range(DOCTORS):
        doctor = factories.PractitionerFactory(name=f"Dr Number {n}")
        service.practitioners.add(doctor)
        room = factories.StationFactory(clinic=clinic, name=f"Soak room {n}")
        start = factories.tomorrow_at(9) + AHEAD - dt.timedelta(1)
        made = factories.make_slots(doctor, room, start, slots=SLOTS)
        for slot in made[::3]:
            book(slot, service)
    pages = []
    for view in ("day", "day", "stations", "stations"):
        page = open_browser(receptionist, viewport={"width": 1280, "height": 900})
        page.goto(f"/desk/tanjong-pagar/?date={DAY}&view={view}")
        expect(page.get_by_text("Live – updates by itself")).to_be_visible()
        expect(page.locator(".ec-event[role=button]")).to_have_count(DOCTORS * SLOTS // 3)
        pages.append((page, "practitioner" if view == "day" else "station"))
    people = [receptionist, *(factories.MembershipFactory(clinic=clinic).user for _ in range(THREADS - 1))]
    hands = [Hands(seed, user, service, clinic) for seed, user in enumerate(people)]
    assert together(*(each.work for each in hands), seconds=100) == [ACTS] * THREADS
    assert sum(each.refused for each in hands) < THREADS * ACTS * 2 // 3
    for page, column in pages:
        until(
            lambda page=page, column=column: sorted(page.evaluate(SHOWN)) == truth(clinic, column),
            "all is shown",
        )
        until(lambda page=page: sorted(page.evaluate(BLOCKED)) == blocks(clinic), "all blocks are shown")
