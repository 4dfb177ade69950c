"""What is in force, and its change: only the privacy officer, always as a new version."""

import calendar
import datetime as dt

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.errors import NamedError, NotAllowed
from clinic_booking.models import User
from clinic_booking.retention.models import DataClass, RetentionRule


class BadRule(NamedError):
    status = 422
    sentence = _("How long? Give months or days; only what follows its record has none.")


class NothingChanged(NamedError):
    sentence = _("This rule is in force already.")


def rules_in_force() -> list[RetentionRule]:
    """In the order of the schedule."""
    last = RetentionRule.objects.order_by("data_class", "-version").distinct("data_class")
    by_class = {rule.data_class: rule for rule in last}
    return [by_class[each] for each in DataClass.values if each in by_class]


def rule_of(data_class: str) -> RetentionRule:
    return RetentionRule.objects.filter(data_class=data_class).order_by("-version")[:1].get()


def change_rule(
    *, data_class: str, trigger: str, months: int, days: int, action: str, basis: str, by: User
) -> RetentionRule:
    """Raises NotAllowed, BadRule, NothingChanged."""
    if by.office != User.Office.PRIVACY_OFFICER:
        raise NotAllowed
    if (action == RetentionRule.Action.FOLLOW) != (not months and not days):
        raise BadRule
    values = {"trigger": trigger, "months": months, "days": days, "action": action, "basis": basis}
    with transaction.atomic():
        before = rule_of(data_class)
        changed = [name for name, value in values.items() if getattr(before, name) != value]
        if not changed:
            raise NothingChanged
        # Of two at once the second is refused by the unique version.
        made = RetentionRule.objects.create(
            data_class=data_class, version=before.version + 1, made_by=by, **values
        )
        audit.record(audit.Action.CHANGE, f"retention_rule:{made.pk}", by=by, fields=changed)
    return made


def cutoff(rule: RetentionRule, as_of: dt.date) -> dt.date:
    """What its trigger saw on this day or before is due."""
    month = as_of.year * 12 + as_of.month - 1 - rule.months
    year, month = divmod(month, 12)
    if year < 1:
        return dt.date.min
    day = min(as_of.day, calendar.monthrange(year, month + 1)[1])
    return dt.date(year, month + 1, day) - dt.timedelta(days=rule.days)
