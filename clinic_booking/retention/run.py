"""Doing what the rules say, batch by batch: each is a transaction with its certificate and its line in the list of
deletions, so that a run that was cut off goes on where it ended, and what is done is done once."""

import datetime as dt
import hashlib
import hmac
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from clinic_booking import audit
from clinic_booking.retention import deletions
from clinic_booking.retention.models import ErasureCertificate, RetentionRule, ReviewedErasure
from clinic_booking.retention.registry import Cleaner, Pk, cleaners
from clinic_booking.retention.rules import cutoff, rules_in_force

logger = logging.getLogger(__name__)
BATCH = 200
Progress = Callable[[str], None]


@dataclass
class Outcome:
    """Of one class and kind of record. `left` could not be done, `blocked` wait for something, `to_review` for a
    person."""

    data_class: str
    subject: str
    version: int
    due: int
    blocked: int
    to_review: int
    done: int = 0
    left: int = 0
    rows: Counter[str] = field(default_factory=Counter)


def run(
    *,
    data_class: str = "",
    as_of: dt.date | None = None,
    dry_run: bool = False,
    batch: int = BATCH,
    operator: str,
    tell: Progress = lambda _line: None,
) -> list[Outcome]:
    """Counts first; a dry run ends there. Raises `deletions.NotWritable` before anything is touched."""
    day = as_of or timezone.localdate()
    rules = {rule.data_class: rule for rule in rules_in_force()}
    counted = [(each, _count(each, rules[each.data_class], day)) for each in cleaners(data_class)]
    for _cleaner, outcome in counted:
        tell(f"{outcome.data_class} ({outcome.subject}): {outcome.due} due, {outcome.blocked} blocked")
    if dry_run:
        return [outcome for _cleaner, outcome in counted]
    deletions.check_writable()
    this_run = uuid.uuid4()
    for cleaner, outcome in counted:
        if outcome.due:
            _clean(cleaner, rules[cleaner.data_class], day, outcome, _Run(this_run, batch, operator, tell))
    return [outcome for _cleaner, outcome in counted]


def rows_due(cleaner: Cleaner, rule: RetentionRule, day: dt.date) -> QuerySet:  # type: ignore[type-arg]
    """What may go now."""
    return _reviewed(cleaner, rule, cleaner.clear(_by_rule(cleaner, rule, day)))


def to_review(cleaner: Cleaner, rule: RetentionRule, day: dt.date) -> QuerySet:  # type: ignore[type-arg]
    """What waits for the privacy officer."""
    rows = cleaner.clear(_by_rule(cleaner, rule, day))
    if not _asks_for_review(cleaner, rule):
        return rows.none()
    return rows.exclude(pk__in=_looked_at(cleaner))


@dataclass(frozen=True)
class _Run:
    id: uuid.UUID
    batch: int
    operator: str
    tell: Progress


def _by_rule(cleaner: Cleaner, rule: RetentionRule, day: dt.date) -> QuerySet:  # type: ignore[type-arg]
    rows = cleaner.due(cutoff(rule, day))
    return rows.none() if rule.action == RetentionRule.Action.FOLLOW else rows


def _asks_for_review(cleaner: Cleaner, rule: RetentionRule) -> bool:
    return cleaner.reviewed and rule.action == RetentionRule.Action.REVIEW


def _looked_at(cleaner: Cleaner) -> QuerySet:  # type: ignore[type-arg]
    return ReviewedErasure.objects.filter(data_class=cleaner.data_class).values("subject_id")


def _reviewed(cleaner: Cleaner, rule: RetentionRule, rows: QuerySet) -> QuerySet:  # type: ignore[type-arg]
    return rows.filter(pk__in=_looked_at(cleaner)) if _asks_for_review(cleaner, rule) else rows


def _count(cleaner: Cleaner, rule: RetentionRule, day: dt.date) -> Outcome:
    by_rule = _by_rule(cleaner, rule, day)
    clear = cleaner.clear(by_rule)
    due = _reviewed(cleaner, rule, clear).count()
    free = clear.count()
    return Outcome(
        cleaner.data_class, cleaner.subject, rule.version, due, by_rule.count() - free, to_review=free - due
    )


