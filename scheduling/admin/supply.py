"""Plans, which admins write, and the slots that follow from them."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import get_deleted_objects
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.dates import WEEKDAYS
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from clinic_booking.admin import LargeAdmin
from clinic_booking.models import User
from scheduling import changes, edits
from scheduling.models import (
    ChangePlan,
    ChangeProposal,
    Clinic,
    ScheduleException,
    ScheduleTemplate,
    Slot,
    TemplateBreak,
)

WHO, WHEN = ("practitioner", "clinic"), ("starts_at", "ends_at")


def _clinics(saved: Any, before: dict[str, Any]) -> list[Clinic]:
    named = {pk for pk in (saved.clinic_id, before.get("clinic")) if pk}
    if isinstance(saved, ScheduleException) and not saved.clinic_id:
        named |= {clinic.pk for clinic in edits.clinics_with(saved.practitioner_id)}
    return list(Clinic.objects.filter(pk__in=named).order_by("pk"))


def _payload(saved: Any, before: dict[str, Any], clinics: list[Clinic]) -> dict[str, Any]:
    """Who and when may have changed: the plan reaches what was and what is."""
    who = [pk for pk in {saved.practitioner_id, before.get("practitioner")} if pk]
    is_closure = isinstance(saved, ScheduleException) and not saved.practitioner_id
    reach: dict[str, Any] = {"first": None, "last": None}
    if isinstance(saved, ScheduleException):
        zone = clinics[0]
        starts, ends = ([at for at in (getattr(saved, n), before.get(n)) if at] for n in WHEN)
        reach = {
            "first": zone.local_date(min(starts)).isoformat(),
            "last": zone.local_date(max(ends)).isoformat(),
        }
    clinic_ids = [clinic.pk for clinic in clinics]
    return {"clinics": clinic_ids, "practitioners": None if is_closure else who, "text": str(saved)} | reach


def _sentence(plan: ChangePlan) -> str:
    figures = _("Times added: %(added)d, removed: %(removed)d. Visits hit: %(hit)d.") % {
        "added": plan.added,
        "removed": plan.removed,
        "hit": plan.proposals.count(),
    }
    link = reverse("supply_plan", args=[plan.clinic.slug, plan.pk])
    advice = _("Nothing of this is done yet. Look at the plan and apply it")
    return format_html('{} <a href="{}">{}</a>', figures, link, advice)


class PlanAdmin(ModelAdmin):
    """Templates and exceptions. What is saved here becomes a change plan, which shows what it does to slots and visits.

    One that has made slots is ended, not deleted: its slots would stay behind.
    """

    def save_related(self, request: HttpRequest, form: forms.ModelForm, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        before = {name: form.initial.get(name) for name in (*WHO, *WHEN)} if change else {}
        request.edited = (form.instance, before)  # type: ignore[attr-defined]

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        pk = obj.pk
        super().delete_model(request, obj)
        obj.pk = pk
        request.edited = (obj, {})  # type: ignore[attr-defined]

    # After the transaction of the save: the plan has its own.
    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return self._with_plan(request, super().changeform_view(request, *args, **options))

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return self._with_plan(request, super().delete_view(request, *args, **options))

    def _with_plan(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if edited := getattr(request, "edited", None):
            saved, before = edited
            if clinics := _clinics(saved, before):
                payload = _payload(saved, before, clinics)
                kind, user = ChangePlan.Kind.SAVED, cast(User, request.user)
                plan = changes.draft_plan(clinic=clinics[0], kind=kind, payload=payload, by=user)
                messages.warning(request, _sentence(plan))
        return response

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """One at a time, each with its plan."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        deleted, counts, perms, protected = get_deleted_objects(objs, request, self.admin_site)
        for plan in objs:
            if count := plan.slot_set.count():
                text = ngettext("%(count)d slot of “%(plan)s”", "%(count)d slots of “%(plan)s”", count)
                protected.append(text % {"count": count, "plan": plan})
        return deleted, counts, perms, protected


class TemplateBreakInline(TabularInline):
    model = TemplateBreak
    extra = 1


class ScheduleTemplateForm(forms.ModelForm):
    weekdays = forms.TypedMultipleChoiceField(
        label=gettext_lazy("weekdays"),
        choices=[(number + 1, name) for number, name in WEEKDAYS.items()],
        coerce=int,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )


@admin.register(ScheduleTemplate)
class ScheduleTemplateAdmin(PlanAdmin):
    form = ScheduleTemplateForm
    list_display = [
        "practitioner",
        "clinic",
        "station",
        "days",
        "starts_at",
        "ends_at",
        "slot_minutes",
        "valid_from",
        "valid_until",
        "every_n_weeks",
    ]
    list_filter = ["clinic", "station__kind", "valid_from"]
    list_select_related = ["practitioner", "clinic", "station"]
    search_fields = ["practitioner__name", "clinic__name", "station__name"]
    autocomplete_fields = ["practitioner", "clinic", "station"]
    inlines = [TemplateBreakInline]

    @admin.display(description=gettext_lazy("weekdays"))
    def days(self, template: ScheduleTemplate) -> str:
        return ", ".join(str(WEEKDAYS[day - 1])[:3] for day in sorted(template.weekdays))


class ScheduleExceptionForm(forms.ModelForm):
    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if not self.errors and self.instance.kind == ScheduleException.Kind.EXTRA_HOURS:
            try:
                edits.check_extra_hours(self.instance)
            except ValidationError as problem:
                self.add_error(None, problem)


@admin.register(ScheduleException)
class ScheduleExceptionAdmin(PlanAdmin):
    form = ScheduleExceptionForm
    list_display = ["kind", "practitioner", "clinic", "starts_at", "ends_at", "reason"]
    list_filter = ["kind", "clinic"]
    list_select_related = ["practitioner", "clinic"]
    search_fields = ["practitioner__name", "clinic__name", "reason"]
    autocomplete_fields = ["practitioner", "clinic", "station"]
    date_hierarchy = "starts_at"


@admin.register(Slot)
class SlotAdmin(LargeAdmin):
    list_display = ["pk", "clinic", "practitioner", "station", "starts_at", "ends_at", "status", "held_until"]
    list_filter = ["status", "clinic"]
    list_select_related = ["clinic", "practitioner", "station"]
    search_fields = ["=pk", "=booking__reference", "practitioner__name"]


@admin.register(ChangePlan)
class ChangePlanAdmin(LargeAdmin):
    """Decided on the desk's pages."""

    list_display = ["pk", "kind", "clinic", "status", "added", "removed", "kept", "created_by", "created_at"]
    list_filter = ["status", "kind", "clinic"]
    list_select_related = ["clinic", "created_by"]
    search_fields = ["=pk", "=proposals__booking__reference"]


@admin.register(ChangeProposal)
class ChangeProposalAdmin(LargeAdmin):
    list_display = [
        "booking",
        "plan",
        "decision",
        "from_starts_at",
        "starts_at",
        "practitioner",
        "accepted_at",
    ]
    list_filter = ["decision", "plan__status", "plan__clinic"]
    list_select_related = ["booking", "plan__clinic", "practitioner"]
    search_fields = ["=booking__reference", "=plan__pk"]
