"""Money on the desk's lists: visits, fees and contracts not paid, what is to be given back, and disputes."""

from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from billing.models import Bill, CounterPayment, Dispute
from clinic_booking.roles import Can
from scheduling.models import Booking, Clinic
from scheduling.work_lists import LIMIT, Rows, WorkList, register


def unpaid(clinic: Clinic) -> Rows:
    """A bill is made a moment after its booking, so one without a bill is listed by its price."""
    first, until = clinic.day_bounds(clinic.today())
    no_bill = Q(bill=None, price_cents__gt=0, session__request__is_prepaid=False)
    today = Booking.objects.live().filter(clinic=clinic, starts_at__gte=first, starts_at__lt=until)
    found = today.filter(Q(bill__status__in=Bill.UNPAID) | no_bill)
    related = "patient", "service", "practitioner", "bill"
    return found.select_related(*related).order_by("starts_at", "pk")[:LIMIT]


def fees(clinic: Clinic) -> Rows:
    """Of visits that did not take place. Who did not come today may still do so."""
    first, _until = clinic.day_bounds(clinic.today())
    over = Q(booking__status="cancelled") | Q(booking__status="noshow", booking__starts_at__lt=first)
    found = Bill.objects.filter(over, clinic=clinic, status__in=Bill.UNPAID)
    return found.select_related("patient", "booking__service").order_by("issued_at", "pk")[:LIMIT]


def money_back(clinic: Clinic) -> Rows:
    """For visits, at the counter; what was paid online goes back by itself."""
    taken = CounterPayment.objects.filter(bill=OuterRef("pk"), amount_cents__gt=F("returned_cents"))
    due = Bill.objects.filter(clinic=clinic, contract=None, status=Bill.Status.REFUND_DUE)
    found = due.filter(Exists(taken))
    return found.select_related("patient", "booking__service").order_by("issued_at", "pk")[:LIMIT]


register(
    WorkList(
        "money_back",
        _("Money to give back"),
        _("Nobody is to get money back at the counter."),
        "arrow-counterclockwise",
        "billing/_work_money_back.html",
        money_back,
        Can.SEE_MONEY,
    )
)
register(
    WorkList(
        "fees",
        _("Fees not paid"),
        _("Nobody owes a fee."),
        "receipt",
        "billing/_work_fee.html",
        fees,
        Can.SEE_MONEY,
    )
)
register(
    WorkList(
        "unpaid",
        _("Unpaid today"),
        _("Everybody who comes today has paid."),
        "cash-coin",
        "billing/_work_unpaid.html",
        unpaid,
        Can.SEE_MONEY,
    )
)


def contract_bills(clinic: Clinic) -> Rows:
    """What is to be paid of contracts or given back, the longest due first. Unpaid does not stop visits."""
    found = Bill.objects.filter(clinic=clinic, contract__isnull=False)
    found = found.filter(status__in=(*Bill.UNPAID, Bill.Status.REFUND_DUE))
    found = found.annotate(is_overdue=ExpressionWrapper(Q(due_on__lt=clinic.today()), BooleanField()))
    return found.select_related("contract", "patient").order_by("due_on", "pk")[:LIMIT]


register(
    WorkList(
        "contract_bills",
        _("Bills of contracts"),
        _("Every contract is paid as agreed."),
        "file-earmark-text",
        "billing/_work_contract_bill.html",
        contract_bills,
        Can.SEE_MONEY,
    )
)


def disputes(clinic: Clinic) -> Rows:
    """Open ones, the one whose evidence is due first at the top."""
    found = Dispute.objects.filter(Q(payment__hold__clinic=clinic) | Q(payment__bill__clinic=clinic))
    related = "payment__patient", "payment__booking", "payment__bill__booking"
    return found.filter(closed_at=None).select_related(*related).order_by("evidence_due_at", "pk")[:LIMIT]


register(
    WorkList(
        "disputes",
        _("Disputed payments"),
        _("No payment is disputed."),
        "bank",
        "billing/_work_dispute.html",
        disputes,
        Can.SEE_MONEY,
    )
)
