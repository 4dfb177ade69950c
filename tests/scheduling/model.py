"""A clinic's day as a simple model: what the verbs should do to it, and how to compare it with the database."""

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis.stateful import RuleBasedStateMachine

from scheduling import errors, inventory
from scheduling.models import Booking, Hold
from tests import factories
from tests.invariants import broken

STEP = dt.timedelta(minutes=20)
OCCUPIES = {"short": 1, "long": 2, "buffered": 3, "special": 1}  # slots
LASTS = {"short": STEP, "long": 2 * STEP, "buffered": 2 * STEP, "special": STEP}
OWNERS = {"guest": None, "other guest": None, "phone": 0, "laptop": 0}  # the last two are one patient's
Key = tuple[int, dt.datetime]  # practitioner, start


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
    steps: list[str] = dataclasses.field(default_factory=list)  # of a booking: its day so far

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


class ModelOfDay(RuleBasedStateMachine):
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

    def look(self, *, is_told: bool = True) -> None:
        """After each step: the database is as the model says, every change was announced, all promises are kept."""
        if is_told:
            self.look_at_announcements()
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
