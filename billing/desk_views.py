"""The desk takes money for a bill, sends a link to pay it, or gives money back."""

import uuid
from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from billing import bills, counter, desk_refunds, desk_ways, paylinks
from billing.models import Bill, DeskRefund
from billing.once import OtherRequest, key_of
from billing.templatetags.bill_acts import decimal_money
from billing.views import wants_json
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from clinic_booking.templatetags.page import local_date, money
from scheduling.desk import acts_at
from scheduling.models import Booking
from scheduling.views import see_other


@login_required
@require_POST
def take(request: Request, clinic: str, bill_id: int) -> HttpResponse:
    bill, by = _bill(request, clinic, bill_id)
    return _done(request, bill, lambda: desk_ways.take_for(bill, request.POST, by, key_of(request)))


@login_required
@require_POST
def give_back(request: Request, clinic: str, bill_id: int) -> HttpResponse:
    bill, by = _bill(request, clinic, bill_id)

    def act() -> str:
        counter.return_payment(bill_id=bill.pk, by=by)
        return _("Recorded: the money was given back.")

    return _done(request, bill, act)


@login_required
@require_POST
def send(request: Request, clinic: str, bill_id: int) -> HttpResponse:
    bill, by = _bill(request, clinic, bill_id)

    def act() -> str:
        expires_at = paylinks.send_link(bill_id=bill.pk, by=by)
        facts = {"email": bill.patient.email, "day": local_date(expires_at, bill.clinic)}
        return _("The link to pay is sent to %(email)s. It is good until %(day)s.") % facts

    return _done(request, bill, act)


@login_required
@require_POST
def issue(request: Request, clinic: str, reference: str) -> HttpResponse:
    """The bill of a visit that has none yet, so that it can be paid."""
    assert request.user.is_authenticated  # behind `login_required`
    here = get_object_or_404(acts_at(request.user, Can.ACT_MONEY), slug=clinic)
    booking = get_object_or_404(Booking.objects.visible_to(request.user), clinic=here, reference=reference)
    return see_other(f"{home_of(bills.keep_bill(booking.pk), request.user)}?pay=1")


class RefundForm(forms.Form):
    amount = forms.DecimalField(
        label=gettext_lazy("Amount"), max_digits=9, decimal_places=2, min_value=0, localize=False
    )
    reason = forms.ChoiceField(label=gettext_lazy("Why"), choices=DeskRefund.Reason.choices)
    note = forms.CharField(label=gettext_lazy("Note for the books"), max_length=200, required=False)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def refund(request: Request, clinic: str, bill_id: int) -> HttpResponse:
    bill, by = _bill(request, clinic, bill_id)
    if request.method != "POST":
        cents = desk_refunds.limit_cents(bill, by)
        return _refund_page(request, bill, by, RefundForm(initial={"amount": decimal_money(cents)}))
    form = RefundForm(request.POST)
    if not form.is_valid():
        return _refund_page(request, bill, by, form, status=422)
    try:
        made = desk_refunds.refund_bill(
            bill_id=bill.pk,
            amount_cents=int(form.cleaned_data["amount"] * 100),
            reason=DeskRefund.Reason(form.cleaned_data["reason"]),
            note=form.cleaned_data["note"],
            by=by,
            idempotency_key=key_of(request),
        )
    except NamedError as refusal:
        if wants_json(request):
            raise
        form.add_error(None, str(refusal))
        return _refund_page(request, bill, by, form, status=refusal.status)
    return _done(request, bill, lambda: _told(made))


def _told(made: DeskRefund) -> str:
    parts = []
    if made.online_cents:
        parts.append(_("%(amount)s goes back online.") % {"amount": money(made.online_cents)})
    if made.counter_cents:
        amount = money(made.counter_cents)
        parts.append(_("Please hand out %(amount)s now; it is recorded.") % {"amount": amount})
    return " ".join(parts)


def _refund_page(
    request: Request, bill: Bill, by: User, form: RefundForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "bill": bill,
        "clinic": bill.clinic,
        "form": form,
        "key": request.POST.get("idempotency_key") or uuid.uuid4(),
        "limit_cents": desk_refunds.limit_cents(bill, by),
        "refundable_cents": desk_refunds.refundable_cents(bill),
        "back": home_of(bill, by),
    }
    return render(request, "billing/desk_refund.html", context, status=status)


def _done(request: Request, bill: Bill, act: Callable[[], str]) -> HttpResponse:
    """Programs get JSON, and every refusal with its status; so does anybody whose key was used for something else."""
    try:
        sentence = act()
    except OtherRequest:
        raise
    except NamedError as refusal:
        if wants_json(request):
            raise
        messages.error(request, str(refusal))
        return see_other(home_of(bill, user_of(request)))
    if wants_json(request):
        bill.refresh_from_db()
        return JsonResponse(
            {"sentence": sentence, "due_cents": bill.due_cents, "paid_cents": bill.paid_cents}
        )
    messages.success(request, sentence)
    return see_other(home_of(bill, user_of(request)))


def home_of(bill: Bill, by: User) -> str:
    if bill.booking and not may(by, Can.SEE_DESK, bill.clinic_id):
        return reverse("bill", args=[bill.pk])
    if bill.booking:
        return reverse("desk_booking", args=[bill.clinic.slug, bill.booking.reference])
    assert bill.contract
    return reverse("contract", args=[bill.clinic.slug, bill.contract.reference])


def user_of(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user


def _bill(request: Request, clinic: str, bill_id: int) -> tuple[Bill, User]:
    assert request.user.is_authenticated  # behind `login_required`
    here = get_object_or_404(acts_at(request.user, Can.ACT_MONEY), slug=clinic)
    related = Bill.objects.visible_to(request.user).select_related("clinic", "patient", "booking", "contract")
    return get_object_or_404(related, clinic=here, pk=bill_id), request.user
