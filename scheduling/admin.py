"""Admin of places and plans. What is booked can be looked at: only verbs write it."""

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

from clinic_booking.admin import ReadOnlyAdmin
from scheduling.models import (
    Booking,
    BookingRequest,
    Clinic,
    Hold,
    LegalEntity,
    Membership,
    Practitioner,
    ScheduleException,
    ScheduleTemplate,
    Service,
    SessionTicket,
    Slot,
    Station,
    TemplateBreak,
    VisitTicket,
)

# -- Places --------------------------------------------------------------------------------------


class StationInline(TabularInline):
    model = Station
    extra = 0
    show_change_link = True


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(LegalEntity)
class LegalEntityAdmin(ModelAdmin):
    list_display = ["name", "uen", "gst_number"]
    search_fields = ["name", "uen"]


@admin.register(Clinic)
class ClinicAdmin(ModelAdmin):
    list_display = ["name", "slug", "legal_entity", "payment_policy", "opens_at", "closes_at", "is_active"]
    list_filter = ["is_active", "payment_policy", "legal_entity"]
    list_select_related = ["legal_entity"]
    search_fields = ["name", "slug", "address"]
    autocomplete_fields = ["legal_entity"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [StationInline, MembershipInline]


@admin.register(Station)
class StationAdmin(ModelAdmin):
    list_display = ["name", "clinic", "kind"]
    list_filter = ["clinic", "kind"]
    list_select_related = ["clinic"]
    search_fields = ["name", "kind", "clinic__name"]
    autocomplete_fields = ["clinic"]


@admin.register(Practitioner)
class PractitionerAdmin(ModelAdmin):
    list_display = ["name", "specialty", "user", "is_active"]
    list_filter = ["is_active", "specialty", "services"]
    list_select_related = ["user"]
    search_fields = ["name", "specialty"]
    autocomplete_fields = ["user"]


@admin.register(Service)
class ServiceAdmin(ModelAdmin):
    list_display = [
        "name",
        "category",
        "duration_minutes",
        "buffer_minutes",
        "price_cents",
        "station_kind",
        "is_online",
    ]
    list_filter = ["is_online", "category", "station_kind"]
    search_fields = ["name", "slug", "category"]
    autocomplete_fields = ["practitioners"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ["user", "clinic", "role"]
    list_filter = ["role", "clinic"]
    list_select_related = ["user", "clinic"]
    search_fields = ["user__username", "user__email", "clinic__name"]
    autocomplete_fields = ["user", "clinic"]


# -- Plans ---------------------------------------------------------------------------------------


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


# -- What verbs write ----------------------------------------------------------------------------


class LargeAdmin(ReadOnlyAdmin):
    """Over a million rows: counting them all for the page would cost more than showing one."""

    show_full_result_count = False
    ordering = ["-pk"]
    list_per_page = 50


@admin.register(Slot)
class SlotAdmin(LargeAdmin):
    list_display = ["pk", "clinic", "practitioner", "station", "starts_at", "ends_at", "status", "held_until"]
    list_filter = ["status", "clinic"]
    list_select_related = ["clinic", "practitioner", "station"]
    search_fields = ["=pk", "=booking__reference", "practitioner__name"]


@admin.register(Hold)
class HoldAdmin(LargeAdmin):
    list_display = ["pk", "service", "practitioner", "starts_at", "locked_at", "expires_at", "end_reason"]
    list_filter = ["end_reason", "clinic"]
    list_select_related = ["service", "practitioner"]
    search_fields = ["=pk"]
    ordering = ["-created_at"]
    exclude = ["owner"]  # the token of a browser: whoever has it may use the hold


@admin.register(Booking)
class BookingAdmin(LargeAdmin):
    list_display = ["reference", "status", "patient", "service", "practitioner", "clinic", "starts_at"]
    list_filter = ["status", "clinic", "service"]
    list_select_related = ["patient", "service", "practitioner", "clinic"]
    search_fields = ["=reference", "patient__name", "=patient__email", "=patient__phone"]


@admin.register(VisitTicket)
class VisitTicketAdmin(LargeAdmin):
    list_display = ["pk", "patient", "clinic", "date"]
    list_filter = ["clinic"]
    list_select_related = ["patient", "clinic"]
    search_fields = ["patient__name", "=bookings__reference"]


@admin.register(SessionTicket)
class SessionTicketAdmin(LargeAdmin):
    list_display = ["pk", "request", "number", "status"]
    list_filter = ["status"]
    list_select_related = ["request__service"]
    search_fields = ["=bookings__reference", "request__patient__name"]


@admin.register(BookingRequest)
class BookingRequestAdmin(LargeAdmin):
    list_display = ["pk", "patient", "service", "quantity", "source", "created_at"]
    list_filter = ["source", "service"]
    list_select_related = ["patient", "service"]
    search_fields = ["patient__name", "=sessions__bookings__reference"]
