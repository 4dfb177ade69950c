"""The rights centre: what is held about me, a copy of it, what I agreed to, who looked, and what I asked."""

from smtplib import SMTPException
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import audit
from clinic_booking.accounts import codes, step_up
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.templatetags.page import phone
from patients import consents, contacts
from patients.models import DataCopy, Patient, PrivacyRequest
from patients.rights import accesses, copies, forms, notices, parts, purposes, requests

SHOWN = 200
CODE = codes.Purpose.STEP_UP
CODE_OF_COPY, CODE_OF_EMAIL = "code_of_copy", "code_of_email"


def me(request: Request) -> Patient:
    """Behind `login_required`."""
    return get_object_or_404(Patient, user=_user(request))


@never_cache
@login_required
@require_safe
def centre(request: Request) -> HttpResponse:
    patient = me(request)
    context = {
        "nav": "me",
        "patient": patient,
        "notice": notices.current(),
        "must_agree": consents.must_be_asked(patient.pk),
        "purposes": purposes.of(patient),
        "requests": PrivacyRequest.objects.filter(patient=patient).order_by("-pk")[:SHOWN],
    }
    return render(request, "patients/rights/centre.html", context)


@never_cache
@login_required
@step_up.required
@require_safe
def data(request: Request) -> HttpResponse:
    patient = me(request)
    audit.record(
        audit.Action.VIEW, f"patient:{patient.pk}", by=_user(request), patient_id=patient.pk, fields=["all"]
    )
    context = {"nav": "me", "sections": parts.collect(patient), "patient": patient}
    return render(request, "patients/rights/data.html", context)


@never_cache
@login_required
@require_safe
def who_looked(request: Request) -> HttpResponse:
    patient = me(request)
    rows = accesses.of_last_year(patient)[:SHOWN]
    return render(request, "patients/rights/accesses.html", {"nav": "me", "rows": rows})


# -- Consents ------------------------------------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def consent(request: Request, purpose: str) -> HttpResponse:
    """One purpose: what it is for, what follows when it is taken back, and the two buttons."""
    patient = me(request)
    found = next((p for p in purposes.of(patient) if p.name == purpose), None)
    if found is None:
        raise Http404
    if request.method == "POST":
        _say(request, patient, found, is_given=request.POST.get("say") == "yes")
        return redirect("my_privacy")
    context = {
        "nav": "me",
        "purpose": found,
        "notice": notices.current(),
        "may_agree": not found.is_given or (found.is_required and not consents.is_current(patient.pk)),
        "may_refuse": found.is_given or not found.is_asked,
    }
    return render(request, "patients/rights/consent.html", context)


def _say(request: Request, patient: Patient, purpose: purposes.Purpose, *, is_given: bool) -> None:
    user = _user(request)
    how = consents.Asked("web", "rights", str(purpose.wording))
    if is_given and purpose.is_required:
        consents.agree(patient=patient, by=user, how=how)
        messages.success(request, _("Thank you. We have noted that you agree."))
        return
    wanted = {purpose.name: is_given}
    changed = consents.record(patient_id=patient.pk, wanted=wanted, channel="web", by=user, how=how)
    if changed and purpose.is_required:
        # What is booked and what the law keeps has to be looked at by a person.
        requests.receive(
            kind=PrivacyRequest.Kind.WITHDRAWAL,
            channel=PrivacyRequest.Channel.WEB,
            text=str(purpose.title),
            by=user,
            patient=patient,
            identity_proof=PrivacyRequest.Proof.LOGIN,
        )
        messages.info(request, _("You have taken back your agreement. Our privacy officer writes to you."))
    else:
        messages.success(request, _("Saved. It counts from now on."))


# -- Copies --------------------------------------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def my_copies(request: Request) -> HttpResponse:
    patient = me(request)
    if request.method == "POST":
        if not step_up.is_fresh(request):
            return step_up.ask(request)
        form = request.POST.get("form")
        if form not in DataCopy.Form.values:
            raise Http404
        copies.ask(patient=patient, form=form, by=_user(request))
        return redirect("my_copies")
    found = list(DataCopy.objects.filter(patient=patient).defer("content").order_by("-created_at")[:10])
    now = timezone.now()
    rows = [(copy, copies.token_of(copy), copy.is_over(now)) for copy in found]
    template = "patients/rights/_copies.html" if request.htmx else "patients/rights/copies.html"
    is_waiting = any(copy.ready_at is None for copy in found)
    context = {"nav": "me", "rows": rows, "is_waiting": is_waiting, "forms": DataCopy.Form.choices[::-1]}
    return render(request, template, context)


@never_cache
@require_safe
def data_copy(request: Request, token: str) -> HttpResponse:
    """Opening it takes nothing: mail scanners open links."""
    return _copy_page(request, _copy(request, token), token)


@never_cache
@require_POST
def code_for_copy(request: Request, token: str) -> HttpResponse:
    """For who has no login: the code goes to the address on file."""
    copy = _copy(request, token)
    try:
        sent = codes.send_mail(request, purpose=CODE, to=copy.patient.email, subject=f"copy:{copy.pk}")
    except (OSError, SMTPException) as error:
        raise codes.NotSent from error
    request.session[CODE_OF_COPY] = sent
    return _copy_page(request, copy, token)


