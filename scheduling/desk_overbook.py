"""The page that adds a visit to a time that is taken: on purpose, with a reason, as often as the hours allow."""

import datetime as dt
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clinic_booking.context import Request
from patients.search import find_patients, repeated
from scheduling import walk_ins
from scheduling.desk_book import BUSY, _clinic, _patient, _slot, _user
from scheduling.desk_book_forms import PatientForm
from scheduling.desk_book_times import offered_at
from scheduling.errors import BookingError, PatientBusy
from scheduling.forms import IsoDateField
from scheduling.models import (
    Clinic,
    Overbooking,
    Practitioner,
    ScheduleTemplate,
    Service,
    Slot,
    WalkIn,
)
from scheduling.overbooking import (
    MAX_REASON,
    NoReason,
    OutsideHours,
    Places,
    hours_at,
    may_overbook,
    overbook,
    places,
)
from scheduling.views import see_other


class OverbookForm(PatientForm):
    walk_in = forms.ModelChoiceField(WalkIn.objects.none(), required=False, widget=forms.HiddenInput)
    practitioner = forms.ModelChoiceField(Practitioner.objects.none(), label=gettext_lazy("Who"))
    service = forms.ModelChoiceField(
        Service.objects.none(), label=gettext_lazy("Service"), to_field_name="slug", empty_label=None
    )
    date = IsoDateField(
        label=gettext_lazy("Day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    time = forms.TimeField(
        label=gettext_lazy("Time"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON,
        help_text=gettext_lazy("Kept with the visit, with your name. For example: in pain, cannot wait."),
        error_messages={"required": NoReason.sentence},
    )

    def __init__(self, *args: Any, clinic: Clinic, **options: Any) -> None:
        super().__init__(*args, **options)
        self.clinic = clinic
        hours = ScheduleTemplate.objects.filter(clinic=clinic)
        works = Practitioner.objects.filter(pk__in=hours.values("practitioner"), is_active=True)
        offered = Service.objects.filter(pk__in=[s.pk for s in offered_at(clinic)])
        for name, rows in (("practitioner", works), ("service", offered)):
            self.fields[name].queryset = rows.order_by("name")  # type: ignore[attr-defined]
        self.fields["walk_in"].queryset = waiting_at(clinic)  # type: ignore[attr-defined]

    @property
    def starts_at(self) -> dt.datetime:
        day, time = self.cleaned_data["date"], self.cleaned_data["time"]
        return dt.datetime.combine(day, time, self.clinic.zone)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: Request, clinic: str) -> HttpResponse:
    here = _clinic(request, clinic)
    if not may_overbook(_user(request), here):
        raise Http404
    if request.method != "POST" or request.POST.get("act") == "find":
        return _page(
            request, here, OverbookForm(initial=_initial(request, here), clinic=here, by=_user(request))
        )
    form = OverbookForm(request.POST, clinic=here, by=_user(request))
    if not form.is_valid():
        return _page(request, here, form, status=409 if form.alike or form.is_known_elsewhere else 422)
    try:
        return _add(request, here, form)
    except BookingError as refusal:
        form.add_error(None, str(BUSY if isinstance(refusal, PatientBusy) else refusal))
        return _page(request, here, form, status=refusal.status)


def _add(request: Request, here: Clinic, form: OverbookForm) -> HttpResponse:
    given, by = form.cleaned_data, _user(request)
    slot = Slot.objects.filter(
        clinic=here,
        practitioner=given["practitioner"],
        starts_at__lte=form.starts_at,
        ends_at__gt=form.starts_at,
    ).first()
    if slot is None:
        raise OutsideHours
    walk_in: WalkIn | None = given["walk_in"]
    with transaction.atomic(durable=True):
        made = overbook(
            clinic=here,
            practitioner=given["practitioner"],
            station=slot.station,
            service=given["service"],
            starts_at=form.starts_at,
            patient=walk_in.visit.patient if walk_in else form.person(by=by),
            reason=given["reason"],
            by=by,
            session_id=walk_in.session_id if walk_in else None,
            may_have_begun=walk_in is not None,
        )
        if walk_in:
            walk_ins.begin_as(walk_in_id=walk_in.pk, booking=made, by=by)
    if walk_in:
        return see_other(reverse("desk_queue", args=[here.slug]))
    messages.success(request, _("%(name)s is added to a time that was taken.") % {"name": made.patient.name})
    return see_other(reverse("desk_booking", args=[here.slug, made.reference]))


def _initial(request: Request, here: Clinic) -> dict[str, Any]:
    asked = request.POST if request.method == "POST" else request.GET
    initial: dict[str, Any] = {name: value for name, value in asked.items() if name != "patient"}
    if request.method != "POST" and (walk_in := _walk_in(here, asked.get("walk_in", ""))):
        return _now_for(walk_in, here)
    slot = _slot(request, asked.get("slot", ""))
    if slot and slot.clinic_id == here.pk:
        local = slot.starts_at.astimezone(here.zone)
        initial |= {"practitioner": slot.practitioner_id, "date": local.date(), "time": local.time()}
    initial.setdefault("date", here.today())
    return initial


def waiting_at(clinic: Clinic) -> QuerySet[WalkIn]:
    found = WalkIn.objects.filter(visit__clinic=clinic, booking=None, left_at=None)
    return found.select_related("visit__patient", "session__request__service")


def _walk_in(here: Clinic, given: str) -> WalkIn | None:
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        return None
    return waiting_at(here).filter(pk=given).first()


def _now_for(walk_in: WalkIn, here: Clinic) -> dict[str, Any]:
    """The time under way of who is asked for, or of whoever may do it."""
    service = walk_in.session.request.service
    under_way = Slot.objects.filter(
        clinic=here, station__kind=service.station_kind, starts_at__lte=Now(), ends_at__gt=Now()
    ).exclude(template=None)
    if walk_in.practitioner_id:
        under_way = under_way.filter(practitioner=walk_in.practitioner_id)
    slot = (
        under_way.filter(practitioner__in=service.practitioners.all()).order_by("practitioner__name").first()
    )
    initial = {
        "walk_in": walk_in.pk,
        "patient": walk_in.visit.patient_id,
        "service": service.slug,
        "date": here.today(),
        "practitioner": walk_in.practitioner_id,
    }
    if slot:
        local = slot.starts_at.astimezone(here.zone)
        initial |= {"practitioner": slot.practitioner_id, "date": local.date(), "time": local.time()}
    return initial


def _page(request: Request, here: Clinic, form: OverbookForm, *, status: int = 200) -> HttpResponse:
    known = form.known or _patient(request, str(form["patient"].value() or ""))
    asked = str(form["q"].value() or "")
    context = {
        "nav": "desk",
        "tab": "day",
        "clinic": here,
        "form": form,
        "is_bound": form.is_bound,
        "known": known,
        "q": repeated(asked),
        "found": find_patients(asked, by=_user(request))
        if asked and not known and not form.is_bound
        else None,
        "places": _places(here, form),
        "today": Overbooking.objects.filter(booking__clinic=here, date=here.today(), ended_at=None)
        .select_related("booking__patient", "booking__practitioner", "added_by")
        .order_by("booking__starts_at"),
    }
    return render(request, "scheduling/desk_overbook.html", context, status=status)


def _places(here: Clinic, form: OverbookForm) -> Places | None:
    """Of the hours that are chosen, as far as they are."""
    if form.is_bound:
        given = getattr(form, "cleaned_data", {})
        who, day, time = (given.get(name) for name in ("practitioner", "date", "time"))
    else:
        who = Practitioner.objects.filter(pk=form.initial.get("practitioner") or 0).first()
        day, time = form.initial.get("date"), form.initial.get("time")
    if not (who and isinstance(day, dt.date) and isinstance(time, dt.time)):
        return None
    starts_at = dt.datetime.combine(day, time, here.zone)
    template = hours_at(clinic=here, practitioner=who, starts_at=starts_at)
    return places(template, day) if template else None
