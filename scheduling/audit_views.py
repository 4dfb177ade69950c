"""Pages of the audit trail: the privacy officer sees all of it, a manager what happened at the clinic."""

import csv
import datetime as dt
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.auth.decorators import login_required
from django.db.models.functions import Now
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clinic_booking import audit
from clinic_booking.audit.reads import saw
from clinic_booking.context import Request
from clinic_booking.models import AuditAlert, AuditEvent, User
from clinic_booking.roles import Can, may
from scheduling import audit_trail
from scheduling.audit_trail import SHOWN, Asked
from scheduling.models import Clinic, Membership

KINDS = [("looks", _("Looks and acts")), ("changes", _("Changes"))]
LAST = 2**62
ROLES = dict([*Membership.Role.choices, *User.Office.choices])


class SearchForm(forms.Form):
    kind = forms.ChoiceField(label=_("What"), choices=KINDS, required=False)
    login = forms.CharField(label=_("Login"), max_length=150, required=False)
    patient = forms.IntegerField(label=_("Patient number"), min_value=1, max_value=LAST, required=False)
    clinic = forms.ModelChoiceField(
        label=_("Clinic"), queryset=Clinic.objects.order_by("name"), required=False
    )
    action = forms.ChoiceField(
        label=_("Action"), choices=[("", _("Any")), *AuditEvent.Action.choices], required=False
    )
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput({"type": "date"}))
    before = forms.IntegerField(
        min_value=1, max_value=LAST, required=False, widget=forms.HiddenInput, label=_("Before")
    )

    def __init__(self, *args: Any, here: Clinic | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.here = here
        for field in self.fields.values():
            of_choice = isinstance(field.widget, forms.Select)
            field.widget.attrs["class"] = "form-select" if of_choice else "form-control"
        if here:
            del self.fields["clinic"]

    def clean_login(self) -> User | None:
        if not (name := self.cleaned_data["login"].strip()):
            return None
        if user := User.objects.filter(username__iexact=name).first():
            return user
        raise forms.ValidationError(_("Nobody logs in with this name."))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        for name in ("since", "until"):
            if not _is_near(given.get(name)):
                self.add_error(name, _("There is no audit trail of that time."))
        return given

    def asked(self) -> Asked:
        given = self.cleaned_data
        clinic = self.here or given.get("clinic")
        return Asked(
            kind=given["kind"] or "looks",
            actor_id=given["login"].pk if given["login"] else None,
            patient_id=given["patient"],
            clinic_id=clinic.pk if clinic else None,
            action=given["action"],
            since=_midnight(given["since"]),
            until=_midnight(given["until"], dt.timedelta(1)),
            before=given["before"],
        )


def _is_near(day: dt.date | None) -> bool:
    return day is None or 2000 <= day.year < 2200


def _midnight(day: dt.date | None, more: dt.timedelta = dt.timedelta(0)) -> dt.datetime | None:
    return timezone.make_aware(dt.datetime.combine(day + more, dt.time())) if day else None


# -- Pages ---------------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def index(request: Request, clinic: str = "") -> HttpResponse:
    here = _here(request, clinic)
    form = SearchForm(request.GET, here=here)
    rows: list[Any] = []
    if form.is_valid():
        rows = audit_trail.find(form.asked(), SHOWN + 1)
        audit.record(
            audit.Action.LIST,
            "audit:trail",
            by=_user(request),
            clinic_id=here.pk if here else None,
            count=len(rows),
        )
        saw(row.patient_id for row in rows[:SHOWN] if getattr(row, "kept", None) and row.patient_id)
    for row in rows:
        row.role_name = ROLES.get(getattr(row, "role", ""), "")
    query = {name: request.GET[name] for name in form.fields if request.GET.get(name) and name != "before"}
    context = _context(request, here, "trail") | {
        "form": form,
        "rows": rows[:SHOWN],
        "kind": form.cleaned_data.get("kind") or "looks",
        "names": _names(rows),
        "query": urlencode(query),
        "next": urlencode(query | {"before": rows[SHOWN - 1].pk}) if len(rows) > SHOWN else "",
        "alerts": AuditAlert.objects.filter(closed_at=None).order_by("-pk")[:20] if not here else [],
    }
    return render(request, "scheduling/audit.html", context, status=200 if form.is_valid() else 422)


@never_cache
@login_required
@require_safe
def download(request: Request, clinic: str = "") -> HttpResponse | StreamingHttpResponse:
    here = _here(request, clinic)
    form = SearchForm(request.GET, here=here)
    if not form.is_valid():
        return index(request, clinic)
    asked = form.asked()
    said = " ".join(f"{name}={value}" for name, value in asked._asdict().items() if value)
    audit.record(
        audit.Action.EXPORT,
        "audit:trail",
        by=_user(request),
        clinic_id=here.pk if here else None,
        reason=said,
    )
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return StreamingHttpResponse(_lines(asked), content_type="text/csv; charset=utf-8", headers=headers)


@never_cache
@login_required
@require_safe
def review(request: Request, clinic: str = "") -> HttpResponse:
    """What the staff looked at in the seven days before a date, by clinic."""
    here = _here(request, clinic)
    try:
        last = dt.date.fromisoformat(request.GET.get("to", ""))
    except ValueError:
        last = timezone.localdate()
    if not _is_near(last):
        last = timezone.localdate()
    until = _midnight(last, dt.timedelta(1))
    assert until
    rows = audit_trail.week(until - dt.timedelta(7), until, here)
    audit.record(
        audit.Action.LIST,
        "audit:review",
        by=_user(request),
        clinic_id=here.pk if here else None,
        count=len(rows),
    )
    clinics = Clinic.objects.in_bulk([row.clinic_id for row in rows if row.clinic_id])
    context = _context(request, here, "review") | {
        "rows": [(row, clinics.get(row.clinic_id or 0), ROLES.get(row.role, row.role)) for row in rows],
        "names": _names(rows),
        "last": last,
        "first": last - dt.timedelta(6),
    }
    return render(request, "scheduling/audit_review.html", context)


@login_required
@require_POST
def close_alert(request: Request, pk: int) -> HttpResponse:
    _here(request, "")
    alert = get_object_or_404(AuditAlert, pk=pk)
    if alert.closed_at is None:
        note = request.POST.get("note", "")[:200]
        AuditAlert.objects.filter(pk=pk).update(closed_at=Now(), closed_by_id=_user(request).pk, note=note)
        audit.record(audit.Action.CHANGE, f"audit_alert:{pk}", by=_user(request), fields=["closed"])
    return redirect("audit")


def _context(request: Request, here: Clinic | None, part: str) -> dict[str, Any]:
    base = "scheduling/desk_work.html" if here else "patients/office/page.html"
    nav = {"nav": "desk", "tab": "audit", "clinic": here} if here else {"office": "audit"}
    return {**nav, "base": base, "here": here, "part": part}


def _here(request: Request, slug: str) -> Clinic | None:
    """None: all clinics. To all others it does not exist."""
    here = get_object_or_404(Clinic, slug=slug) if slug else None
    if not may(_user(request), Can.SEE_AUDIT, here) or (here is None and not _has_office(request)):
        raise Http404
    return here


def _has_office(request: Request) -> bool:
    return _user(request).office == User.Office.PRIVACY_OFFICER


def _names(rows: list[Any]) -> dict[int, str]:
    ids = {row.actor_id for row in rows if row.actor_id}
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "username"))


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user


class _Line:
    def write(self, text: str) -> str:
        return text


def _lines(asked: Asked) -> Iterator[str]:
    writer = csv.writer(_Line())
    for line in audit_trail.export(asked):
        # A spreadsheet would run what begins like a formula: a reason is a text that a person wrote.
        yield str(
            writer.writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell for cell in line])
        )
