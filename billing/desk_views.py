"""The desk takes money for a visit, or sends a link to pay it."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from billing import bills, counter, desk_ways, paylinks
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from scheduling.desk import acts_at
from scheduling.models import Booking
from scheduling.views import see_other


@login_required
@require_POST
def take(request: Request, clinic: str, reference: str) -> HttpResponse:
    booking, by = _booking(request, clinic, reference)
    return _done(request, booking, lambda: desk_ways.take(booking, request.POST, by))


@login_required
@require_POST
def give_back(request: Request, clinic: str, reference: str) -> HttpResponse:
    booking, by = _booking(request, clinic, reference)

    def act() -> str:
        counter.return_payment(bill_id=bills.keep_bill(booking.pk).pk, by=by)
        return _("Recorded: the money was given back.")

    return _done(request, booking, act)


@login_required
@require_POST
def send(request: Request, clinic: str, reference: str) -> HttpResponse:
    booking, by = _booking(request, clinic, reference)

    def act() -> str:
        paylinks.send_link(bill_id=bills.keep_bill(booking.pk).pk, by=by)
        return _("The link to pay is sent to %(email)s.") % {"email": booking.patient.email}

    return _done(request, booking, act)


def _done(request: Request, booking: Booking, act: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, act())
    except NamedError as refusal:
        messages.error(request, str(refusal))
    return see_other(reverse("desk_booking", args=[booking.clinic.slug, booking.reference]))


def _booking(request: Request, clinic: str, reference: str) -> tuple[Booking, User]:
    assert request.user.is_authenticated  # behind `login_required`
    here = get_object_or_404(acts_at(request.user), slug=clinic)
    related = Booking.objects.select_related("clinic", "patient")
    return get_object_or_404(related, clinic=here, reference=reference), request.user
