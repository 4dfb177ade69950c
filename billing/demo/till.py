"""The till of the demo: the last day closed with a small difference, parts paid, money given back."""

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from billing import closing, counter, desk_refunds, ledger
from billing.demo.bills import bill_day
from billing.models import Bill, CashClose, CounterPayment, DeskRefund
from clinic_booking.models import User
from scheduling.demo.staff import username
from scheduling.models import Booking, Clinic

SHORT_CENTS = 200
Method = CounterPayment.Method
Status = Booking.Status


def make_till(clinics: Sequence[Clinic]) -> int:
    """Whatever of it is missing. Returns how many days were closed."""
    desk = User.objects.get(username=username("receptionist"))
    closed = 0
    for clinic in clinics:
        if day := _last_day(clinic):
            if not CashClose.objects.filter(clinic=clinic).exists():
                _take(clinic, day, desk)
            closed += _close(clinic, day, desk)
        _take_part(clinic, desk)
        _give_back(clinic, desk)
    return closed


def _last_day(clinic: Clinic) -> dt.date | None:
    """On which the clinic was open."""
    past = Booking.objects.filter(clinic=clinic, visit__date__lt=clinic.today(), status=Status.FULFILLED)
    return (
        past.filter(session__request__contract="")
        .values_list("visit__date", flat=True)
        .order_by("-visit__date")
        .first()
    )


def _take(clinic: Clinic, day: dt.date, desk: User) -> None:
    """All who were here have paid, in each way. Written down afterwards, so at the time of the visit."""
    with transaction.atomic():
        bills = [
            bill for bill in bill_day(clinic, day) if bill.booking and bill.booking.status == Status.FULFILLED
        ]
        taken = CounterPayment.objects.bulk_create(
            CounterPayment(
                bill=bill,
                amount_cents=bill.total_cents,
                method=list(Method)[n % len(Method)],
                taken_by=desk,
                taken_at=bill.issued_at,
            )
            for n, bill in enumerate(bills)
            if bill.total_cents
        )
        ledger.post_all(ledger.taken(each)._replace(date=day) for each in taken)


def _close(clinic: Clinic, day: dt.date, desk: User) -> int:
    sheet = next(iter(closing.sheets(clinic, day, cashier=desk)), None)
    if sheet is None or sheet.closes:
        return 0
    seen = {str(row.method): row.sums.net_cents for row in sheet.rows}
    closing.close_day(
        clinic=clinic,
        day=day,
        cashier=desk,
        number=1,
        counted=seen | {Method.CASH.value: seen[Method.CASH.value] - SHORT_CENTS},
        seen=seen,
        note="Two dollars short, change given twice",
        by=desk,
    )
    return 1


def _take_part(clinic: Clinic, desk: User) -> None:
    """Two who will come have paid a part already."""
    bills = Bill.objects.filter(clinic=clinic, contract=None)
    if bills.filter(status=Bill.Status.PART_PAID).exists():
        return
    coming = bills.filter(status=Bill.Status.ISSUED, booking__status=Status.BOOKED, total_cents__gt=0)
    for bill in coming.order_by("booking__starts_at", "pk")[:2]:
        counter.take_payment(
            bill_id=bill.pk, amount_cents=bill.total_cents // 2, method=Method.CASH, reference="", by=desk
        )


def _give_back(clinic: Clinic, desk: User) -> None:
    refunds = DeskRefund.objects.filter(bill__clinic=clinic)
    paid = Bill.objects.filter(clinic=clinic, contract=None, status=Bill.Status.PAID, total_cents__gt=1000)
    bill = paid.filter(counter_payments__isnull=False).order_by("-issued_at", "pk").first()
    if refunds.exists() or bill is None:
        return
    desk_refunds.refund_bill(
        bill_id=bill.pk,
        amount_cents=1000,
        reason=DeskRefund.Reason.GOODWILL,
        note="Waited for an hour",
        by=desk,
        idempotency_key="",
    )
