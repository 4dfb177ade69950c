"""When patients are reminded, and what became of it."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from clinic_booking.admin import LargeAdmin
from scheduling.models import Reminder, ReminderRule


@admin.register(ReminderRule)
class ReminderRuleAdmin(ModelAdmin):
    list_display = ["clinic", "service", "minutes_before", "channels", "is_active"]
    list_filter = ["clinic", "is_active"]
    list_select_related = ["clinic", "service"]
    autocomplete_fields = ["clinic", "service"]


@admin.register(Reminder)
class ReminderAdmin(LargeAdmin):
    list_display = ["pk", "booking", "rule", "starts_at", "event", "created_at"]
    list_select_related = ["booking", "rule", "event"]
    search_fields = ["=booking__reference"]
    raw_id_fields = ["booking", "rule", "event"]
