"""Every verb on supply: make slots from the plans of the coming days, block and unblock them."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import holidays
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling import live
from scheduling.availability import Absence, ExtraHours, Hours, SlotSpec, slot_specs
from scheduling.errors import SlotGone, SlotTaken
from scheduling.locks import OUTSIDE_HOURS, database_now, end_run_out, lock_slots
from scheduling.models import (
    Clinic,
    Practitioner,
    ScheduleException,
    ScheduleTemplate,
    Slot,
    TemplateBreak,
)

MAX_DAYS = 400
BATCH_DAYS = 30
BATCH_PRACTITIONERS = 20
GENERATE_LOCK = 4110001  # key of the advisory lock; any number nobody else uses
Progress = Callable[[int, int, str], None]


class UnknownCountry(NamedError):
    status = 422
    sentence = _("No public holidays are known for the country code of this clinic.")


@dataclass(frozen=True)
class Conflict:
    """`kept`: a claimed or blocked slot outside the plan. `blocked`: a planned slot that `state` slots overlap."""

    kind: str
    clinic: str
    practitioner: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    state: str

    def __str__(self) -> str:
        if self.kind == "kept":
            return f"kept: {self.state}, outside the template now"
        return f"not added: a slot that is {self.state} overlaps"


@dataclass
class Report:
    """`kept` and `blocked` count the conflicts of that kind, `unchanged` the slots that were right already."""

    added: int = 0
    removed: int = 0
    unchanged: int = 0
    kept: int = 0
    blocked: int = 0
    conflicts: list[Conflict] = field(default_factory=list)

    def include(self, other: "Report") -> None:
        for name in ("added", "removed", "unchanged", "kept", "blocked"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.conflicts += other.conflicts

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Batch:
    """Some practitioners of a clinic over some days: one transaction."""

    clinic: Clinic
    practitioners: dict[int, str]
    first: dt.date
    days: int


def generate(
    *,
    days: int,
    clinics: Sequence[Clinic] | None = None,
    first: dt.date | None = None,
    dry_run: bool = False,
    progress: Progress = lambda done, total, what: None,
) -> Report:
    """Make the slots of `days` days what the plans want: add the missing, remove the free future ones they want no more.

    Each batch is a transaction, so the next run continues an interrupted one. Slots that are booked, held or blocked
    stay as they are, and so do those without a template or extra hours: nobody planned them.
    """
    if clinics is None:
        clinics = list(Clinic.objects.filter(is_active=True).order_by("pk"))
    batches = [batch for clinic in clinics for batch in _batches(clinic, first or clinic.today(), days)]
    report = Report()
    for number, batch in enumerate(batches, 1):
        report.include(_write(batch, dry_run=dry_run))
        progress(number, len(batches), batch.clinic.name)
    return report


def take_turns() -> None:
    """Until the transaction ends nobody else writes slots. Whoever locks slots before `regenerate` calls this first."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({GENERATE_LOCK})")


def regenerate(
    *, clinic: Clinic, practitioners: Collection[int] | None, first: dt.date, days: int
) -> tuple[Report, list[SlotSpec]]:
    """The same for some practitioners (None: all) of a clinic, at once, and what the plans want there now.

    Joins the caller's transaction, which holds the locks of the future slots concerned.
    """
    take_turns()
    report, planned = Report(), []
    for batch in _batches(clinic, first, days, practitioners):
        specs = list(wanted(batch))
        with connection.cursor() as cursor:
            report.include(_bring_to_plan(cursor, batch, specs))
        planned += specs
    return report, planned


def planned_on(
    *, clinic: Clinic, practitioners: Collection[int] | None, first: dt.date, days: int
) -> list[SlotSpec]:
    """What the plans want there, whatever the slots are."""
    return [spec for batch in _batches(clinic, first, days, practitioners) for spec in wanted(batch)]


def _batches(
    clinic: Clinic, first: dt.date, days: int, only: Collection[int] | None = None
) -> Iterator[Batch]:
    from_, until = clinic.day_bounds(first, days)
    concerned = Practitioner.objects.filter(
        Q(pk__in=clinic.templates.values("practitioner"))
        | Q(pk__in=clinic.exceptions.values("practitioner"))
        | Q(pk__in=clinic.slots.filter(starts_at__gte=from_, starts_at__lt=until).values("practitioner"))
    )
    if only is not None:
        concerned = concerned.filter(pk__in=only)
    names = list(concerned.order_by("pk").values_list("pk", "name"))
    for n in range(0, len(names), BATCH_PRACTITIONERS):
        for offset in range(0, days, BATCH_DAYS):
            start = first + dt.timedelta(offset)
            yield Batch(
                clinic, dict(names[n : n + BATCH_PRACTITIONERS]), start, min(BATCH_DAYS, days - offset)
            )


