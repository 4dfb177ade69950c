"""At check-in: whether the contact details still hold, and whether the notice of today is agreed to. And requests about
data that somebody makes at the counter or by telephone."""

from typing import NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can
from patients import consents, contacts
from patients.forms import PATIENT_AGREES
from patients.models import DetailsConfirmed, Patient, PrivacyRequest, Proxy
from patients.rights.forms import LogForm
from patients.rights.office_views import log
from scheduling.desk import clinic_for
from scheduling.models import Booking, Clinic


class Check(NamedTuple):
    """What the desk asks the patient who has come."""

    last: DetailsConfirmed | None
    is_confirmed_today: bool
    must_agree: bool
    must_see_authority: bool


def check_of(patient: Patient, clinic: Clinic) -> Check:
    last = DetailsConfirmed.objects.filter(patient=patient).order_by("-confirmed_on", "-pk").first()
    is_today = last is not None and last.confirmed_on == clinic.today()
    declared = patient.proxies.live().filter(evidence=Proxy.Evidence.DECLARED, checked_at=None)
    return Check(last, is_today, not consents.is_current(patient.pk), declared.exists())


@never_cache
@login_required
@require_POST
def confirm(request: Request, clinic: str, reference: str) -> HttpResponse:
    """One tap each: the details are right, the patient agrees."""
    here = clinic_for(request, clinic, act=Can.RUN_QUEUE)
    found = get_object_or_404(Booking.objects.select_related("patient"), clinic=here, reference=reference)
    user, said = _user(request), request.POST.get("say")
    if said == "confirmed":
        contacts.confirm(patient=found.patient, by=user, clinic_id=here.pk, day=here.today())
    elif said == "agrees":
        how = consents.Asked("desk", "check_in", str(PATIENT_AGREES))
        consents.agree(patient=found.patient, by=user, how=how, clinic_id=here.pk)
    else:
        raise Http404
    if not request.htmx:
        return redirect("desk_booking", here.slug, reference)
    context = {"clinic": here, "booking": found, "has_said": True}
    return render(request, "scheduling/_desk_check.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_request(request: Request, clinic: str) -> HttpResponse:
    """Goes to the privacy officer; the 30 days count from the day it came."""
    here = clinic_for(request, clinic, act=Can.RUN_QUEUE)
    reference = request.GET.get("booking", "")[:12]
    booking = Booking.objects.filter(clinic=here, reference=reference).select_related("patient").first()
    patient = booking.patient if booking else None
    start = {
        "received_on": here.today(),
        "channel": PrivacyRequest.Channel.COUNTER,
        "patient": patient and patient.pk,
    }
    form = LogForm(request.POST or None, today=here.today(), initial=start)
    if request.method == "POST" and form.is_valid():
        whose = patient if patient and form.cleaned_data["patient"] == patient.pk else None
        made = log(form, by=_user(request), patient=whose, clinic_id=here.pk)
        messages.success(request, _("Logged as %(reference)s.") % {"reference": made.reference})
        return redirect("desk_work", here.slug)
    context = {"nav": "desk", "clinic": here, "tab": "work", "form": form, "patient": patient}
    return render(request, "scheduling/desk_request.html", context, status=422 if form.errors else 200)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
