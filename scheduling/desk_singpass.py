"""At the counter: the Singpass login of a patient who showed a document is linked to the record, or taken from it."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking import audit
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.roles import Can
from patients.models import Patient
from patients.singpass import linking
from patients.singpass.forms import LinkForm, ReasonForm
from scheduling.desk import acts_at, clinic_for
from scheduling.models import Clinic


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: Request, clinic: str, patient: uuid.UUID) -> HttpResponse:
    """POST links."""
    here, found = _known(request, clinic, patient)
    form = LinkForm(request.POST or None)
    refusal: NamedError | None = None
    if request.method == "POST" and form.is_valid():
        try:
            linking.link(patient=found, clinic_id=here.pk, by=_user(request), **form.cleaned_data)
        except (linking.NoSuchCode, linking.RecordHasLogin, linking.LoginHasRecord) as error:
            refusal = error
        else:
            messages.success(request, _("Linked. The patient sees the record at the next page."))
            return redirect("desk_singpass", here.slug, found.uuid)
    return _page(request, here, found, form=form, refusal=refusal)


@never_cache
@login_required
@require_POST
def removal(request: Request, clinic: str, patient: uuid.UUID) -> HttpResponse:
    here, found = _known(request, clinic, patient)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _page(request, here, found, removal=form)
    linking.unlink(patient=found, clinic_id=here.pk, by=_user(request), reason=form.cleaned_data["reason"])
    messages.success(request, _("This Singpass login no longer opens the record."))
    return redirect("desk_singpass", here.slug, found.uuid)


def _page(
    request: Request,
    here: Clinic,
    patient: Patient,
    *,
    form: LinkForm | None = None,
    removal: ReasonForm | None = None,
    refusal: NamedError | None = None,
) -> HttpResponse:
    user = _user(request)
    audit.record(
        audit.Action.VIEW,
        f"patient:{patient.pk}",
        by=user,
        patient_id=patient.pk,
        clinic_id=here.pk,
        fields=["name", "birth_date", "singpass"],
    )
    context = {
        "nav": "desk",
        "tab": "day",
        "clinic": here,
        "patient": patient,
        "identity": linking.identity_of(patient),
        "has_login": patient.user_id is not None,
        "may_act": acts_at(user).filter(pk=here.pk).exists(),
        "form": form or LinkForm(),
        "removal": removal or ReasonForm(),
        "refusal": refusal,
    }
    status = refusal.status if refusal else 422 if (form and form.errors) or removal else 200
    return render(request, "scheduling/desk_singpass.html", context, status=status)


def _known(request: Request, slug: str, patient: uuid.UUID) -> tuple[Clinic, Patient]:
    here = clinic_for(request, slug, see=Can.SEE_PATIENTS)
    return here, get_object_or_404(Patient, uuid=patient, clinics__clinic_id=here.pk)


def _user(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user
