"""At the counter: who may act for a patient. Given with the code of who is to act, for what the desk has seen."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import QuerySet
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
from patients.models import Patient, Proxy
from patients.proxies import acts, proofs
from patients.proxies.forms import GrantForm
from patients.singpass.forms import ReasonForm
from scheduling.desk import acts_at, clinic_for
from scheduling.models import Clinic

SHOWN = 50


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: Request, clinic: str, patient: uuid.UUID) -> HttpResponse:
    """POST gives."""
    here, found = _known(request, clinic, patient)
    form = GrantForm(request.POST or None)
    refusal: NamedError | None = None
    if request.method == "POST" and form.is_valid():
        try:
            _grant(found, form, here, _user(request))
        except (
            proofs.NoSuchCode,
            acts.ActsAlready,
            acts.OwnRecord,
            acts.NotAMinor,
            acts.NoBirthDate,
        ) as error:
            refusal = error
        else:
            messages.success(request, _("Given. They see the record at the next page."))
            return redirect("desk_people", here.slug, found.uuid)
    return _page(request, here, found, form=form, refusal=refusal)


def _grant(patient: Patient, form: GrantForm, here: Clinic, by: User) -> None:
    given = form.cleaned_data
    with transaction.atomic(durable=True):
        user = proofs.redeem(given["code"])
        acts.grant(
            patient=patient,
            user=user,
            relation=given["relation"],
            evidence=given["evidence"],
            note=given["note"],
            by=by,
            clinic_id=here.pk,
        )


@never_cache
@login_required
@require_POST
def check(request: Request, clinic: str, patient: uuid.UUID, pk: int) -> HttpResponse:
    """A declared authority was shown at the counter."""
    here, found = _known(request, clinic, patient)
    proxy = get_object_or_404(Proxy, pk=pk, patient=found, revoked_at=None)
    if acts.confirm(proxy=proxy, by=_user(request), clinic_id=here.pk):
        messages.success(request, _("Noted: you have seen that they may act."))
    return redirect("desk_people", here.slug, found.uuid)


@never_cache
@login_required
@require_POST
def ending(request: Request, clinic: str, patient: uuid.UUID, pk: int) -> HttpResponse:
    here, found = _known(request, clinic, patient)
    proxy = get_object_or_404(Proxy, pk=pk, patient=found, revoked_at=None)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _page(request, here, found, removal=form)
    why = form.cleaned_data["reason"]
    acts.end(proxy=proxy, reason=Proxy.End.BY_DESK, by=_user(request), why=why, clinic_id=here.pk)
    messages.success(request, _("Ended. It counts at once."))
    return redirect("desk_people", here.slug, found.uuid)


def _page(
    request: Request,
    here: Clinic,
    patient: Patient,
    *,
    form: GrantForm | None = None,
    removal: ReasonForm | None = None,
    refusal: NamedError | None = None,
) -> HttpResponse:
    user = _user(request)
    subject, fields = f"patient:{patient.pk}", ["name", "birth_date", "proxies"]
    audit.record(audit.Action.VIEW, subject, by=user, patient_id=patient.pk, clinic_id=here.pk, fields=fields)
    context = {
        "nav": "desk",
        "tab": "day",
        "clinic": here,
        "patient": patient,
        "proxies": [(each, acts.called(each.user)) for each in _proxies(patient)],
        "may_act": acts_at(user).filter(pk=here.pk).exists(),
        "form": form or GrantForm(),
        "removal": removal or ReasonForm(auto_id="end_%s"),
        "refusal": refusal,
    }
    status = refusal.status if refusal else 422 if (form and form.errors) or removal else 200
    return render(request, "scheduling/desk_people.html", context, status=status)


def _proxies(patient: Patient) -> QuerySet[Proxy]:
    return patient.proxies.select_related("user").order_by("-starts_at")[:SHOWN]


def _known(request: Request, slug: str, patient: uuid.UUID) -> tuple[Clinic, Patient]:
    here = clinic_for(request, slug, see=Can.SEE_PATIENTS)
    return here, get_object_or_404(Patient, uuid=patient, clinics__clinic_id=here.pk)


def _user(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user