def wanted(batch: Batch) -> Iterator[SlotSpec]:
    clinic = batch.clinic
    from_, until = clinic.day_bounds(batch.first, batch.days)
    working = Q(practitioner__in=list(batch.practitioners), practitioner__is_active=True)
    templates = clinic.templates.filter(working).order_by("pk").prefetch_related("breaks")
    exceptions = list(
        ScheduleException.objects.filter(
            Q(clinic=clinic) | Q(clinic=None), starts_at__lt=until, ends_at__gt=from_, withdrawn_at=None
        ).order_by("pk")
    )
    extra = ScheduleException.objects.filter(
        working, kind=ScheduleException.Kind.EXTRA_HOURS, pk__in=[e.pk for e in exceptions]
    )
    return slot_specs(
        zone=clinic.zone,
        first=batch.first,
        days=batch.days,
        hours=[hours_of(template) for template in templates],
        extra_hours=[_extra_hours(exception) for exception in extra.order_by("pk")],
        absences=[_absence(e) for e in exceptions if e.kind != ScheduleException.Kind.EXTRA_HOURS],
        holidays=public_holidays(clinic, batch.first, batch.days),
    )


def hours_of(template: ScheduleTemplate, breaks: Iterable[TemplateBreak] | None = None) -> Hours:
    """With other breaks than those stored, where they are just being written."""
    pauses = template.breaks.all() if breaks is None else breaks
    return Hours(
        template_id=template.pk,
        clinic_id=template.clinic_id,
        practitioner_id=template.practitioner_id,
        station_id=template.station_id,
        weekdays=template.weekdays,
        starts_at=template.starts_at,
        ends_at=template.ends_at,
        slot_minutes=template.slot_minutes,
        valid_from=template.valid_from,
        valid_until=template.valid_until,
        every_n_weeks=template.every_n_weeks,
        breaks=tuple((pause.starts_at, pause.ends_at) for pause in pauses),
    )


def _extra_hours(exception: ScheduleException) -> ExtraHours:
    """The constraint `exception_names_who_and_where` says that all three are set."""
    return ExtraHours(
        exception_id=exception.pk,
        clinic_id=cast(int, exception.clinic_id),
        practitioner_id=cast(int, exception.practitioner_id),
        station_id=cast(int, exception.station_id),
        slot_minutes=exception.slot_minutes,
        starts_at=exception.starts_at,
        ends_at=exception.ends_at,
    )


def _absence(exception: ScheduleException) -> Absence:
    return Absence(
        starts_at=exception.starts_at,
        ends_at=exception.ends_at,
        practitioner_id=exception.practitioner_id,
        clinic_id=exception.clinic_id,
        station_id=exception.station_id,
        is_holiday=exception.kind == ScheduleException.Kind.PUBLIC_HOLIDAY,
    )


def public_holidays(clinic: Clinic, first: dt.date, days: int) -> Collection[dt.date]:
    years = range(first.year, (first + dt.timedelta(days)).year + 1)
    try:
        return set(holidays.country_holidays(clinic.country, years=years))
    except NotImplementedError as error:
        raise UnknownCountry from error


# -- Writing: all in SQL, on a temporary table of what is wanted ---------------------------------

COLUMNS = "clinic_id, practitioner_id, station_id, template_id, exception_id, starts_at, ends_at"

TAKE_TIME = "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '120s'"

PREPARE = """
CREATE TEMP TABLE IF NOT EXISTS wanted_slot (clinic_id bigint, practitioner_id bigint, station_id bigint,
    template_id bigint, exception_id bigint, starts_at timestamptz, ends_at timestamptz) ON COMMIT DELETE ROWS;
GRANT ALL ON wanted_slot TO clinic_app;
TRUNCATE wanted_slot
"""

SAME = """(s.practitioner_id, s.starts_at, s.ends_at, s.station_id, s.clinic_id)
    = (w.practitioner_id, w.starts_at, w.ends_at, w.station_id, w.clinic_id)"""

