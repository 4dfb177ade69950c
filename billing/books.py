"""What the books say of a period, and where money and visits do not meet."""

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from billing.groups import OVER
from billing.models import Account, Bill, LedgerEntry, LedgerPosting, Payment
from scheduling.models import Booking, Clinic

LIMIT = 200


@dataclass(frozen=True)
class Period:
    """Days at the clinics, both included."""

    first: dt.date
    last: dt.date
    clinics: Collection[int]

    def entries(self) -> QuerySet[LedgerEntry]:
        return LedgerEntry.objects.filter(
            posting__clinic__in=self.clinics, posting__date__range=(self.first, self.last)
        )


class Balance(NamedTuple):
    """Of an account, in cents: debits above zero."""

    account: Account
    opening_cents: int
    debit_cents: int
    credit_cents: int

    @property
    def closing_cents(self) -> int:
        return self.opening_cents + self.debit_cents - self.credit_cents


def balances(period: Period) -> list[Balance]:
    """Of every account that was ever used by these clinics until the end of the period."""
    is_in = Q(posting__date__gte=period.first)
    until = LedgerEntry.objects.filter(posting__clinic__in=period.clinics, posting__date__lte=period.last)
    rows = until.values_list("account").annotate(
        opening=Coalesce(Sum("amount_cents", filter=~is_in), 0),
        debit=Coalesce(Sum("amount_cents", filter=is_in & Q(amount_cents__gt=0)), 0),
        credit=Coalesce(Sum("amount_cents", filter=is_in & Q(amount_cents__lt=0)), 0),
    )
    found = {name: (opening, debit, -credit) for name, opening, debit, credit in rows.order_by("account")}
    return [Balance(account, *found[account]) for account in Account if account in found]


# -- Export --------------------------------------------------------------------------------------

COLUMNS = (
    "row",
    "date",
    "posted_at",
    "posting",
    "kind",
    "account",
    "debit",
    "credit",
    "entity",
    "clinic",
    "bill",
    "payment",
    "booking",
    "session",
    "by",
)
FIELDS = (
    "posting__date",
    "posting__posted_at",
    "posting__key",
    "posting__kind",
    "account",
    "amount_cents",
    "posting__legal_entity__uen",
    "posting__clinic__slug",
    "bill__entity_uen",
    "bill__number",
    "payment",
    "booking__reference",
    "session",
    "posting__by",
)


def export(period: Period) -> Iterator[list[Any]]:
    """Lines of `COLUMNS`: what each account stood at, the entries, their total, what each account stands at.

    The total and the closing balances are added up from the lines themselves, so that a file is always whole.
    """
    opening = {each.account: each.opening_cents for each in balances(period)}
    for account, cents in opening.items():
        yield _sum("opening", cents, account)
    moved: dict[str, int] = {}
    debits = credits = 0
    for entry in _entries(period):
        account, cents = entry[4], entry[5]
        moved[account] = moved.get(account, 0) + cents
        if cents > 0:
            debits += cents
        else:
            credits -= cents
        yield _line(entry)
    yield ["total", "", "", "", "", "", decimal(debits), decimal(credits), *[""] * 7]
    for account in Account:
        if account in opening or account in moved:
            yield _sum("closing", opening.get(account, 0) + moved.get(account, 0), account)


def _entries(period: Period) -> Iterator[tuple[Any, ...]]:
    """Day by day: behind a pooler a cursor fetches all at once, which would be a year in memory."""
    days = LedgerPosting.objects.filter(clinic__in=period.clinics, date__range=(period.first, period.last))
    for day in days.values_list("date", flat=True).distinct().order_by("date"):
        entries = Period(day, day, period.clinics).entries().order_by("posting", "pk")
        yield from entries.values_list(*FIELDS)


def _line(entry: tuple[Any, ...]) -> list[Any]:
    date, posted_at, key, kind, account, cents, entity, clinic, uen, number, *of = entry
    serial = f"{uen}-{number:06d}" if number else ""
    ids = ["" if each is None else str(each) for each in of]
    moment = posted_at.isoformat(timespec="seconds")
    return [
        "entry",
        date.isoformat(),
        moment,
        key,
        kind,
        account,
        *_sides(cents),
        entity,
        clinic,
        serial,
        *ids,
    ]


def _sum(row: str, cents: int, account: Account) -> list[Any]:
    return [row, "", "", "", "", str(account), *_sides(cents), *[""] * 7]


def _sides(cents: int) -> tuple[str, str]:
    return (decimal(cents), "") if cents >= 0 else ("", decimal(-cents))


def decimal(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


# -- Where money and visits do not meet ----------------------------------------------------------


def paid_without_booking(clinic: Clinic) -> QuerySet[Payment]:
    """Charged online, for no bill, and not given back: nobody has the money's worth."""
    unused = Q(captured_cents__gt=F("refunded_cents") + F("allocated_cents"))
    found = Payment.objects.filter(unused, Q(hold__clinic=clinic) | Q(bill__clinic=clinic))
    return found.select_related("patient", "booking").order_by("created_at")[:LIMIT]


def owed_to_patients(clinic: Clinic) -> QuerySet[Bill]:
    """More was paid than the visit costs."""
    found = Bill.objects.filter(clinic=clinic, status=Bill.Status.REFUND_DUE)
    return found.select_related("patient", "booking", "contract").order_by("issued_at")[:LIMIT]


def booked_not_paid(clinic: Clinic) -> QuerySet[Bill]:
    """The visit was, or is today, or the day to pay is over, and something is left to be paid."""
    _first, until = clinic.day_bounds(clinic.today())
    is_time = Q(booking__starts_at__lt=until) | Q(due_on__lt=clinic.today())
    found = Bill.objects.filter(is_time, clinic=clinic, status__in=Bill.UNPAID)
    return found.select_related("patient", "booking", "contract").order_by("issued_at")[:LIMIT]


def booked_without_bill(clinic: Clinic) -> QuerySet[Booking]:
    """Their bill was not made: the worker stands still, or it failed."""
    has_bill = Exists(Bill.objects.filter(booking=OuterRef("pk")))
    found = Booking.objects.filter(~has_bill, clinic=clinic, hold__isnull=False).exclude(status__in=OVER)
    return found.select_related("patient").order_by("created_at")[:LIMIT]
