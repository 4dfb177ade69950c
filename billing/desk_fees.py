"""The desk waives the fee of a visit, and gives back what its list of work says."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from billing import counter, waivers
from billing.desk_views import home_of
from billing.models import Bill
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.roles import Can
from clinic_booking.templatetags.page import money
from scheduling import desk_work
from scheduling.desk import acts_at
from scheduling.models import Booking, Clinic
from scheduling.views import see_other


@login_required
@require_POST
def waive(request: Request, clinic: str, reference: str) -> HttpResponse:
    assert request.user.is_authenticated
    here = get_object_or_404(acts_at(request.user, Can.ACT_MONEY), slug=clinic)
    seen = Booking.objects.visible_to(request.user)
    # Who sees bills alone waives what is on one.
    billed = Booking.objects.filter(bill__in=Bill.objects.visible_to(request.user))
    booking = get_object_or_404((seen | billed).distinct(), clinic=here, reference=reference)
    try:
        reason = request.POST.get("reason", "")
        waived = waivers.waive_fee(booking_id=booking.pk, reason=reason, by=request.user)
    except NamedError as refusal:
        messages.error(request, str(refusal))
    else:
        amount = money(waived.amount_cents)
        messages.success(request, _("The fee of %(amount)s is waived.") % {"amount": amount})
    bill = Bill.objects.visible_to(request.user).filter(booking=booking).first()
    return see_other(
        home_of(bill, request.user) if bill else reverse("desk_booking", args=[here.slug, reference])
    )


@desk_work.act
def return_money(request: Request, here: Clinic, pk: int) -> HttpResponse:
    assert request.user.is_authenticated
    bill = get_object_or_404(Bill.objects.visible_to(request.user), pk=pk, clinic=here)
    try:
        counter.return_payment(bill_id=bill.pk, by=request.user)
        said = _("Recorded: the money was given back.")
    except NamedError as refusal:
        said = str(refusal)
    return desk_work.after(request, here, "money_back", said)
