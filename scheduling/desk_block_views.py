"""Blocking, opening and adding times on the calendar: a dialog, one act, and its undoing."""

import datetime as dt
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking.context import Request
from clinic_booking.errors import NamedError, NotAllowed
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from clinic_booking.templatetags.page import local_time
from scheduling import desk_block as acts
from scheduling.desk import acts_at, clinics_of
from scheduling.desk_move_forms import WallField, WhereForm
from scheduling.forms import MAX_ID, BadField
from scheduling.models import (
    ChangePlan,
    Clinic,
    Practitioner,
    ScheduleException,
    Slot,
    Station,
)

MAX_SLOTS = 300


class SpanForm(WhereForm):
    until = WallField()

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("start") and given.get("until") and given["until"] <= given["start"]:
            self.add_error("until", gettext_lazy("The end must be after the start."))
        return given

    def span(self) -> acts.Span:
        given = self.cleaned_data
        return acts.Span(
            clinic=given["clinic"],
            practitioner_id=given["practitioner"],
            station_id=given["station"],
            starts_at=self.instant(),
            ends_at=self.instant("until"),
        )


class BlockForm(SpanForm):
    BLOCK, EXTRA, OPEN = "block", "extra", "open"
    what = forms.ChoiceField(
        choices=[
            (BLOCK, gettext_lazy("Block, with a reason")),
            (EXTRA, gettext_lazy("Add extra times")),
            (OPEN, gettext_lazy("Open what is blocked")),
        ]
    )
    reason = forms.CharField(max_length=120, required=False)
    slot_minutes = forms.IntegerField(min_value=5, max_value=240, required=False)

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("what") == self.BLOCK and not given.get("reason"):
            self.add_error("reason", gettext_lazy("Please say why the time is blocked."))
        if given.get("what") == self.EXTRA and not (given.get("practitioner") and given.get("station")):
            self.add_error("station", gettext_lazy("Please choose who works there and where."))
        return given


class SlotsForm(forms.Form):
    slots = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, *args: Any, clinics: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        asked = [pk for pk in self.data.getlist("slots") if pk.isdecimal() and int(pk) <= MAX_ID]  # type: ignore[attr-defined]
        self.found = list(Slot.objects.filter(pk__in=asked[:MAX_SLOTS], clinic__in=clinics).order_by("pk"))
        self.fields["slots"].choices = [(slot.pk, slot.pk) for slot in self.found]  # type: ignore[attr-defined]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: Request, clinic: str) -> HttpResponse:
    here, user = _asked(request, clinic)
    if request.method != "POST":
        return _dialog(request, here, user)
    form = BlockForm(request.POST, user=user)
    if not form.is_valid():
        return _refused(request, here, user, BadField(form))
    try:
        if form.cleaned_data["what"] == BlockForm.BLOCK:
            return _block(request, here, user, form)
        if form.cleaned_data["what"] == BlockForm.OPEN:
            opened = acts.open_span(span=form.span(), by=user)
            return _done(request, here, _opened_text(opened), form, None)
        return _add(request, here, user, form)
    except NamedError as refusal:
        return _refused(request, here, user, refusal)


def _block(request: Request, here: Clinic, user: User, form: BlockForm) -> HttpResponse:
    made = acts.block(span=form.span(), reason=form.cleaned_data["reason"], by=user)
    if isinstance(made, ChangePlan):
        return _to_plan(request, made)
    said = {"from": _time(made[0].starts_at, made[0]), "until": _time(made[-1].ends_at, made[-1])}
    undo = {"url": reverse("desk_unblock", args=[here.slug]), "slots": [slot.pk for slot in made]}
    return _done(request, here, _("Blocked: %(from)s–%(until)s.") % said, form, undo)


def _add(request: Request, here: Clinic, user: User, form: BlockForm) -> HttpResponse:
    plan, made = acts.add_times(
        span=form.span(),
        slot_minutes=form.cleaned_data["slot_minutes"] or _usual_length(form.cleaned_data),
        reason=form.cleaned_data["reason"],
        by=user,
    )
    if made is None:
        return _to_plan(request, plan)
    sentence = _("Extra times added: %(count)s.") % {"count": plan.added}
    return _done(request, here, sentence, form, {"url": reverse("desk_unextra", args=[here.slug, made.pk])})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def opening(request: Request, clinic: str) -> HttpResponse:
    """Of a blocked time: the dialog, and the act."""
    here, user = _asked(request, clinic)
    if request.method != "POST":
        form = SpanForm(request.GET, user=user)
        if not form.is_valid():
            raise BadField(form)
        blocked = acts.blocked_around(form.span())
        return _show(
            request, here, "desk_unblock", {"blocked": blocked, "place": form.cleaned_data["clinic"]}
        )
    chosen = SlotsForm(request.POST, clinics=acts_at(user, Can.MANAGE_SUPPLY))
    if not chosen.is_valid():
        raise BadField(chosen)
    try:
        opened = acts.open_again(slots=chosen.found, by=user)
    except NamedError as refusal:
        return _refused(request, here, user, refusal)
    return _done(request, here, _opened_text(opened), None, None)


