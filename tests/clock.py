"""Time passes in the database, whose clock decides."""

import datetime as dt
import math

from django.db import connection, transaction

from scheduling.locks import lock_slots_of_holds
from scheduling.models import Hold


def run_out(hold: Hold) -> None:
    """As if the hold, or the offer, had been made so long ago that its time is over."""
    advance(hold, seconds=math.ceil((hold.expires_at - hold.locked_at).total_seconds()) + 1)


def advance(hold: Hold, *, seconds: int) -> None:
    """As if the hold had been made so much earlier. Locks as the verbs do."""
    passed = f"interval '{seconds} seconds'"
    with transaction.atomic(), connection.cursor() as cursor:
        lock_slots_of_holds(hold.pk)
        cursor.execute(
            f"UPDATE scheduling_hold SET locked_at = locked_at - {passed}, expires_at = expires_at - {passed}"
            " WHERE id = %s",
            [hold.pk],
        )
        cursor.execute(
            f"UPDATE scheduling_slot SET held_until = held_until - {passed} WHERE hold_id = %s", [hold.pk]
        )
        cursor.execute(
            f"UPDATE scheduling_equipmentreservation SET held_until = held_until - {passed} WHERE hold_id = %s",
            [hold.pk],
        )


def on_the_day(monkeypatch, instant: dt.datetime) -> None:
    """For the verbs of the day of a visit it is this instant, in every thread: they refuse what is too early."""
    for module in ("arrivals", "walk_ins"):
        monkeypatch.setattr(f"scheduling.{module}.database_now", lambda: instant)
