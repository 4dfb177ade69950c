"""The checkout of a hold. A hold belongs to the browser session that made it; to all others it does not exist."""

import contextlib
import functools
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing import checkout as steps
from billing import groups, payments
from billing.checkout import Details, Standing
from billing.forms import DetailsForm
from billing.gateway import Intent, PaymentProviderDown
from billing.models import Payment
from clinic_booking import rows
from clinic_booking.context import Request
from clinic_booking.middleware import says_so_itself
from clinic_booking.models import User
from patients.models import Patient
from patients.proxies import acts
from patients.proxies.forms import WhoForm
from scheduling import stops
from scheduling.booking import bookings_of, database_now
from scheduling.errors import HoldExpired, PatientBusy, SlotTaken
from scheduling.models import Booking, Hold
from scheduling.views import hold_ended, see_other, times_near
from scheduling.visits import remember

# A declined card is an answer like any other: browsers report every 4xx as an error of the page.
STATUS_CODES = {"expired": 410, "taken": 409}
is_token = re.compile(r"ctoken_[A-Za-z0-9]{1,100}", re.ASCII).fullmatch


def with_payment_fields(view: Callable[[Request, uuid.UUID], HttpResponse]) -> Callable[..., HttpResponse]:
    """This page's policy allows the provider's script and frames; all others keep the strict one."""

    @functools.wraps(view)
    def widened(request: Request, hold_id: uuid.UUID) -> HttpResponse:
        response = view(request, hold_id)
        response._csp_update = steps.stripe_hosts()  # type: ignore[attr-defined]
        return response

    return widened


@never_cache
@with_payment_fields
@require_safe
def checkout(request: Request, hold_id: uuid.UUID) -> HttpResponse:
    hold = find(request, hold_id)
    if over := finished(request, hold):
        return over
    form = DetailsForm(initial=steps.known_details(request.user, request.session.get("patient")))
    return page(request, hold, form, who_for(request, hold))


@says_so_itself
@never_cache
@with_payment_fields
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: Request, hold_id: uuid.UUID) -> HttpResponse:
    """Details, consent and, where one is needed, an attempt to pay. Posted again, it answers how things stand; looked
    at, as by a reload after an error, it leads back to the form."""
    hold = find(request, hold_id)
    if request.method != "POST":
        return see_other(reverse("checkout", args=[hold.pk]))
    if over := finished(request, hold):
        return over
    form = DetailsForm(request.POST)
    who = who_for(request, hold, form.data)
    token = request.POST.get("confirmation_token", "")
    is_paid_here = steps.needs_payment(hold)
    if form.is_valid() and is_paid_here and not is_token(token):
        form.add_error(
            None, _("The payment fields need JavaScript. Please allow it, or call the clinic to book.")
        )
    if not all([form.is_valid(), who is None or who.is_valid()]):
        return invalid(request, hold, form, who)
    try:
        patient = known_patient(request, hold, form, who)
        if not is_paid_here:
            booked = steps.confirm_without_payment(hold=hold, patient=patient, by=logged_in(request))
            return answer(request, hold, Standing("paid", booking=booked))
        intent = attempt(request, hold, patient, token)
    except (HoldExpired, SlotTaken) as refusal:
        lost = "expired" if isinstance(refusal, HoldExpired) else "taken"
        return answer(request, hold, Standing(lost, str(refusal)))
    except PatientBusy as refusal:
        form.add_error(None, str(refusal))
        return invalid(request, hold, form, who, status=refusal.status)
    return answer(request, hold, steps.standing(hold, intent))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def status(request: Request, hold_id: uuid.UUID) -> HttpResponse:
    """How the payment stands, asked at the provider while it is open. Also where the bank's page returns to."""
    hold = find(request, hold_id)
    payment = Payment.objects.filter(hold=hold).first()
    intent = None
    if payment and not payment.is_settled:
        with contextlib.suppress(PaymentProviderDown):
            intent = payments.resume(payment.pk)
        hold.refresh_from_db()
    return answer(request, hold, steps.standing(hold, intent))


def find(request: Request, hold_id: uuid.UUID) -> Hold:
    mine = Hold.objects.filter(owner=request.session.get("owner"), lead=None)
    related = mine.select_related("clinic__legal_entity", "service", "practitioner", "station")
    return get_object_or_404(groups.with_leading(related), pk=hold_id)


def finished(request: Request, hold: Hold) -> HttpResponse | None:
    """The answer for a hold that is booked or over."""
    return None if hold.is_live(database_now()) else answer(request, hold, steps.standing(hold))


