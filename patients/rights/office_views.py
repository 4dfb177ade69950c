"""The privacy officer's pages: what is asked, until when, and what was done about it."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import audit
from clinic_booking.accounts import step_up
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from patients import vault
from patients.access import Can, may
from patients.identity_forms import SHOWN_SECONDS, ReasonForm
from patients.models import DataCopy, Identifier, Patient, PrivacyRequest, PrivacyStep
from patients.rights import forms, requests

SHOWN = 100
View = Callable[..., HttpResponse]


def officers_only(view: View) -> View:
    """For all others it does not exist."""

    @wraps(view)
    def guarded(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        if not may(request.user, Can.HANDLE_REQUESTS):
            raise Http404
        return view(request, *args, **kwargs)

    return never_cache(login_required(guarded))


@officers_only
@require_safe
def index(request: Request) -> HttpResponse:
    open_ones = PrivacyRequest.objects.filter(status=PrivacyRequest.Status.OPEN)
    decided = PrivacyRequest.objects.exclude(status=PrivacyRequest.Status.OPEN).order_by("-closed_at")
    found = list(open_ones.select_related("patient").defer("preserved")[:SHOWN])
    audit.record(audit.Action.LIST, "privacy_requests:all", by=_user(request), count=len(found))
    today = requests.today()
    context = {
        "office": "requests",
        "rows": [(row, row.days_left(today)) for row in found],
        "decided": decided.select_related("patient").defer("preserved")[:SHOWN],
        "numbers": requests.numbers(),
    }
    return render(request, "patients/office/requests.html", context)


@officers_only
@require_safe
def show(request: Request, pk: int) -> HttpResponse:
    return _page(request, _find(pk))


@officers_only
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: Request) -> HttpResponse:
    today = requests.today()
    form = forms.LogForm(request.POST or None, today=today, initial={"received_on": today})
    if request.method == "POST" and form.is_valid():
        made = log(form, by=_user(request), patient=_patient(form.cleaned_data["patient"]))
        return redirect("privacy_request", made.pk)
    context = {"office": "requests", "form": form}
    return render(request, "patients/office/new.html", context, status=422 if form.errors else 200)


def log(
    form: forms.LogForm, *, by: User, patient: Patient | None, clinic_id: int | None = None
) -> PrivacyRequest:
    names = ("kind", "channel", "text", "received_on", "identity_proof", "name", "contact")
    given = {name: form.cleaned_data[name] for name in names}
    return requests.receive(by=by, patient=patient, clinic_id=clinic_id, **given)


@officers_only
@require_POST
def act(request: Request, pk: int, what: str) -> HttpResponse:
    """One step. What is not possible is said on the page."""
    found, verb = _find(pk), ACTS.get(what)
    if verb is None:
        raise Http404
    form_class, call = verb
    form = form_class(request.POST, auto_id=f"{what}_%s")
    if not form.is_valid():
        return _page(request, found, status=422, forms_now={what: form})
    try:
        call(found, form.cleaned_data, _user(request))
    except NamedError as refusal:
        return _page(request, found, status=refusal.status, sentence=str(refusal), forms_now={what: form})
    messages.success(request, _("Noted."))
    return redirect("privacy_request", found.pk)


@officers_only
@require_POST
def number(request: Request, pk: int, identifier: uuid.UUID) -> HttpResponse:
    """The whole number of whom a request is about: for a reason, after a fresh proof, for half a minute."""
    found = _find(pk)
    kept = get_object_or_404(Identifier, pk=identifier, patient=found.patient_id, ended_at=None)
    if not step_up.is_fresh(request):
        return step_up.ask(request)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return redirect("privacy_request", found.pk)
    whole = vault.unmask(kept, by=_user(request), reason=vault.Reason(form.cleaned_data["reason"]))
    context = {"office": "requests", "found": found, "identifier": kept, "whole": whole}
    context["seconds"] = SHOWN_SECONDS
    template = "_whole_number" if request.htmx else "office/number"
    return render(request, f"patients/{template}.html", context)


def _identify(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
    requests.identify(request=found, proof=given["proof"], by=by)


def _extend(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
    requests.extend(request=found, until=given["until"], reason=given["reason"], by=by)


def _fee(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
    requests.estimate_fee(request=found, cents=int(given["fee"] * 100), by=by)


def _fee_agreed(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
    requests.agree_fee(request=found, by=by)


def _copy(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
    requests.hand_over(request=found, form=DataCopy.Form.PDF, by=by)


def _noted(act: str) -> Callable[[PrivacyRequest, dict[str, Any], User], None]:
    def write(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
        requests.note(request=found, text=given["text"], by=by, act=act)

    return write


def _decide(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
    requests.decide(request=found, by=by, **given)


def _keep(found: PrivacyRequest, given: dict[str, Any], by: User) -> None:
    requests.keep_longer(request=found, until=given["until"], by=by)


Verb = tuple[type[Form], Callable[[PrivacyRequest, dict[str, Any], User], None]]
ACTS: dict[str, Verb] = {
    "identity": (forms.IdentifyForm, _identify),
    "extension": (forms.ExtendForm, _extend),
    "fee": (forms.FeeForm, _fee),
    "fee-agreed": (Form, _fee_agreed),
    "copy": (Form, _copy),
    "note": (forms.NoteForm, _noted(PrivacyStep.Act.NOTED)),
    "disclosure": (forms.NoteForm, _noted(PrivacyStep.Act.DISCLOSED)),
    "corrected": (forms.NoteForm, _noted(PrivacyStep.Act.CORRECTED)),
    "notified": (forms.NoteForm, _noted(PrivacyStep.Act.NOTIFIED)),
    "decision": (forms.DecideForm, _decide),
    "keeping": (forms.KeepForm, _keep),
}


def _page(
    request: Request,
    found: PrivacyRequest,
    *,
    status: int = 200,
    sentence: str = "",
    forms_now: dict[str, Form] | None = None,
) -> HttpResponse:
    audit.record(
        audit.Action.VIEW,
        f"privacy_request:{found.pk}",
        by=_user(request),
        patient_id=found.patient_id,
        clinic_id=found.clinic_id,
    )
    made = {
        name.replace("-", "_"): form_class(auto_id=f"{name}_%s") for name, (form_class, _verb) in ACTS.items()
    }
    made |= {name.replace("-", "_"): form for name, form in (forms_now or {}).items()}
    context = {
        "office": "requests",
        "found": found,
        "days_left": found.days_left(requests.today()),
        "steps": found.steps.select_related("by"),
        "forms": made,
        "sentence": sentence,
        "numbers": vault.current(found.patient) if found.patient else None,
        "reasons": ReasonForm(),
    }
    return render(request, "patients/office/request.html", context, status=status)


def _find(pk: int) -> PrivacyRequest:
    return get_object_or_404(PrivacyRequest.objects.select_related("patient").defer("preserved"), pk=pk)


def _patient(pk: int | None) -> Patient | None:
    return Patient.objects.filter(pk=pk).first() if pk else None


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