FREE = f"""s.booking_id IS NULL AND (NOT s.is_blocked OR s.block_reason = '{OUTSIDE_HOURS}')
    AND (s.held_until IS NULL OR s.held_until <= clock_timestamp())"""

# Locked in pk order, as the booking verbs do. Whether they are claimed is looked at after the lock.
LOCK_OUTDATED = f"""
SELECT s.id FROM scheduling_slot s LEFT JOIN wanted_slot w ON {SAME}
WHERE s.clinic_id = %(clinic)s AND s.practitioner_id = ANY(%(practitioners)s)
    AND s.starts_at >= %(from)s AND s.starts_at < %(until)s AND s.starts_at > clock_timestamp()
    AND CASE WHEN w.clinic_id IS NULL THEN s.template_id IS NOT NULL OR s.exception_id IS NOT NULL
        ELSE (s.template_id, s.exception_id) IS DISTINCT FROM (w.template_id, w.exception_id) END
ORDER BY s.id FOR UPDATE OF s
"""  # noqa: S608

# Same time and place, wanted by another template now.
ADOPT = f"""
UPDATE scheduling_slot s SET template_id = w.template_id, exception_id = w.exception_id
FROM wanted_slot w WHERE s.id = ANY(%(ids)s) AND {SAME} AND {FREE}
"""  # noqa: S608

REMOVE = f"""
DELETE FROM scheduling_slot s WHERE s.id = ANY(%(ids)s) AND {FREE}
    AND NOT EXISTS (SELECT FROM wanted_slot w WHERE {SAME})
"""  # noqa: S608

KEPT = f"""
SELECT s.practitioner_id, s.starts_at, s.ends_at,
    CASE WHEN s.held_until > clock_timestamp() THEN 'held' ELSE s.status END
FROM scheduling_slot s WHERE s.id = ANY(%(ids)s) AND NOT EXISTS (SELECT FROM wanted_slot w WHERE {SAME})
ORDER BY s.starts_at, s.id
"""  # noqa: S608

FORGET_PRESENT = f"DELETE FROM wanted_slot w USING scheduling_slot s WHERE {SAME}"  # noqa: S608

ADD = f"""
INSERT INTO scheduling_slot ({COLUMNS}, is_blocked, block_reason)
SELECT {COLUMNS}, false, '' FROM wanted_slot ORDER BY practitioner_id, starts_at
"""  # noqa: S608

# A slot is at most four hours long, so what overlaps starts in a range that the indexes find.
BLOCKED = f"""
SELECT w.practitioner_id, w.starts_at, w.ends_at, o.state
FROM wanted_slot w CROSS JOIN LATERAL (
    SELECT CASE WHEN o.held_until > clock_timestamp() THEN 'held' ELSE o.status END AS state FROM (
        SELECT * FROM scheduling_slot p WHERE p.practitioner_id = w.practitioner_id
            AND p.starts_at > w.starts_at - interval '4 hours' AND p.starts_at < w.ends_at
        UNION ALL
        SELECT * FROM scheduling_slot t WHERE t.clinic_id = w.clinic_id AND t.station_id = w.station_id
            AND t.starts_at > w.starts_at - interval '4 hours' AND t.starts_at < w.ends_at) o
    WHERE o.ends_at > w.starts_at ORDER BY o.booking_id IS NULL, o.starts_at, o.id LIMIT 1) o
WHERE w.starts_at > clock_timestamp() AND NOT EXISTS (SELECT FROM scheduling_slot s WHERE {SAME})
ORDER BY w.starts_at, w.practitioner_id
"""  # noqa: S608


