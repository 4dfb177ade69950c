"""At check-in: the desk looks at the document. And the whole number, for a reason, for half a minute."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking.accounts import step_up
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can
from patients import vault
from patients.identity_forms import SHOWN_SECONDS, DeskIdentityForm, ReasonForm, initial
from patients.models import Identifier, Patient
from scheduling.desk import clinic_for
from scheduling.models import Clinic
from scheduling.views import see_other


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def check(request: Request, clinic: str, patient: uuid.UUID) -> HttpResponse:
    here = clinic_for(request, clinic, see=Can.RUN_QUEUE, act=Can.RUN_QUEUE)
    person = _known(here, patient)
    known = vault.current(person)
    form = DeskIdentityForm(request.POST or None, initial=initial(person), known=known)
    status = 200
    if request.method == "POST":
        status = _save(request, here, person, form) if form.is_valid() else 422
        if status == 200:
            messages.success(request, _("Saved: %(name)s.") % {"name": person.name})
            return see_other(reverse("desk_identity", args=[here.slug, person.uuid]))
    context = {
        "nav": "desk",
        "tab": "queue",
        "clinic": here,
        "patient": person,
        "form": form,
        "known": known,
        "may_unmask": vault.may_unmask(_user(request), person, here),
        "reasons": ReasonForm(),
    }
    return render(request, "scheduling/desk_identity.html", context, status=status)


@never_cache
@login_required
@require_POST
def number(request: Request, clinic: str, patient: uuid.UUID, pk: uuid.UUID) -> HttpResponse:
    """The only page that ever holds a whole number."""
    here = clinic_for(request, clinic, see=Can.RUN_QUEUE, act=Can.RUN_QUEUE)
    kept = get_object_or_404(Identifier, pk=pk, patient=_known(here, patient), ended_at=None)
    if not step_up.is_fresh(request):
        return step_up.ask(request)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return see_other(reverse("desk_identity", args=[here.slug, patient]))
    reason = vault.Reason(form.cleaned_data["reason"])
    whole = vault.unmask(kept, by=_user(request), reason=reason, clinic=here)
    context = {
        "nav": "desk",
        "tab": "queue",
        "clinic": here,
        "patient": kept.patient,
        "identifier": kept,
        "whole": whole,
        "seconds": SHOWN_SECONDS,
    }
    template = "patients/_whole_number" if request.htmx else "scheduling/desk_identity_number"
    return render(request, f"{template}.html", context)


def _save(request: Request, here: Clinic, person: Patient, form: DeskIdentityForm) -> int:
    given, by = form.cleaned_data, _user(request)
    try:
        if form.identity:
            vault.record(
                patient_id=person.pk,
                number=form.identity,
                source=vault.Source.DESK,
                by=by,
                seen=True,
                clinic_id=here.pk,
            )
    except (vault.NumberTaken, vault.NumberHeld) as refusal:
        form.add_error("number", str(refusal))
        return refusal.status
    vault.describe(
        patient_id=person.pk,
        birth_date=given["birth_date"],
        gender=given["gender"],
        by=by,
        clinic_id=here.pk,
    )
    return 200


def _known(here: Clinic, patient: uuid.UUID) -> Patient:
    return get_object_or_404(Patient.objects.filter(clinics__clinic_id=here.pk), uuid=patient)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
