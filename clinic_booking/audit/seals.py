"""The chain of seals over both trails (docs/adr/0020): a job seals what was committed since, in the order of the
transactions (docs/adr/0012), so that no writer waits for another. Each seal has a keyed hash of each of its rows and of
the seal before it; a closing seal ends each day. Without the key, which is not in the database, none can be made.
"""

import datetime as dt
import hashlib
import hmac
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from clinic_booking import stream
from clinic_booking.models import AuditSeal

BATCH = 1000
Kind = AuditSeal.Kind
MOST = 2**62
TRIES = 3
Span = tuple[int, int]  # microseconds, until before the second
PACKED = struct.Struct(">qq16s")  # id, microseconds of its time, keyed hash

MICROSECONDS = "(extract(epoch FROM created_at) * 1000000)::bigint"
COMMON = f"id, {MICROSECONDS}, xact, patient_id, clinic_id, actor_id, via, request_id, host(ip)"
COLUMNS = {
    Kind.EVENTS: f"{COMMON}, action, subject, patients, role, fields, reason, count, NULL",
    Kind.CHANGES: f"{COMMON}, table_name, row_id, operation, fields, encode(digest, 'hex'), NULL, NULL,"
    " kept IS NOT NULL AND digest IS DISTINCT FROM sha256(salt || convert_to(kept::text, 'UTF8'))",
}
TABLES = {Kind.EVENTS: "clinic_booking_auditevent", Kind.CHANGES: "clinic_booking_auditchange"}


class Damage(NamedTuple):
    what: str  # changed, deleted, inserted, moved, values, seal, gap, day, unsealed
    where: str


class Place(NamedTuple):
    """`base`: only rows with a larger id belong to this count of transactions (a restore begins another)."""

    base: int = 0
    xact: int = 0
    row_id: int = 0


# -- Making --------------------------------------------------------------------------------------


def seal() -> int:
    """Seal all that is certain; returns how many rows. Of two at once one gives up: the number of a seal is taken."""
    done = 0
    try:
        _close_days()
        for kind in TABLES:
            while n := _seal_some(kind):
                done += n
    except IntegrityError:
        pass
    return done


def _close_days() -> None:
    today = timezone.localdate()
    while (last := AuditSeal.objects.last()) and (day := _to_close(last)) < today:
        count = sum(AuditSeal.objects.filter(day=day).values_list("count", flat=True))
        _write(Kind.CLOSING, day=day, place=Place(), payload=json.dumps({"rows": count}))


def _to_close(last: AuditSeal) -> dt.date:
    return last.day + dt.timedelta(last.kind == Kind.CLOSING)


def _seal_some(kind: str) -> int:
    after = last_place(kind)
    rows = list(_rows(kind, after, until=stream.horizon().xact))
    if rows:
        key = keys()[0]
        packed = b"".join(PACKED.pack(row[0], row[1], _row_mac(key, kind, row)) for row in rows)
        place = Place(after.base, rows[-1][2], rows[-1][0])
        _write(kind, day=timezone.localdate(), place=place, rows=packed, count=len(rows))
    return len(rows) if len(rows) == BATCH else 0


def last_place(kind: str) -> Place:
    last = AuditSeal.objects.filter(kind=kind).last()
    return Place(last.base_id, last.until_xact, last.until_id) if last else Place()


def _write(
    kind: str, *, day: dt.date, place: Place, rows: bytes = b"", count: int = 0, payload: str = ""
) -> AuditSeal:
    with transaction.atomic():
        last = AuditSeal.objects.last()
        made = AuditSeal(
            number=last.number + 1 if last else 1,
            kind=kind,
            day=day,
            base_id=place.base,
            until_xact=place.xact,
            until_id=place.row_id,
            count=count,
            rows=rows,
            payload=payload,
            previous=bytes(last.mac) if last else b"",
            key_id=_key_id(keys()[0]),
        )
        made.mac = _seal_mac(keys()[0], made)
        made.save(force_insert=True)
    return made


def dropped(since: dt.datetime, until: dt.datetime, table: str, *, rule: str, rows: int) -> None:
    """What is of this time was taken away by the rule of retention: its absence is no damage."""
    said = {"from": since.isoformat(), "until": until.isoformat(), "table": table, "rule": rule, "rows": rows}
    for _other_sealer in range(TRIES - 1):
        with suppress(IntegrityError):
            _write(Kind.DROPPED, day=timezone.localdate(), place=Place(), payload=json.dumps(said))
            return
    _write(Kind.DROPPED, day=timezone.localdate(), place=Place(), payload=json.dumps(said))