def logged_in(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def who_for(request: Request, hold: Hold, data: Any = None) -> WhoForm | None:
    """Asked of who is logged in, unless the time is for a session that somebody has."""
    user = logged_in(request)
    if user is None or hold.session_id:
        return None
    chosen = hold.patient
    other = {"who": str(chosen.uuid)} if chosen and acts.may_act(user, chosen) else {}
    return WhoForm(data, user=user, initial=other)


def known_patient(request: Request, hold: Hold, form: DetailsForm, who: WhoForm | None = None) -> Patient:
    fields = ("name", "email", "phone", "note")
    details = Details(**{field: form.cleaned_data[field] for field in fields})
    user = logged_in(request)
    guest_id = request.session.get("patient")
    patient = steps.record_details(hold=hold, details=details, user=user, guest_id=guest_id, who=who)
    if user is None:
        request.session["patient"] = patient.pk
        rows.reveal(patient.pk)
    elif who is not None and who.is_other:
        rows.reveal(patient.pk)
    return patient


def attempt(request: Request, hold: Hold, patient: Patient, token: str) -> Intent | None:
    return_url = request.build_absolute_uri(reverse("checkout_status", args=[hold.pk]))
    try:
        return payments.pay(
            hold=hold,
            patient=patient,
            confirmation_token=token,
            return_url=return_url,
            by=logged_in(request),
        )
    except PaymentProviderDown:
        return None


# -- Answers -------------------------------------------------------------------------------------


def page(
    request: Request, hold: Hold, form: DetailsForm, who: WhoForm | None, *, status: int = 200
) -> HttpResponse:
    parts = groups.held_together(hold)
    total, now = sum(part.price_cents for part in parts), sum(part.due_cents for part in parts)
    context = {
        "nav": "book",
        "hold": hold,
        "stops": stops.in_order(parts) if len(parts) > 1 else None,
        "form": form,
        "who": who,
        "parts": parts,
        "needs_payment": now > 0,
        "stripe_js_url": settings.STRIPE_JS_URL,
        "stripe_publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
        "amount_cents": now,
        "rest_cents": total - now,
        "total_cents": total,
        "currency": settings.CURRENCY,
        "pay_url": reverse("checkout_payment", args=[hold.pk]),
        "status_url": reverse("checkout_status", args=[hold.pk]),
        "texts": json.dumps({name: str(text) for name, text in steps.TEXTS.items()}),
    }
    return render(request, "billing/checkout.html", context, status=status)


def remember_all(request: Request, hold: Hold, booking: Booking) -> None:
    if acts.may_act(logged_in(request), booking.patient):
        return  # seen as long as they act for the patient, no longer
    made = [booking] if len(groups.held_together(hold)) == 1 else bookings_of(hold)
    for each in made:
        remember(request, each)


def wants_json(request: Request) -> bool:
    return request.headers.get("accept") == "application/json"


def invalid(
    request: Request, hold: Hold, form: DetailsForm, who: WhoForm | None, *, status: int = 422
) -> HttpResponse:
    if wants_json(request):
        wrong = (who.errors if who else {}) | form.errors
        errors = {name: [str(e) for e in found] for name, found in wrong.items()}
        message = next(iter(errors.values()))[0]
        return JsonResponse({"status": "failed", "message": message, "errors": errors}, status=status)
    return page(request, hold, form, who, status=status)


def answer(request: Request, hold: Hold, standing: Standing) -> HttpResponse:
    url = ""
    if standing.booking:
        remember_all(request, hold, standing.booking)
        url = reverse("booking", args=[standing.booking.reference])
    if wants_json(request):
        facts = {"redirect": url, "client_secret": standing.client_secret, "message": standing.message}
        told = {name: fact for name, fact in facts.items() if fact}
        return JsonResponse({"status": standing.status} | told, status=STATUS_CODES.get(standing.status, 200))
    if url:
        return see_other(url)
    if standing.status == "expired":
        return hold_ended(request, hold)
    if standing.status == "taken":
        context = {"nav": "book", "sentence": standing.message, **times_near(hold)}
        return render(request, "scheduling/taken.html", context, status=409)
    if standing.status == "failed":
        if standing.message:
            messages.error(request, standing.message)
        return see_other(reverse("checkout", args=[hold.pk]))
    context = {"nav": "book", "hold": hold, "standing": standing}
    return render(request, "billing/waiting.html", context)
