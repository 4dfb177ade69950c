"""The register of incidents: clocks, the people affected, the facts for the Commission, letters."""

import csv
from io import StringIO

from django.contrib import messages
from django.contrib.admin.utils import label_for_field
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import audit
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.retention import breach
from clinic_booking.retention.models import Incident
from patients.access import Can
from patients.retention import affected, forms, letters
from patients.retention.office_views import PAGES, SHOWN, officer


@never_cache
@login_required
@require_safe
def incidents(request: Request) -> HttpResponse:
    officer(request, Can.MANAGE_BREACHES)
    now = timezone.now()
    found = Incident.objects.order_by("-discovered_at")[:SHOWN]
    rows = [
        (each, clock, clock.left(now) if clock else "", clock is not None and clock.is_overdue(now))
        for each in found
        for clock in [_next(each)]
    ]
    context = {"office": "incidents", "rows": rows}
    return render(request, f"{PAGES}/incidents.html", context)


def _next(incident: Incident) -> breach.Deadline | None:
    """What runs out first."""
    running = [d for d in breach.deadlines(incident) if d.due and not d.done]
    return min(running, key=lambda d: d.due or d.title, default=None) if not incident.closed_at else None


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: Request, pk: int | None = None) -> HttpResponse:
    user = officer(request, Can.MANAGE_BREACHES)
    found = get_object_or_404(Incident, pk=pk) if pk else None
    form = forms.IncidentForm(
        request.POST or None, instance=found, initial=None if found else {"discovered_at": timezone.now()}
    )
    if request.method == "POST" and form.is_valid():
        saved = form.save(commit=False)
        try:
            breach.save(saved, by=user, changed=form.changed_data)
        except NamedError as refused:
            form.add_error(None, str(refused))
        else:
            return redirect("incident", saved.pk)
    title = str(found) if found else _("New incident")
    context = {"office": "incidents", "form": form, "title": title, "button": _("Save")}
    return render(request, f"{PAGES}/form.html", context, status=422 if form.errors else 200)


@never_cache
@login_required
@require_safe
def incident(request: Request, pk: int) -> HttpResponse:
    user = officer(request, Can.MANAGE_BREACHES)
    return _page(request, get_object_or_404(Incident, pk=pk), user)


def _page(
    request: Request, found: Incident, user: User, *, form: forms.DecideForm | None = None
) -> HttpResponse:
    audit.record(audit.Action.VIEW, f"incident:{found.pk}", by=user)
    now = timezone.now()
    decision, reasons = breach.proposal(found)
    context = {
        "office": "incidents",
        "found": found,
        "clocks": [(each, each.left(now), each.is_overdue(now)) for each in breach.deadlines(found)],
        "proposal": Incident.Decision(decision).label,
        "reasons": reasons,
        "form": form or forms.DecideForm(initial={"decision": decision, "reasons": "\n".join(reasons)}),
        "steps": _steps(found),
        "affected": len(affected.patient_ids(found)),
        "letters": letters.sent(found),
    }
    status = 422 if form and form.errors else 200
    return render(request, f"{PAGES}/incident.html", context, status=status)


def _steps(found: Incident) -> list[tuple[str, str]]:
    """What can still be noted as done."""
    open_steps = [step for step in breach.STEPS if getattr(found, f"{step}_at") is None]
    return [(step, str(label_for_field(f"{step}_at", Incident))) for step in open_steps]


@never_cache
@login_required
@require_POST
def act(request: Request, pk: int, what: str) -> HttpResponse:
    user = officer(request, Can.MANAGE_BREACHES)
    found = get_object_or_404(Incident, pk=pk)
    try:
        if what == "decision":
            form = forms.DecideForm(request.POST)
            if not form.is_valid():
                return _page(request, found, user, form=form)
            breach.decide(incident=found, by=user, **form.cleaned_data)
        elif what in breach.STEPS:
            breach.done(incident=found, step=what, by=user)
        elif what == "letters":
            letters.tell(incident=found, by=user)
        elif what == "close":
            breach.close(incident=found, by=user)
        else:
            raise Http404
    except NamedError as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Noted."))
    return redirect("incident", found.pk)


@never_cache
@login_required
@require_safe
def people(request: Request, pk: int) -> HttpResponse:
    """Everybody whose record the audit trail names, as CSV: for the letters and the Commission's number."""
    user = officer(request, Can.MANAGE_BREACHES)
    found = get_object_or_404(Incident, pk=pk)
    rows = list(affected.people(found).values_list("pk", "name", "email", "phone"))
    ids = [row[0] for row in rows]
    audit.record(
        audit.Action.EXPORT, f"incident:{found.pk}", by=user, fields=["people"], count=len(ids), patients=ids
    )
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(["patient", "name", "email", "phone"])
    writer.writerows([_harmless(str(value)) for value in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="incident-{found.pk}-people.csv"'}
    return HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _harmless(value: str) -> str:
    """A spreadsheet takes what begins so for a formula; a telephone number is none."""
    return f"'{value}" if value[:1] in "=@-\t\r" or (value[:1] == "+" and not value[1:].isdigit()) else value


@never_cache
@login_required
@require_safe
def facts(request: Request, pk: int) -> HttpResponse:
    """What the Commission's form asks for."""
    user = officer(request, Can.MANAGE_BREACHES)
    found = get_object_or_404(Incident, pk=pk)
    audit.record(audit.Action.PRINT, f"incident:{found.pk}", by=user, fields=["facts"])
    context = {
        "found": found,
        "people": found.people or len(affected.patient_ids(found)),
        "sent": letters.sent(found),
    }
    return render(request, f"{PAGES}/facts.txt", context, content_type="text/plain; charset=utf-8")