def restored() -> None:
    """After a restore from a dump transactions are numbered anew: seal what is there, then begin another count."""
    for kind, table in TABLES.items():
        while rows := list(_rows(kind, after := last_place(kind), until=MOST)):
            key = keys()[0]
            packed = b"".join(PACKED.pack(row[0], row[1], _row_mac(key, kind, row)) for row in rows)
            place = Place(after.base, rows[-1][2], rows[-1][0])
            _write(kind, day=timezone.localdate(), place=place, rows=packed, count=len(rows))
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608
            base = cursor.fetchone()[0]
        _write(kind, day=timezone.localdate(), place=Place(base), payload='{"restored": true}')


# -- Hashes --------------------------------------------------------------------------------------


def keys() -> list[bytes]:
    """The first seals, the others only prove what they sealed."""
    return [key.encode() for key in settings.AUDIT_KEYS]


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"audit key" + key).hexdigest()[:12]


def _row_mac(key: bytes, kind: str, row: tuple[Any, ...]) -> bytes:
    text = json.dumps([kind, *row[:-1]], separators=(",", ":"), ensure_ascii=False)
    return hmac.digest(key, text.encode(), "sha256")[:16]


def _seal_mac(key: bytes, seal: AuditSeal) -> bytes:
    said = [seal.number, seal.kind, str(seal.day), seal.base_id, seal.until_xact, seal.until_id, seal.count]
    head = json.dumps([*said, seal.payload, seal.key_id]).encode()
    return hmac.digest(key, bytes(seal.previous) + head + b"\0" + bytes(seal.rows), "sha256")


def _rows(kind: str, after: Place, *, until: int, upto: Place | None = None) -> Iterator[tuple[Any, ...]]:
    limit = "AND (xact, id) <= (%(to_xact)s::bigint, %(to_id)s::bigint)" if upto else f"LIMIT {BATCH}"
    order = "ORDER BY xact, id "
    query = (
        f"SELECT {COLUMNS[Kind(kind)]} FROM {TABLES[Kind(kind)]} "  # noqa: S608
        "WHERE id > %(base)s::bigint AND id <= %(last)s::bigint "
        "AND (xact, id) > (%(xact)s::bigint, %(id)s::bigint) AND xact < %(until)s::bigint "
        + (f"{limit} {order}" if upto else f"{order}{limit}")
    )
    values = {
        "base": after.base,
        "last": _next_base(kind, after.base) if upto else MOST,
        "xact": after.xact,
        "id": after.row_id,
        "until": until,
    }
    if upto:
        values |= {"to_xact": upto.xact, "to_id": upto.row_id}
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return iter(cursor.fetchall())


def _next_base(kind: str, base: int) -> int:
    """Rows with larger ids are of a later count of transactions."""
    later = AuditSeal.objects.filter(kind=kind, base_id__gt=base).values_list("base_id", flat=True)
    return later.first() or MOST


# -- Proving -------------------------------------------------------------------------------------


def verify(
    *, day: dt.date | None = None, tell: Callable[[int, int], None] = lambda done, of: None
) -> Iterator[Damage]:
    """Every damage found, the whole chain or the seals of a day. `tell` hears how many seals are done."""
    before: AuditSeal | None = None
    places: dict[str, Place] = {}
    gone = _dropped()
    numbers = AuditSeal.objects.values_list("pk", flat=True)
    total = len(numbers)
    for n, number in enumerate(list(numbers), 1):
        seal = AuditSeal.objects.get(pk=number)
        wanted = day is None or seal.day == day
        if wanted:
            yield from _check_seal(seal, before)
        if seal.kind in TABLES:
            upto = Place(seal.base_id, seal.until_xact, seal.until_id)
            after = places.get(seal.kind, Place())
            if wanted and seal.count:
                yield from _check_rows(seal, after, upto, gone)
            places[seal.kind] = upto
        before = seal
        tell(n, total)
    yield from _check_days(day)
    if day is None:
        yield from _check_unsealed(places)


def _check_seal(seal: AuditSeal, before: AuditSeal | None) -> Iterator[Damage]:
    where = f"seal {seal.number} of {seal.day}"
    expected = before.number + 1 if before else 1
    if seal.number != expected:
        yield Damage("gap", f"seals {expected} to {seal.number - 1} before {where} are missing")
    elif bytes(seal.previous) != (bytes(before.mac) if before else b""):
        yield Damage("seal", f"{where} does not follow the seal before it")
    known = [key for key in keys() if _key_id(key) == seal.key_id]
    if not known:
        yield Damage("seal", f"{where} was made with a key that is not in AUDIT_KEYS")
    elif not hmac.compare_digest(_seal_mac(known[0], seal), bytes(seal.mac)):
        yield Damage("seal", f"{where} was changed")