def _write(batch: Batch, *, dry_run: bool) -> Report:
    """One batch in one transaction. Only one run writes at a time, so that two cannot deadlock.

    The plans are read in turn as well: those of before the wait may have been changed by whoever wrote meanwhile.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        for statement in TAKE_TIME.split(";"):
            cursor.execute(statement)
        take_turns()
        report = _bring_to_plan(cursor, batch, list(wanted(batch)))
        transaction.set_rollback(dry_run)
    return report


def _bring_to_plan(cursor: CursorWrapper, batch: Batch, specs: list[SlotSpec]) -> Report:
    from_, until = batch.clinic.day_bounds(batch.first, batch.days)
    params: dict[str, Any] = {"clinic": batch.clinic.pk, "practitioners": list(batch.practitioners)}
    report = Report()
    _prepare(cursor, specs)
    cursor.execute(LOCK_OUTDATED, params | {"from": from_, "until": until})
    if ids := [row[0] for row in cursor.fetchall()]:
        cursor.execute(ADOPT, {"ids": ids})
        cursor.execute(REMOVE, {"ids": ids})
        report.removed = cursor.rowcount
        cursor.execute(KEPT, {"ids": ids})
        report.conflicts += _conflicts("kept", batch, cursor)
    report.kept = len(report.conflicts)
    cursor.execute(FORGET_PRESENT)
    report.unchanged = cursor.rowcount
    report.added = _add(cursor)
    if report.added + report.unchanged < len(specs):
        cursor.execute(BLOCKED)
        report.conflicts += _conflicts("blocked", batch, cursor)
    report.blocked = len(report.conflicts) - report.kept
    if report.added:
        span = {"first": batch.first.isoformat(), "days": batch.days, "added": report.added}
        publish("supply.added", f"clinic:{batch.clinic.pk}", span, clinic_id=batch.clinic.pk)
    return report


def _add(cursor: CursorWrapper) -> int:
    """Mostly nothing is in the way. ON CONFLICT looks into each index twice, which costs a third more."""
    try:
        with transaction.atomic():
            cursor.execute(ADD)
    except IntegrityError:
        cursor.execute(ADD + "ON CONFLICT DO NOTHING")
    added: int = cursor.rowcount
    return added


def _prepare(cursor: CursorWrapper, specs: list[SlotSpec]) -> None:
    for statement in PREPARE.split(";"):
        cursor.execute(statement)
    with cursor.copy(f"COPY wanted_slot ({COLUMNS}) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int8"] * 5 + ["timestamptz"] * 2)
        for spec in specs:
            copy.write_row(spec)
    cursor.execute("ANALYZE wanted_slot")


def _conflicts(kind: str, batch: Batch, cursor: CursorWrapper) -> list[Conflict]:
    return [
        Conflict(kind, batch.clinic.slug, batch.practitioners[practitioner_id], starts_at, ends_at, state)
        for practitioner_id, starts_at, ends_at, state in cursor.fetchall()
    ]


# -- Blocking ------------------------------------------------------------------------------------


def block_slots(*, slot_ids: Collection[int], reason: str, by: User) -> list[Slot]:
    """Take the slots out of booking: all of them or none. Joins the caller's transaction (locks the slots).

    Raises SlotGone, SlotTaken where one is booked or held.
    """
    slots = _lock(slot_ids)
    now = database_now()
    if any(slot.booking_id or (slot.held_until and slot.held_until > now) for slot in slots):
        raise SlotTaken
    closed = _set(slots, "blocked", by, is_blocked=True, block_reason=reason, hold=None, held_until=None)
    end_run_out({slot.hold_id for slot in slots if slot.hold_id})
    return closed


def unblock_slots(*, slot_ids: Collection[int], by: User) -> list[Slot]:
    """Open those of the slots that are blocked. Joins the caller's transaction (locks the slots). Raises SlotGone."""
    slots = [slot for slot in _lock(slot_ids) if slot.is_blocked]
    return _set(slots, "available", by, is_blocked=False, block_reason="")


def _lock(slot_ids: Collection[int]) -> list[Slot]:
    slots = lock_slots("SELECT unnest(%(ids)s::bigint[])", {"ids": list(slot_ids)})
    if len(slots) != len(set(slot_ids)):
        raise SlotGone
    return slots


def _set(slots: list[Slot], status: str, by: User, **values: Any) -> list[Slot]:
    ids = [slot.pk for slot in slots]
    Slot.objects.filter(pk__in=ids).update(**values)
    changed = list(Slot.objects.filter(pk__in=ids).select_related("clinic").order_by("pk"))
    live.announce(
        (s.clinic_id, s.clinic.local_date(s.starts_at), s.pk, s.version, status, None) for s in changed
    )
    for clinic_id in sorted({slot.clinic_id for slot in changed}):
        data = {
            "slots": [slot.pk for slot in changed if slot.clinic_id == clinic_id],
            "status": status,
            "by": by.pk,
        }
        publish("slots.changed", f"clinic:{clinic_id}", data, clinic_id=clinic_id)
    return changed
