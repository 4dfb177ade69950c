"""How many events there were, by topic and clinic: each is counted once and the sum carried forward.

What a scrape still has to count is what came since the last run of `carry_forward`, so it is never behind.
"""

from collections import Counter

from django.db import connection, transaction
from django.db.models.functions import Now

from clinic_booking import stream
from clinic_booking.models import Reader

READER = "counts"
Counts = Counter[tuple[str, int | None]]

ADD = """
INSERT INTO clinic_booking_eventcount AS known (topic, clinic_id, n)
SELECT topic, clinic_id, count(*) FROM clinic_booking_event
WHERE (xact, id) > (%s, %s) AND xact < %s GROUP BY topic, clinic_id
ON CONFLICT (topic, clinic_id) DO UPDATE SET n = known.n + excluded.n
"""
# The place and what was counted up to there, of one moment.
CARRIED = """
SELECT r.xact, r.event_id, c.topic, c.clinic_id, c.n
FROM clinic_booking_reader r LEFT JOIN clinic_booking_eventcount c ON true WHERE r.name = %s
"""
SINCE = """
SELECT topic, clinic_id, count(*) FROM clinic_booking_event WHERE (xact, id) > (%s, %s) GROUP BY topic, clinic_id
"""


def carry_forward() -> None:
    """Of two at once one moves the place and counts; the other finds it moved. Raises stream.Restored."""
    with transaction.atomic(durable=True):
        end = stream.horizon()
        reader, _made = Reader.objects.get_or_create(name=READER)
        place = stream.Place(reader.xact, reader.event_id)
        unmoved = Reader.objects.filter(name=READER, xact=place.xact, event_id=place.event_id)
        if end > place and unmoved.update(**end._asdict(), updated_at=Now()):
            with connection.cursor() as cursor:
                cursor.execute(ADD, [*place, end.xact])


def totals() -> Counts:
    found: Counts = Counter()
    place: tuple[int, int] = stream.START
    with connection.cursor() as cursor:
        cursor.execute(CARRIED, [READER])
        for xact, event_id, topic, clinic_id, n in cursor.fetchall():
            place = xact, event_id
            if topic:
                found[topic, clinic_id] += n
        cursor.execute(SINCE, place)
        for topic, clinic_id, n in cursor.fetchall():
            found[topic, clinic_id] += n
    return found
