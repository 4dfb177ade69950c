"""Time passes in the database, whose clock decides."""

from django.db import connection, transaction

from scheduling.models import Hold

PASSED = "interval '301 seconds'"


def run_out(hold: Hold) -> None:
    """As if the hold had been made so long ago that its 300 seconds are over."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE scheduling_hold SET locked_at = locked_at - {PASSED}, expires_at = expires_at - {PASSED}"
            " WHERE id = %s",
            [hold.pk],
        )
        cursor.execute(
            f"UPDATE scheduling_slot SET held_until = held_until - {PASSED} WHERE hold_id = %s", [hold.pk]
        )
