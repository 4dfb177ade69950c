"""The waitlist, to look at: patients and the desk change it."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import TabularInline

from clinic_booking.admin import LargeAdmin
from scheduling.models import WaitlistEntry, WaitlistOffer


class OfferInline(TabularInline):
    model = WaitlistOffer
    fields = readonly_fields = ["hold", "outcome", "created_at", "ended_at"]
    ordering = ["pk"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(WaitlistEntry)
class WaitlistEntryAdmin(LargeAdmin):
    list_display = ["pk", "session", "status", "boost", "is_paused", "joined_at", "ended_at", "note"]
    list_filter = ["status", "is_paused", "session__request__source", "session__request__service"]
    list_select_related = ["session"]
    search_fields = ["session__request__patient__name", "=session__request__contract"]
    inlines = [OfferInline]