@login_required
@require_POST
def removal(request: Request, clinic: str, pk: int) -> HttpResponse:
    """Of extra hours that were just added."""
    here, user = _asked(request, clinic)
    extra = ScheduleException.objects.filter(
        kind=ScheduleException.Kind.EXTRA_HOURS,
        clinic__in=acts_at(user, Can.MANAGE_SUPPLY),
        withdrawn_at=None,
    )
    plan = acts.remove_times(exception=get_object_or_404(extra, pk=pk), by=user)
    if plan.status != ChangePlan.Status.APPLIED:
        return _to_plan(request, plan)
    return _done(request, here, _("The extra times are gone again."), None, None)


# -- Common --------------------------------------------------------------------------------------


def _asked(request: Request, slug: str) -> tuple[Clinic, User]:
    """Behind `login_required`. Raises NotAllowed for those who only look."""
    assert request.user.is_authenticated
    here = get_object_or_404(clinics_of(request.user), slug=slug)
    if not may(request.user, Can.MANAGE_SUPPLY, here):
        raise NotAllowed
    return here, request.user


def _opened_text(opened: list[Slot]) -> str:
    said = ngettext("%(count)d time is open again.", "%(count)d times are open again.", len(opened))
    return said % {"count": len(opened)}


def _time(instant: dt.datetime, slot: Slot) -> str:
    return local_time(instant, slot.clinic)


def _usual_length(given: dict[str, Any]) -> int:
    """As long as the practitioner's other times."""
    usual = Slot.objects.filter(practitioner=given["practitioner"]).order_by("-starts_at").first()
    return int((usual.ends_at - usual.starts_at).total_seconds() // 60) if usual else 20


def _wants_json(request: Request) -> bool:
    return request.headers.get("accept") == "application/json"


def _to_plan(request: Request, plan: ChangePlan) -> HttpResponse:
    url = reverse("supply_plan", args=[plan.clinic.slug, plan.pk])
    return JsonResponse({"plan": url}) if _wants_json(request) else redirect(url)


def _done(
    request: Request, here: Clinic, sentence: str, form: SpanForm | None, undo: dict[str, Any] | None
) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"sentence": sentence, "undo": undo})
    messages.success(request, sentence)
    day = f"?date={form.cleaned_data['start']:%Y-%m-%d}" if form else ""
    return redirect(reverse("desk", args=[here.slug]) + day)


def _refused(request: Request, here: Clinic, user: User, refusal: NamedError) -> HttpResponse:
    sentence = str(refusal.sentence)
    if _wants_json(request):
        return JsonResponse({"error": sentence}, status=refusal.status)
    if "what" not in request.POST:
        raise refusal
    return _dialog(request, here, user, sentence=sentence, status=refusal.status)


def _dialog(
    request: Request, here: Clinic, user: User, *, sentence: str = "", status: int = 200
) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    place = acts_at(user, Can.MANAGE_SUPPLY).filter(slug=given.get("clinic", "")).first() or here
    ahead = place.slots.filter(starts_at__gt=timezone.now()).order_by().values("practitioner")
    here_now = Q(pk__in=place.templates.values("practitioner")) | Q(pk__in=ahead)
    people = Practitioner.objects.filter(here_now, is_active=True)
    context = {
        "place": place,
        "given": given,
        "people": people.order_by("name"),
        "stations": Station.objects.filter(clinic=place).order_by("name"),
        "sentence": sentence,
    }
    return _show(request, here, "desk_block", context, status)


def _show(
    request: Request, here: Clinic, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    context |= {"nav": "desk", "clinic": here, "tab": "day"}
    template = f"scheduling/_{name}.html" if request.htmx else f"scheduling/{name}.html"
    return render(request, template, context, status=status)
