"""Opening a confidential record with a reason; and, for managers and the privacy officer, which ones are."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.accounts import step_up
from clinic_booking.audit import openings
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.roles import Can, may, roles_of
from patients import confidential
from patients.confidential_forms import MarkForm, OpenForm
from patients.models import Patient

SHOWN = 200


@openings.minimum
@login_required
@require_POST
def opening(request: Request, patient: uuid.UUID) -> HttpResponse:
    """For an hour; leads back to where it was asked."""
    user = _user(request)
    if not roles_of(user):
        raise Http404
    known = Patient.objects.filter(clinics__clinic_id__in=list(roles_of(user))).distinct()
    found = get_object_or_404(known, uuid=patient)
    form = OpenForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        confidential.open_record(patient=found, reason=given["reason"], by=user, clinic=given["clinic"])
        return redirect(step_up.safe_next(request, given["next"], reverse("desk_home")))
    context = {"nav": "desk", "base": "base.html", "form": form, "uuid": found.uuid, "name": found.name}
    return render(request, "patients/confidential_ask.html", context, status=422)


@never_cache
@login_required
@require_safe
def records(request: Request) -> HttpResponse:
    """Those who are marked, those whose login is one of staff, and whom to ask about."""
    user = _allowed(request)
    mine = Patient.objects.visible_to(user).filter(anonymised_at=None).order_by("name", "pk")
    context: dict[str, Any] = {
        "nav": "desk",
        "office": "confidential" if user.office else "",
        "records": mine.filter(confidential.confidential())[:SHOWN],
        "proposals": confidential.may_be_staff().filter(pk__in=mine.values("pk")).order_by("name")[:SHOWN],
    }
    return render(request, "patients/confidential.html", context)


@openings.minimum
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def record(request: Request, patient: uuid.UUID) -> HttpResponse:
    user = _allowed(request)
    found = get_object_or_404(Patient.objects.visible_to(user), uuid=patient, anonymised_at=None)
    form = MarkForm(request.POST or None, initial={"code": request.GET.get("code") or found.confidentiality})
    refusal: NamedError | None = None
    if form.is_valid():
        given = form.cleaned_data
        try:
            confidential.mark(patient=found, code=given["code"], reason=given["reason"], by=user)
        except (confidential.NothingChanged, confidential.OwnRecord) as error:
            refusal = error
        else:
            messages.success(request, _("Noted. It counts at once."))
            return redirect("confidential_records")
    context = {"nav": "desk", "office": "confidential" if user.office else "", "patient": found, "form": form}
    status = refusal.status if refusal else 422 if form.errors else 200
    return render(request, "patients/confidential_record.html", context | {"refusal": refusal}, status=status)


def _allowed(request: Request) -> User:
    user = _user(request)
    if not may(user, Can.MARK_CONFIDENTIAL):
        raise Http404
    return user


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