def _check_rows(seal: AuditSeal, after: Place, upto: Place, gone: dict[str, list[Span]]) -> Iterator[Damage]:
    table = TABLES[Kind(seal.kind)]
    where = f"seal {seal.number} of {seal.day}"
    key = next((key for key in keys() if _key_id(key) == seal.key_id), keys()[0])
    sealed = {row_id: (at, mac) for row_id, at, mac in PACKED.iter_unpack(bytes(seal.rows))}
    found = {row[0]: row for row in _rows(seal.kind, after, until=MOST, upto=upto)}
    order = list(sealed)
    for row_id, row in found.items():
        if row_id not in sealed:
            yield Damage("inserted", f"{table} {row_id}, {where}")
        elif not hmac.compare_digest(_row_mac(key, seal.kind, row), sealed[row_id][1]):
            yield Damage("changed", f"{table} {row_id}, {where}")
        elif row[-1]:
            yield Damage("values", f"{table} {row_id}, {where}: what was kept is not what was hashed")
    missing = [pk for pk in order if pk not in found and not _is_in(sealed[pk][0], gone.get(table, []))]
    elsewhere = _present(table, missing)
    for row_id in missing:
        what = "moved" if row_id in elsewhere else "deleted"
        yield Damage(what, f"{table} {row_id}, {where}")
    if (there := [pk for pk in found if pk in sealed]) != [pk for pk in order if pk in found]:
        first = next(a for a, b in zip(there, (pk for pk in order if pk in found), strict=True) if a != b)
        yield Damage("moved", f"{table} {first}, {where}: not in the order of the seal")


def _present(table: str, ids: Iterable[int]) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {table} WHERE id = ANY(%s)", [list(ids)])  # noqa: S608
        return {pk for (pk,) in cursor.fetchall()}


def _dropped() -> dict[str, list[Span]]:
    """By table; only what a sound seal says. Older seals said no beginning."""
    found: dict[str, list[Span]] = {}
    for seal in AuditSeal.objects.filter(kind=Kind.DROPPED):
        if any(hmac.compare_digest(_seal_mac(key, seal), bytes(seal.mac)) for key in keys()):
            said = json.loads(seal.payload)
            span = (_microseconds(said["from"]) if "from" in said else 0, _microseconds(said["until"]))
            found.setdefault(said["table"], []).append(span)
    return found


def _microseconds(instant: str) -> int:
    return round(dt.datetime.fromisoformat(instant).timestamp() * 1_000_000)


def _is_in(instant: int, spans: list[Span]) -> bool:
    return any(first <= instant < until for first, until in spans)


def _check_days(only: dt.date | None) -> Iterator[Damage]:
    days = list(AuditSeal.objects.filter(kind=Kind.CLOSING).values_list("day", flat=True))
    first, last = AuditSeal.objects.first(), AuditSeal.objects.last()
    if first is None or last is None:
        if only:
            yield Damage("day", f"{only} has no seal")
        return
    end = last.day + dt.timedelta(last.kind == Kind.CLOSING)
    for n in range((end - first.day).days):
        each = first.day + dt.timedelta(n)
        if each not in days and only in (None, each):
            yield Damage("day", f"{each} was not closed, or its closing seal is missing")
    if only and not first.day <= only <= last.day:
        yield Damage("day", f"{only} has no seal")


UNSEALED_AFTER = dt.timedelta(minutes=30)


def _check_unsealed(places: dict[str, Place]) -> Iterator[Damage]:
    """Certain for a while, and not sealed: the worker does not run, or somebody wrote a row of another time."""
    for kind, table in TABLES.items():
        after = places.get(kind, Place())
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*), min(id) FROM {table} WHERE id > %s AND (xact, id) > (%s::bigint, %s::bigint) "  # noqa: S608
                "AND created_at < %s",
                [after.base, after.xact, after.row_id, timezone.now() - UNSEALED_AFTER],
            )
            count, first = cursor.fetchone()
        if count:
            yield Damage("unsealed", f"{table}: {count} rows from {first} on")


def last_closing() -> AuditSeal | None:
    return AuditSeal.objects.filter(kind=Kind.CLOSING).last()
