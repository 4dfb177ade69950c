"""When slots should exist: templates, exceptions and holidays become slot specifications. Pure."""

import datetime as dt
import zoneinfo
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

MICROSECOND = dt.timedelta(microseconds=1)
Span = tuple[dt.datetime, dt.datetime]
LocalSpan = tuple[dt.timedelta, dt.timedelta]  # both since the local midnight, as clocks on the wall show


class SlotSpec(NamedTuple):
    clinic_id: int
    practitioner_id: int
    station_id: int
    template_id: int | None
    exception_id: int | None
    starts_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A schedule template. Times are those of the clinic's wall clock, weekdays ISO numbers."""

    template_id: int
    clinic_id: int
    practitioner_id: int
    station_id: int
    weekdays: Collection[int]
    starts_at: dt.time
    ends_at: dt.time
    slot_minutes: int
    valid_from: dt.date
    valid_until: dt.date | None = None
    every_n_weeks: int = 1
    breaks: tuple[tuple[dt.time, dt.time], ...] = ()

    def covers(self, day: dt.date) -> bool:
        if day < self.valid_from or (self.valid_until and day > self.valid_until):
            return False
        weeks = (_monday(day) - _monday(self.valid_from)).days // 7
        return day.isoweekday() in self.weekdays and weeks % self.every_n_weeks == 0

    def grid(self) -> list[LocalSpan]:
        """The slots of a day. The grid starts anew after each break; what is left over is dropped."""
        step, cursor, spans = dt.timedelta(minutes=self.slot_minutes), _since_midnight(self.starts_at), []
        end = _since_midnight(self.ends_at)
        pauses = sorted((_since_midnight(a), _since_midnight(b)) for a, b in self.breaks)
        for pause_starts, pause_ends in [*pauses, (end, end)]:
            while cursor + step <= min(pause_starts, end):
                spans.append((cursor, cursor + step))
                cursor += step
            cursor = max(cursor, pause_ends)
        return spans


@dataclass(frozen=True, kw_only=True)
class ExtraHours:
    exception_id: int
    clinic_id: int
    practitioner_id: int
    station_id: int
    slot_minutes: int
    starts_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Absence:
    """Time taken away; None means every practitioner, clinic or station. Extra hours may lie on a holiday."""

    starts_at: dt.datetime
    ends_at: dt.datetime
    practitioner_id: int | None = None
    clinic_id: int | None = None
    station_id: int | None = None
    is_holiday: bool = False

    def concerns(self, work: Hours | ExtraHours) -> bool:
        return (
            self.practitioner_id in (None, work.practitioner_id)
            and self.clinic_id in (None, work.clinic_id)
            and self.station_id in (None, work.station_id)
            and not (self.is_holiday and isinstance(work, ExtraHours))
        )


def slot_specs(
    *,
    zone: zoneinfo.ZoneInfo,
    first: dt.date,
    days: int,
    hours: Iterable[Hours] = (),
    extra_hours: Iterable[ExtraHours] = (),
    absences: Collection[Absence] = (),
    holidays: Collection[dt.date] = frozenset(),
) -> Iterator[SlotSpec]:
    """The slots that should exist on `days` local days from `first`, in UTC, each exactly once.

    A slot that touches an absence is left out and the grid does not shift. Slots of a practitioner may
    overlap where templates or extra hours do: the database refuses the second, `inventory` reports it.
    """
    seen: set[SlotSpec] = set()
    dates = [first + dt.timedelta(n) for n in range(days)]
    workdays = [day for day in dates if day not in holidays]
    for work in hours:
        away = [(a.starts_at, a.ends_at) for a in absences if a.concerns(work)]
        yield from _new(seen, _of_template(work, workdays, zone, away))
    from_, until = _midnight(first, zone), _midnight(first + dt.timedelta(days), zone)
    for extra in extra_hours:
        away = [(a.starts_at, a.ends_at) for a in absences if a.concerns(extra)]
        yield from _new(
            seen, (spec for spec in _of_extra_hours(extra, away) if from_ <= spec.starts_at < until)
        )


def _new(seen: set[SlotSpec], specs: Iterable[SlotSpec]) -> Iterator[SlotSpec]:
    """Without those that two sources make alike."""
    for spec in specs:
        key = spec._replace(template_id=None, exception_id=None)
        if key not in seen:
            seen.add(key)
            yield spec


def _of_template(
    work: Hours, days: Iterable[dt.date], zone: zoneinfo.ZoneInfo, away: Collection[Span]
) -> Iterator[SlotSpec]:
    grid = work.grid()
    for day in days:
        if not work.covers(day):
            continue
        spans = _instants(day, grid, zone)
        busy = [span for span in away if spans and _overlap(span, (spans[0][0], spans[-1][1]))]
        for span in spans:
            if not any(_overlap(span, other) for other in busy):
                yield SlotSpec(
                    work.clinic_id, work.practitioner_id, work.station_id, work.template_id, None, *span
                )


def _of_extra_hours(extra: ExtraHours, away: Collection[Span]) -> Iterator[SlotSpec]:
    step = dt.timedelta(minutes=extra.slot_minutes)
    starts_at, end = extra.starts_at.astimezone(dt.UTC), extra.ends_at.astimezone(dt.UTC)
    while starts_at + step <= end:
        span = (starts_at, starts_at + step)
        if not any(_overlap(span, other) for other in away):
            yield SlotSpec(
                extra.clinic_id, extra.practitioner_id, extra.station_id, None, extra.exception_id, *span
            )
        starts_at += step


def _instants(day: dt.date, grid: list[LocalSpan], zone: zoneinfo.ZoneInfo) -> list[Span]:
    midnight = _midnight(day, zone)
    naive_midnight = dt.datetime.combine(day, dt.time())
    next_midnight = naive_midnight + dt.timedelta(days=1)
    if zone.utcoffset(naive_midnight) == zone.utcoffset(next_midnight):
        return [(midnight + start, midnight + end) for start, end in grid]
    found = (_instants_across_a_change(naive_midnight, start, end, zone) for start, end in grid)
    return [span for span in found if span]


def _instants_across_a_change(
    midnight: dt.datetime, start: dt.timedelta, end: dt.timedelta, zone: zoneinfo.ZoneInfo
) -> Span | None:
    """None where the wall clock does not run through the whole slot: it would lie in, or span, the change.

    Of an hour that comes twice the first is meant, so nothing is made twice.
    """
    starts_at = (midnight + start).replace(tzinfo=zone).astimezone(dt.UTC)
    ends_at = starts_at + (end - start)
    first, last = starts_at.astimezone(zone), (ends_at - MICROSECOND).astimezone(zone)
    shown = (first.replace(tzinfo=None, fold=0), last.replace(tzinfo=None, fold=0))
    return (starts_at, ends_at) if shown == (midnight + start, midnight + end - MICROSECOND) else None


def _midnight(day: dt.date, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _monday(day: dt.date) -> dt.date:
    return day - dt.timedelta(days=day.weekday())


def _since_midnight(time: dt.time) -> dt.timedelta:
    return dt.datetime.combine(dt.date.min, time) - dt.datetime.combine(dt.date.min, dt.time())


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]
