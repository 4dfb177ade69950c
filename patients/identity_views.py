"""Before the visit: the patient enters what the record must have. Never asked for to reserve a time."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clinic_booking.context import Request
from clinic_booking.models import User
from patients import vault
from patients.access import own
from patients.identity_forms import IdentityForm, initial
from patients.models import Patient


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def prepare(request: Request, patient: uuid.UUID) -> HttpResponse:
    """What the desk has seen is changed at the desk; who else has a number is told to nobody."""
    mine = get_object_or_404(Patient.objects.filter(own(request.user)), uuid=patient)
    form = IdentityForm(request.POST or None, initial=initial(mine))
    if request.method == "POST" and form.is_valid():
        try:
            _keep(request, mine, form)
        except (vault.NumberChecked, vault.NumberHeld) as refusal:
            form.add_error("number", str(refusal))
        else:
            messages.success(
                request, _("Thank you. Please bring the document: the desk looks at it when you come.")
            )
            return redirect("identity", mine.uuid)
    context = {"nav": "me", "form": form, "patient": mine, "known": vault.current(mine)}
    return render(request, "patients/identity.html", context, status=422 if form.errors else 200)


def _keep(request: Request, patient: Patient, form: IdentityForm) -> None:
    assert isinstance(request.user, User)
    if form.identity:
        vault.record(
            patient_id=patient.pk, number=form.identity, source=vault.Source.PATIENT, by=request.user
        )
    vault.describe(
        patient_id=patient.pk,
        birth_date=form.cleaned_data["birth_date"],
        gender=form.cleaned_data["gender"],
        by=request.user,
        clinic_id=None,
    )
