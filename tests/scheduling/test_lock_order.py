"""Every verb locks before it writes, in the order of docs/locking.md: slots by pk, equipment, holds, bookings, …"""

import datetime as dt
import re

import pytest
from django.db import connection, transaction

from scheduling import booking, inventory
from scheduling.models import Hold, Slot
from tests import factories
from tests.clock import run_out

pytestmark = pytest.mark.django_db

ORDER = [
    f"scheduling_{table}"
    for table in ("slot", "equipment", "hold", "booking", "sessionticket", "visitticket", "walkin")
]
ALIASES = {"s": "scheduling_slot", "t": "scheduling_sessionticket"}
LOCK = re.compile(r"\bFOR (?:NO KEY )?UPDATE\b")
LOCKED = re.compile(r'UPDATE OF "?(\w+)|FROM "(\w+)"')
WRITTEN = re.compile(
    r'(?:UPDATE|INSERT INTO|DELETE FROM) "?(scheduling_(?:slot|hold|booking|equipmentreservation))\b'
)


def transactions(verb):
    """What the verb says to the database, one list of statements for each transaction."""
    found, depth = [], 0

    def record(execute, sql, params, many, context):
        nonlocal depth
        if sql.startswith("SAVEPOINT"):
            depth += 1
            if depth == 1:
                found.append([])
        elif sql.startswith("RELEASE"):
            depth -= 1
        elif depth:
            found[-1].append(sql)
        elif LOCK.search(sql) and WRITTEN.search(sql):
            found.append([sql])  # is its own transaction
        else:
            assert not LOCK.search(sql), f"outside a transaction: {sql}"
            assert not WRITTEN.search(sql), f"outside a transaction: {sql}"
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        verb()
    return found


def check(statements):
    rank, locked = 0, []
    for sql in statements:
        if LOCK.search(sql):
            of, alone = LOCKED.findall(sql)[-1]
            table = ALIASES.get(of, of) or alone
            assert ORDER.index(table) >= rank, f"{table} is locked after {ORDER[rank]}"
            rank = ORDER.index(table)
            locked.append(table)
            if table == "scheduling_slot":
                assert re.search(r"ORDER BY s\.id FOR", sql), "slots are locked by pk"
        elif WRITTEN.search(sql):
            assert "scheduling_slot" in locked, f"written without the slots' locks: {sql}"
    return locked


def joined(verb, **arguments):
    def run():
        with transaction.atomic():
            verb(**arguments)

    return run


@pytest.fixture
def hold(slots, service):
    def make(n, owner, service=service):
        return booking.hold_slots(slot_id=slots[n].pk, service_id=service.pk, owner=owner)

    return make


@pytest.fixture
def made(hold, patient):
    held = hold(0, "first")
    with transaction.atomic():
        return booking.confirm_hold(hold_id=held.pk, patient=patient)


def test_hold_that_gives_up_one_time_and_inherits_another(hold):
    hold(0, "me")
    run_out(hold(2, "lapsed"))
    at_once, statements = transactions(lambda: hold(2, "me"))
    assert check(at_once) == ["scheduling_slot"]
    assert check(statements) == ["scheduling_slot", "scheduling_hold", "scheduling_hold"]


def test_renewal_release_and_sweep(hold):
    mine, lapsed = hold(0, "me"), hold(1, "lapsed")
    run_out(lapsed)
    for verb in (
        lambda: booking.renew_hold(hold_id=mine.pk, owner="me"),
        lambda: booking.release_hold(hold_id=mine.pk, owner="me"),
        booking.expire_holds,
    ):
        found = [check(statements) for statements in transactions(verb)]
        assert found[0][:2] == ["scheduling_slot", "scheduling_hold"]


def test_late_confirmation_that_inherits(hold, patient, service, practitioner):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    mine = hold(0, "me", double)
    run_out(mine)
    run_out(hold(1, "lapsed"))
    (statements,) = transactions(joined(booking.confirm_hold, hold_id=mine.pk, patient=patient, late=True))
    assert check(statements) == ["scheduling_slot", "scheduling_hold", "scheduling_hold"]


def test_move_that_inherits(hold, made, slots):
    run_out(hold(3, "lapsed"))
    (statements,) = transactions(
        joined(booking.move_booking, booking_id=made.pk, slot_id=slots[3].pk, by=None)
    )
    assert check(statements) == ["scheduling_slot", "scheduling_hold", "scheduling_booking"]


@pytest.fixture
def laser(clinic, practitioner):
    factories.EquipmentFactory(clinic=clinic, kind="laser-head")
    return factories.ServiceFactory(equipment_kinds=["laser-head"], practitioners=[practitioner])


def test_hold_of_two_with_equipment(hold, slots, service, laser):
    run_out(hold(0, "lapsed"))
    parts = [booking.Part(slots[0].pk, service.pk), booking.Part(slots[2].pk, laser.pk)]
    (statements,) = transactions(lambda: booking.hold_together(parts=parts, owner="me"))
    assert check(statements) == ["scheduling_slot", "scheduling_equipment", "scheduling_hold"]


