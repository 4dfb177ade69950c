"""Lock-outs with exponential back-off, in the database and by its clock: they hold without Redis.

A try is counted before it is looked at, in one statement, so that many at once are not looked at for one price.
"""

from dataclasses import dataclass

from django.db import connection
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clinic_booking.accounts.models import DoorLock
from clinic_booking.addresses import household
from clinic_booking.errors import NamedError
from clinic_booking.models import User


class LockedOut(NamedError):
    """Says for how long. The same for accounts that do not exist."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = max(1, seconds)
        self.sentence: str | Promise = _(
            "Too many tries. For your safety this is locked for %(time)s. Then you can try again."
        ) % {"time": _spoken(self.retry_after_seconds)}


@dataclass(frozen=True)
class Limit:
    """The first `free` tries cost nothing; each further one locks for `first_seconds`, doubled each time, at most
    `most_seconds`. Tries are forgotten after `forget_seconds` without one."""

    name: str
    free: int
    first_seconds: int
    most_seconds: int = 3600
    forget_seconds: int = 24 * 3600


ACCOUNT = Limit("account", free=5, first_seconds=30)
PLACE = Limit("place", free=30, first_seconds=30, most_seconds=900)  # a clinic's desk is one address
SECOND = Limit("second", free=5, first_seconds=30)
CODE = Limit("code", free=10, first_seconds=60)  # wrong codes, whichever of several was sent
SEND = Limit("send", free=4, first_seconds=60, forget_seconds=3600)  # codes to one address
SEND_PLACE = Limit("send_place", free=30, first_seconds=60, most_seconds=900, forget_seconds=3600)

TAKE = """
INSERT INTO clinic_booking_doorlock AS d (key, user_id, tries, last_at, locked_until)
VALUES (%(key)s, %(user)s, 1, clock_timestamp(), NULL)
ON CONFLICT (key) DO UPDATE SET
    user_id = COALESCE(excluded.user_id, d.user_id),
    last_at = clock_timestamp(),
    tries = CASE WHEN d.last_at < clock_timestamp() - %(forget)s * interval '1 second' THEN 1 ELSE d.tries + 1 END,
    locked_until = CASE
        WHEN d.last_at < clock_timestamp() - %(forget)s * interval '1 second' OR d.tries + 1 < %(free)s THEN NULL
        ELSE clock_timestamp() + LEAST(%(most)s, %(first)s * power(2, LEAST(d.tries + 1 - %(free)s, 20)))
            * interval '1 second'
    END
WHERE d.locked_until IS NULL OR d.locked_until <= clock_timestamp()
RETURNING locked_until IS NOT NULL
"""


def key_of(limit: Limit, who: str) -> str:
    return f"{limit.name}:{salted_hmac('door', who.strip().lower(), algorithm='sha256').hexdigest()[:40]}"


def take(limit: Limit, who: str, *, user: User | None = None) -> bool:
    """Count a try. True when it is the last one before a lock. Raises LockedOut while there is one."""
    key = key_of(limit, who)
    values: dict[str, str | int | None] = {
        "key": key,
        "user": user.pk if user else None,
        "free": limit.free,
        "first": limit.first_seconds,
        "most": limit.most_seconds,
        "forget": limit.forget_seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        if row := cursor.fetchone():
            return bool(row[0])
    raise LockedOut(seconds_left(key))


def take_place(limit: Limit, request: HttpRequest) -> None:
    take(limit, household(request))


def succeeded(limit: Limit, who: str) -> None:
    DoorLock.objects.filter(key=key_of(limit, who)).delete()


def give_back(limit: Limit, request: HttpRequest) -> None:
    """A right try of the place outweighs one that was wrong: a busy desk is not locked by a month's typing errors."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE clinic_booking_doorlock SET tries = GREATEST(tries - 2, 0), locked_until = NULL WHERE key = %s",
            [key_of(limit, household(request))],
        )


def seconds_left(key: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ceil(extract(epoch FROM locked_until - clock_timestamp()))"
            " FROM clinic_booking_doorlock WHERE key = %s AND locked_until > clock_timestamp()",
            [key],
        )
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def forget() -> None:
    """Tries that count no more. For the daily job."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM clinic_booking_doorlock WHERE last_at < clock_timestamp() - interval '2 days'"
        )


def _spoken(seconds: int) -> str:
    if seconds < 60:
        return ngettext("%(n)s second", "%(n)s seconds", seconds) % {"n": seconds}
    minutes = -(-seconds // 60)
    return ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": minutes}