def _clean(cleaner: Cleaner, rule: RetentionRule, day: dt.date, outcome: Outcome, this: _Run) -> None:
    for ids in _batches(cleaner, rule, day, this.batch):
        for part in (ids, *([pk] for pk in ids if len(ids) > 1)):
            try:
                outcome.rows += _do(cleaner, rule, day, part, this)
            except DatabaseError as trouble:  # one row that cannot go holds up no others: then each by itself
                logger.warning(
                    "not erased", extra={"class": rule.data_class, "error": type(trouble).__name__}
                )
                continue
            outcome.done += len(part)
            if part is ids:
                break
        this.tell(f"{cleaner.data_class} ({cleaner.subject}): {outcome.done} of {outcome.due}")
    outcome.left = rows_due(cleaner, rule, day).count()


def _batches(cleaner: Cleaner, rule: RetentionRule, day: dt.date, size: int) -> Iterator[list[Pk]]:
    """Each is asked for anew, beyond the last: what was put under a hold in the meantime is not in it."""
    last = None
    while True:
        rows = rows_due(cleaner, rule, day).order_by("pk")
        rows = rows if last is None else rows.filter(pk__gt=last)
        ids = list(rows.values_list("pk", flat=True)[:size])
        if not ids:
            return
        yield ids
        last = ids[-1]


def _do(cleaner: Cleaner, rule: RetentionRule, day: dt.date, ids: Sequence[Pk], this: _Run) -> Counter[str]:
    with transaction.atomic():
        counts = cleaner.act(ids)
        certify(
            cleaner,
            ids,
            counts,
            version=rule.version,
            action=rule.action,
            day=day,
            run=this.id,
            by=this.operator,
        )
        # Before the commit: the list may say too much, which a replay looks at again, never too little.
        deletions.note(rule.data_class, cleaner.subject, rule.version, ids)
    return counts


def certify(
    cleaner: Cleaner,
    ids: Sequence[Pk],
    counts: Counter[str],
    *,
    version: int,
    action: str,
    day: dt.date,
    run: uuid.UUID,
    by: str,
    is_replay: bool = False,
) -> None:
    ErasureCertificate.objects.create(
        run=run,
        data_class=cleaner.data_class,
        rule_version=version,
        action=action,
        subject=cleaner.subject,
        digests=[digest(cleaner.subject, pk) for pk in ids],
        counts=dict(counts),
        as_of=day,
        operator=by,
        is_replay=is_replay,
    )
    audit.record(
        audit.Action.DELETE,
        f"retention:{cleaner.data_class}",
        by=None,
        fields=[cleaner.subject],
        count=len(ids),
    )


def digest(subject: str, pk: Pk) -> str:
    """Whoever asks about a record can be told whether it is among those; nobody can list them."""
    made = hmac.new(settings.SECRET_KEY.encode(), f"erased {subject} {pk}".encode(), hashlib.sha256)
    return made.hexdigest()[:32]


def replay(*, since: dt.datetime, operator: str, tell: Progress = lambda _line: None) -> tuple[int, int]:
    """After a restore: what was taken away since then goes again, unless it is under a hold. Returns done and left."""
    done = left = 0
    this = uuid.uuid4()
    by_key = {(each.data_class, each.subject): each for each in cleaners()}
    for line in deletions.since(since):
        cleaner = by_key[line.data_class, line.subject]
        for pk in line.ids:
            try:
                with transaction.atomic():
                    counts = cleaner.act([pk])
                    if not counts.total():
                        continue
                    certify(
                        cleaner,
                        [pk],
                        counts,
                        version=line.version,
                        action=RetentionRule.Action.DELETE,
                        day=timezone.localdate(),
                        run=this,
                        by=operator,
                        is_replay=True,
                    )
                done += 1
            except DatabaseError as trouble:
                logger.warning(
                    "not erased again", extra={"class": line.data_class, "error": type(trouble).__name__}
                )
                left += 1
    tell(f"deletions replayed: {done} done, {left} left")
    return done, left
