"""The daily close: what each cashier took and gave back by the ledger, and what was counted."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from billing.models import Account, CashClose, CashCount, CounterPayment, LedgerEntry
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling.errors import BookingError
from scheduling.models import Clinic

Method = CounterPayment.Method


class TakenMeanwhile(BookingError):
    sentence = _("Money was taken or given back meanwhile. Please look at the new sums. Nothing was closed.")


class ClosedMeanwhile(BookingError):
    sentence = _("This was closed meanwhile with other amounts. Please look at what was counted.")


class NoteNeeded(BookingError):
    status = 422
    sentence = _("Please write a note on the difference. Nothing was closed.")


class NotOver(BookingError):
    status = 422
    sentence = _("This day has not begun. Nothing was closed.")


@dataclass(frozen=True)
class Sums:
    """Cents that came and went."""

    taken_cents: int = 0
    returned_cents: int = 0

    @property
    def net_cents(self) -> int:
        return self.taken_cents - self.returned_cents


@dataclass(frozen=True)
class Row:
    """A way of paying; the count is the last one. What was moved after it is not in it."""

    method: Method
    sums: Sums
    count: CashCount | None

    @property
    def after_cents(self) -> int:
        return self.sums.net_cents - self.count.expected_cents if self.count else 0


@dataclass
class Sheet:
    cashier: User
    sums: dict[str, Sums] = field(default_factory=dict)
    closes: list[CashClose] = field(default_factory=list)

    @property
    def close(self) -> CashClose | None:
        return self.closes[-1] if self.closes else None

    @property
    def rows(self) -> list[Row]:
        counts = {count.method: count for count in self.close.counts.all()} if self.close else {}
        return [Row(method, self.sums.get(method, Sums()), counts.get(method)) for method in Method]

    @property
    def together(self) -> Sums:
        return add(self.sums.values())

    @property
    def after_cents(self) -> int:
        return sum(row.after_cents for row in self.rows)


def add(sums: Iterable[Sums]) -> Sums:
    both = list(sums)
    return Sums(sum(each.taken_cents for each in both), sum(each.returned_cents for each in both))


def sheets(clinic: Clinic, day: dt.date, *, cashier: User | None = None) -> list[Sheet]:
    """Of all who took or gave back money that day, or of one."""
    moved = _moved(clinic, day, list(Method))
    closes = CashClose.objects.filter(clinic=clinic, date=day).select_related("cashier", "closed_by")
    if cashier:
        moved, closes = moved.filter(posting__by=cashier), closes.filter(cashier=cashier)
    sums = _summed(moved, "posting__by", "account")
    people = {user for user, _account in sums} | {close.cashier_id for close in closes}
    found = {user.pk: Sheet(user) for user in User.objects.filter(pk__in=people).order_by("username")}
    for (user, account), each in sums.items():
        found[user].sums[account] = each
    for close in closes.prefetch_related("counts").order_by("number"):
        found[close.cashier_id].closes.append(close)
    return list(found.values())


def online(clinic: Clinic, day: dt.date) -> Sums:
    return _summed(_moved(clinic, day, [Account.STRIPE]), "account").get((Account.STRIPE,), Sums())


def _moved(clinic: Clinic, day: dt.date, accounts: Iterable[str]):  # type: ignore[no-untyped-def]
    return LedgerEntry.objects.filter(
        posting__clinic=clinic, posting__date=day, account__in=[str(account) for account in accounts]
    )


def _summed(moved, *by: str) -> dict[tuple, Sums]:  # type: ignore[no-untyped-def, type-arg]
    rows = moved.values_list(*by).annotate(
        taken=Coalesce(Sum("amount_cents", filter=Q(amount_cents__gt=0)), 0),
        returned=Coalesce(Sum("amount_cents", filter=Q(amount_cents__lt=0)), 0),
    )
    return {tuple(keys): Sums(taken, -returned) for *keys, taken, returned in rows.order_by(*by)}


def close_day(
    *,
    clinic: Clinic,
    day: dt.date,
    cashier: User,
    number: int,
    counted: Mapping[str, int],
    seen: Mapping[str, int],
    note: str,
    by: User,
) -> CashClose:
    """Write down the count. `seen` are the sums by which it was made; `number` is that of this close, so that a second
    click makes no second one. Raises TakenMeanwhile, ClosedMeanwhile, NoteNeeded, NotOver.
    """
    if day > clinic.today():
        raise NotOver
    of = {"clinic": clinic, "date": day, "cashier": cashier, "number": number}
    try:
        with transaction.atomic(durable=True):
            sheet = next(iter(sheets(clinic, day, cashier=cashier)), Sheet(cashier))
            if number <= len(sheet.closes):
                return _repeated(sheet.closes[number - 1], counted, note)
            expected = {row.method: row.sums.net_cents for row in sheet.rows}
            if expected != dict(seen) or number != len(sheet.closes) + 1:
                raise TakenMeanwhile
            if expected != dict(counted) and not note:
                raise NoteNeeded
            made = CashClose.objects.create(**of, note=note, closed_by=by)
            CashCount.objects.bulk_create(
                CashCount(
                    close=made,
                    method=method,
                    expected_cents=expected[method],
                    counted_cents=counted[method],
                )
                for method in Method
            )
            _tell(made)
    except IntegrityError:  # the same close at the same moment
        return _repeated(CashClose.objects.get(**of), counted, note)
    return made


def _repeated(close: CashClose, counted: Mapping[str, int], note: str) -> CashClose:
    if ({c.method: c.counted_cents for c in close.counts.all()}, close.note) != (dict(counted), note):
        raise ClosedMeanwhile
    return close


def _tell(close: CashClose) -> None:
    data = {
        "close": close.pk,
        "date": close.date.isoformat(),
        "cashier": close.cashier_id,
        "number": close.number,
        "difference_cents": close.difference_cents,
        "by": close.closed_by_id,
    }
    publish("cash.closed", f"close:{close.pk}", data, clinic_id=close.clinic_id)
