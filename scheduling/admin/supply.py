"""Plans, which admins write, and the slots that follow from them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import get_deleted_objects
from django.db.models import Model
from django.http import HttpRequest
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from clinic_booking.admin import LargeAdmin
from scheduling.models import ScheduleException, ScheduleTemplate, Slot, TemplateBreak


class PlanAdmin(ModelAdmin):
    """Templates and exceptions. One that has made slots is ended, not deleted: its slots would stay behind."""

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        messages.info(request, _("The slots follow with the next run of generate_slots."))

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
        label=_("weekdays"),
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

    @admin.display(description=_("weekdays"))
    def days(self, template: ScheduleTemplate) -> str:
        return ", ".join(str(WEEKDAYS[day - 1])[:3] for day in sorted(template.weekdays))


@admin.register(ScheduleException)
class ScheduleExceptionAdmin(PlanAdmin):
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