def test_late_confirmation_with_equipment(hold, patient, laser):
    mine = hold(0, "me", laser)
    run_out(mine)
    (statements,) = transactions(joined(booking.confirm_hold, hold_id=mine.pk, patient=patient, late=True))
    assert check(statements) == ["scheduling_slot", "scheduling_equipment", "scheduling_hold"]


def test_moves_with_equipment(hold, patient, slots, laser):
    run_out(hold(4, "lapsed"))
    held = [hold(n, f"owner-{n}", laser) for n in (0, 1)]
    with transaction.atomic():
        made = [booking.confirm_hold(hold_id=each.pk, patient=patient) for each in held]
    moves = [booking.Move(made[0].pk, slots[1].pk), booking.Move(made[1].pk, slots[4].pk)]
    (statements,) = transactions(joined(booking.move_bookings, moves=moves, by=None))
    assert check(statements) == ORDER[:4]


def test_placing_with_equipment(hold, patient, slots, laser):
    run_out(hold(0, "lapsed"))
    session = factories.SessionTicketFactory(request__patient=patient, request__service=laser)
    places = [booking.Place(session.pk, slots[0].pk)]
    (statements,) = transactions(joined(booking.place_sessions, places=places, by=None))
    assert check(statements) == [*ORDER[:3], "scheduling_sessionticket"]


def test_offer_and_its_acceptance(slots, patient, service):
    session = factories.SessionTicketFactory(request__patient=patient, request__service=service)
    offered = {"slot_id": slots[0].pk, "session_id": session.pk, "patient": patient, "seconds": 3600}
    (statements,) = transactions(joined(booking.hold_offer, **offered))
    assert check(statements) == ["scheduling_slot"]
    offer = Hold.objects.get()
    (statements,) = transactions(lambda: booking.take_offer(hold_id=offer.pk, owner="me"))
    assert check(statements) == ["scheduling_slot", "scheduling_hold", "scheduling_hold"]


@pytest.mark.parametrize(
    ("verb", "then"),
    [
        (booking.check_in, ["scheduling_visitticket"]),
        (booking.call, ["scheduling_visitticket"]),
        (booking.start, ["scheduling_visitticket"]),
        (booking.complete, []),
        (booking.no_show, []),
    ],
)
def test_the_day(made, receptionist, day_of_visit, verb, then):
    (statements,) = transactions(joined(verb, booking_id=made.pk, by=receptionist))
    assert check(statements) == ["scheduling_slot", "scheduling_booking", *then]
    (statements,) = transactions(joined(booking.undo_status, booking_id=made.pk, by=receptionist))
    assert check(statements)[:2] == ["scheduling_slot", "scheduling_booking"]


def test_no_show_that_came_after_all(hold, patient, receptionist, day_of_visit, laser):
    held = hold(0, "first", laser)
    with transaction.atomic():
        made = booking.confirm_hold(hold_id=held.pk, patient=patient)
        booking.no_show(booking_id=made.pk, by=receptionist)
    run_out(hold(0, "lapsed"))
    (statements,) = transactions(joined(booking.undo_status, booking_id=made.pk, by=receptionist))
    assert check(statements) == ORDER[:4]


def test_walk_in(slots, service, patient, clinic, receptionist, day_of_visit):
    with transaction.atomic():
        walk_in = booking.add_walk_in(clinic=clinic, patient=patient, service=service, by=receptionist)
    made = factories.make_slots(slots[0].practitioner, slots[0].station, factories.tomorrow_at(13), slots=1)
    assert walk_in.visit.number == 1
    found = transactions(lambda: booking.start_walk_in(walk_in_id=walk_in.pk, by=receptionist))
    assert [check(statements) for statements in found] == [
        ["scheduling_slot", "scheduling_sessionticket", "scheduling_sessionticket", "scheduling_walkin"]
    ]
    made[0].refresh_from_db()
    assert made[0].status == "booked"


def test_cancellation(made):
    (statements,) = transactions(
        joined(booking.cancel_booking, booking_id=made.pk, by=None, reason="patient")
    )
    assert check(statements) == ["scheduling_slot", "scheduling_booking"]


def test_block_that_inherits(hold, slots, receptionist):
    run_out(hold(3, "lapsed"))
    (statements,) = transactions(
        joined(inventory.block_slots, slot_ids=[slots[3].pk], reason="repair", by=receptionist)
    )
    assert check(statements) == ["scheduling_slot", "scheduling_hold"]


def test_regeneration(slots, clinic, practitioner, station):
    over = factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, valid_until=dt.date(2024, 1, 31)
    )
    Slot.objects.update(template=over)
    found = [check(statements) for statements in transactions(lambda: inventory.generate(days=3))]
    assert found == [["scheduling_slot"]]
    assert not Slot.objects.exists()
