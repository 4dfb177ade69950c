"""The privacy office: rules, reviews, certificates, holds, vendors, the inventory and the backups."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import audit, backups
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.retention import inventory, rules_in_force
from clinic_booking.retention.deletions import NotWritable
from clinic_booking.retention.models import DataClass, ErasureCertificate, ReviewedErasure, Vendor
from clinic_booking.retention.registry import cleaners
from clinic_booking.retention.rules import change_rule, rule_of
from clinic_booking.retention.run import to_review
from clinic_booking.rows import all_rows
from patients.access import Can, may
from patients.models import Patient
from patients.retention import forms, holds
from patients.retention.models import LegalHold

SHOWN = 50
PAGES = "patients/office"


def officer(request: Request, what: str = Can.MANAGE_RETENTION) -> User:
    """For all others the page does not exist."""
    if not may(request.user, what):
        raise Http404
    assert isinstance(request.user, User)
    return request.user


@never_cache
@login_required
@require_safe
def rules(request: Request) -> HttpResponse:
    officer(request)
    context = {
        "office": "retention",
        "rules": rules_in_force(),
        "waiting": [
            (name, pk) for name, rows in _waiting() for pk in rows.values_list("pk", flat=True)[:SHOWN]
        ],
        "certificates": ErasureCertificate.objects.order_by("-made_at")[:SHOWN],
    }
    return render(request, f"{PAGES}/retention.html", context)


def _waiting(data_class: str = "") -> list[tuple[str, QuerySet[Any]]]:
    """What only goes after somebody looked at it."""
    today = timezone.localdate()
    return [
        (each.data_class, to_review(each, rule_of(each.data_class), today))
        for each in cleaners(data_class)
        if each.reviewed
    ]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rule(request: Request, data_class: str) -> HttpResponse:
    user = officer(request)
    if data_class not in DataClass.values:
        raise Http404
    form = forms.RuleForm(request.POST or None, instance=rule_of(data_class))
    if request.method == "POST" and form.is_valid():
        given = {name: form.cleaned_data[name] for name in forms.RuleForm.Meta.fields}
        try:
            change_rule(data_class=data_class, by=user, **given)
        except NamedError as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, _("The rule is in force, as a new version."))
            return redirect("retention")
    title = str(DataClass(data_class).label)
    return _form(request, form, "retention", title, _("Put into force"))


@never_cache
@login_required
@require_POST
def review(request: Request, data_class: str, pk: int) -> HttpResponse:
    user = officer(request)
    form = forms.ReasonForm(request.POST)
    if not any(rows.filter(pk=pk).exists() for name, rows in _waiting(data_class) if name == data_class):
        messages.info(request, _("This record does not wait to be looked at."))
    elif form.is_valid():
        with transaction.atomic():
            ReviewedErasure.objects.get_or_create(
                data_class=data_class,
                subject_id=pk,
                defaults={"reason": form.cleaned_data["reason"], "reviewed_by": user},
            )
            audit.record(
                audit.Action.CHANGE, f"retention:{data_class}", by=user, patient_id=pk, fields=["reviewed"]
            )
        messages.success(request, _("It goes with the next run."))
    else:
        messages.error(request, _("Please write down the reason."))
    return redirect("retention")


# -- Legal holds ---------------------------------------------------------------------------------


def _decider(request: Request) -> User:
    if not (isinstance(request.user, User) and holds.may_decide(request.user)):
        raise Http404
    return request.user


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def legal_holds(request: Request) -> HttpResponse:
    user = _decider(request)
    form = forms.HoldForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _ask(form, officer(request)):
        messages.success(request, _("It protects from now on. Another person must confirm it within a week."))
        return redirect("legal_holds")
    with all_rows():
        found = list(LegalHold.objects.select_related("asked_by", "lift_asked_by").order_by("-pk")[:SHOWN])
        in_force = set(LegalHold.objects.in_force(timezone.now()).values_list("pk", flat=True))
    context = {
        "office": "holds",
        "form": form,
        "may_ask": may(user, Can.MANAGE_RETENTION),
        "rows": [(hold, hold.pk in in_force) for hold in found],
    }
    return render(request, f"{PAGES}/holds.html", context, status=422 if form.errors else 200)


def _ask(form: forms.HoldForm, user: User) -> bool:
    given = form.cleaned_data
    asked: dict[str, Any] = {"reason": given["reason"]}
    try:
        if given["scope"] == LegalHold.Scope.PERIOD:
            asked["period"] = (given["period_from"], given["period_until"])
        elif given["scope"] == LegalHold.Scope.APPOINTMENT:
            visits = Patient.objects.filter(bookings__reference=given["reference"].strip().upper())
            asked["patient_id"], asked["booking_id"] = visits.values_list("pk", "bookings__pk").get()
        else:
            asked["patient_id"] = Patient.objects.get(pk=given["patient"]).pk
        holds.ask(by=user, **asked)
    except (Patient.DoesNotExist, IntegrityError):
        form.add_error(None, _("There is no such patient or booking."))
        return False
    return True


@never_cache
@login_required
@require_POST
def legal_hold(request: Request, pk: int, what: str) -> HttpResponse:
    user = _decider(request)
    with all_rows():
        hold = get_object_or_404(LegalHold, pk=pk)
    verbs = {"confirmation": holds.confirm, "refusal": holds.refuse, "lift": holds.lift}
    try:
        if what == "lift-request":
            holds.ask_lift(
                hold=hold, reason=request.POST.get("reason", "")[:200] or _("No reason given"), by=user
            )
        elif what in verbs:
            verbs[what](hold=hold, by=user)
        else:
            raise Http404
    except NamedError as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Noted."))
    return redirect("legal_holds")


# -- Vendors, inventory, backups -----------------------------------------------------------------


@never_cache
@login_required
@require_safe
def vendors(request: Request) -> HttpResponse:
    officer(request)
    today = timezone.localdate()
    rows = [(each, each.ended_on is None and each.review_on <= today) for each in Vendor.objects.all()]
    return render(request, f"{PAGES}/vendors.html", {"office": "vendors", "rows": rows})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def vendor(request: Request, pk: int | None = None) -> HttpResponse:
    user = officer(request)
    found = get_object_or_404(Vendor, pk=pk) if pk else None
    form = forms.VendorForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            saved = form.save()
            action = audit.Action.CHANGE if found else audit.Action.CREATE
            audit.record(action, f"vendor:{saved.pk}", by=user, fields=form.changed_data)
        messages.success(request, _("Saved."))
        return redirect("vendors")
    return _form(request, form, "vendors", found.name if found else _("New vendor"), _("Save"))


@never_cache
@login_required
@require_safe
def processing(request: Request) -> HttpResponse:
    """Or as CSV."""
    user = officer(request)
    if request.GET.get("as") == "csv":
        audit.record(audit.Action.EXPORT, "inventory:all", by=user)
        headers = {"Content-Disposition": 'attachment; filename="processing.csv"'}
        return HttpResponse(inventory.as_csv(), content_type="text/csv; charset=utf-8", headers=headers)
    rows = [each for each in inventory.entries() if each.data != "none"]
    return render(request, f"{PAGES}/inventory.html", {"office": "inventory", "rows": rows})


@never_cache
@login_required
@require_safe
def backup_list(request: Request) -> HttpResponse:
    officer(request)
    try:
        context = {"kept": backups.kept()[:SHOWN], "drills": backups.drills()[:SHOWN]}
    except NotWritable:
        context = {"kept": [], "drills": []}
    return render(request, f"{PAGES}/backups.html", {"office": "backups", **context})


def _form(request: Request, form: Any, office: str, title: str, button: str) -> HttpResponse:
    context = {"office": office, "form": form, "title": title, "button": button}
    return render(request, f"{PAGES}/form.html", context, status=422 if form.errors else 200)