@never_cache
@require_POST
def copy_file(request: Request, token: str) -> HttpResponse:
    """The one time that it is given out: to the login of the patient that was just confirmed, or for the code."""
    copy = _copy(request, token)
    if request.user.is_authenticated:
        if not step_up.is_fresh(request):
            return step_up.ask(request)
    elif not _is_code_right(request, copy):
        wrong = _("This is not the code, or it is too old.")
        return _copy_page(request, copy, token, sentence=wrong, status=422)
    by = request.user if isinstance(request.user, User) else None
    fetched, content = copies.fetch(copy_id=copy.pk, by=by)
    headers = {"Content-Disposition": f'attachment; filename="my-data.{fetched.form}"'}
    return HttpResponse(content, content_type=copies.TYPES[DataCopy.Form(fetched.form)], headers=headers)


def _is_code_right(request: Request, copy: DataCopy) -> bool:
    sent, typed = request.session.get(CODE_OF_COPY, ""), request.POST.get("code", "")[:20]
    row = codes.is_right(sent, typed, purpose=CODE, to=copy.patient.email)
    return row is not None and row.subject == f"copy:{copy.pk}"


def _copy(request: Request, token: str) -> DataCopy:
    """Who is logged in may open their own only. Raises CopyOver."""
    found = copies.find(token)
    if found is None or (request.user.is_authenticated and found.patient.user_id != request.user.pk):
        raise Http404
    return found


def _copy_page(
    request: Request, copy: DataCopy, token: str, *, sentence: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "nav": "me",
        "copy": copy,
        "token": token,
        "is_sent": CODE_OF_COPY in request.session,
        "sentence": sentence,
    }
    return render(request, "patients/rights/copy.html", context, status=status)


# -- Correction ----------------------------------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def details(request: Request) -> HttpResponse:
    """The telephone number at once; an e-mail address when the code that went there comes back."""
    patient = me(request)
    form = forms.OwnDetailsForm(
        request.POST or None, initial={"phone": phone(patient.phone), "email": patient.email}
    )
    if request.method == "POST" and form.is_valid():
        if not step_up.is_fresh(request):
            return step_up.ask(request)
        contacts.change_own(patient=patient, by=_user(request), phone=form.cleaned_data["phone"])
        if form.cleaned_data["email"].lower() != patient.email.lower():
            _send_code(request, patient, form.cleaned_data["email"])
            return redirect("code_new_email")
        messages.success(request, _("Saved."))
        return redirect("my_details")
    context = {"nav": "me", "form": form, "patient": patient}
    return render(request, "patients/rights/details.html", context, status=422 if form.errors else 200)


def _send_code(request: Request, patient: Patient, address: str) -> None:
    subject = f"new_email:{patient.pk}"
    try:
        sent = codes.send_mail(request, purpose=CODE, to=address, subject=subject)
    except (OSError, SMTPException) as error:
        raise codes.NotSent from error
    request.session[CODE_OF_EMAIL] = {"id": sent, "to": address}


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_email(request: Request) -> HttpResponse:
    patient, sent = me(request), request.session.get(CODE_OF_EMAIL)
    if sent is None:
        return redirect("my_details")
    wrong = False
    if request.method == "POST":
        row = codes.is_right(sent["id"], request.POST.get("code", "")[:20], purpose=CODE, to=sent["to"])
        if row is not None and row.subject == f"new_email:{patient.pk}":
            contacts.change_own(patient=patient, by=_user(request), email=sent["to"])
            del request.session[CODE_OF_EMAIL]
            messages.success(request, _("Your new e-mail address is confirmed."))
            return redirect("my_details")
        wrong = True
    context = {"nav": "me", "wrong": wrong, "to": sent["to"]}
    return render(request, "patients/rights/new_email.html", context, status=422 if wrong else 200)


# -- Requests ------------------------------------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: Request) -> HttpResponse:
    patient = me(request)
    form = forms.AskForm(request.POST or None, initial={"kind": request.GET.get("kind", "")})
    if request.method == "POST" and form.is_valid():
        made = requests.receive(
            kind=form.cleaned_data["kind"],
            channel=PrivacyRequest.Channel.WEB,
            text=form.cleaned_data["text"],
            by=_user(request),
            patient=patient,
            identity_proof=PrivacyRequest.Proof.LOGIN,
        )
        messages.success(request, _sent(made))
        return redirect("my_privacy")
    status = 422 if form.errors else 200
    return render(request, "patients/rights/ask.html", {"nav": "me", "form": form}, status=status)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def complaint(request: Request) -> HttpResponse:
    """For everybody: no login is needed to complain."""
    form = forms.ComplaintForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = requests.receive(
            kind=PrivacyRequest.Kind.COMPLAINT,
            channel=PrivacyRequest.Channel.WEB,
            text=form.cleaned_data["text"],
            by=request.user if isinstance(request.user, User) else None,
            name=form.cleaned_data["name"],
            contact=form.cleaned_data["contact"],
        )
        return render(request, "patients/rights/complaint.html", {"made": made})
    context: dict[str, Any] = {"form": form}
    status = 422 if form.errors else 200
    return render(request, "patients/rights/complaint.html", context, status=status)


def _sent(made: PrivacyRequest) -> str:
    facts = {"reference": made.reference, "day": parts.said(made.due_on)}
    return _("We have it under the reference %(reference)s and answer by %(day)s at the latest.") % facts


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
