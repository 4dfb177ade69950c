"""Today's visits that are not paid, on the desk's list of what is to be done."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models import Bill
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


register(
    WorkList(
        "unpaid",
        _("Unpaid today"),
        _("Everybody who comes today has paid."),
        "cash-coin",
        "billing/_work_unpaid.html",
        unpaid,
    )
)
