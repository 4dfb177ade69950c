"""Demand, to look at: verbs write it, contracts and the desk change it."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import StackedInline, TabularInline

from clinic_booking.admin import LargeAdmin
from scheduling.models import BookingPattern, BookingRequest, SessionTicket


class SessionInline(TabularInline):
    model = SessionTicket
    fields = readonly_fields = ["number", "status", "unplaced_reason", "tried_at"]
    ordering = ["number"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class PatternInline(StackedInline):
    model = BookingPattern
    fields = readonly_fields = ["is_hard", "in_words"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(SessionTicket)
class SessionTicketAdmin(LargeAdmin):
    list_display = ["pk", "request", "number", "status", "unplaced_reason", "tried_at"]
    list_filter = ["status", "request__source", "request__service"]
    list_select_related = ["request__service"]
    search_fields = ["=bookings__reference", "request__patient__name", "=request__contract"]


@admin.register(BookingRequest)
class BookingRequestAdmin(LargeAdmin):
    list_display = ["pk", "patient", "service", "quantity", "source", "contract", "valid_until", "closed_at"]
    list_filter = ["source", "is_prepaid", "service"]
    list_select_related = ["patient", "service"]
    search_fields = ["patient__name", "=contract", "=sessions__bookings__reference"]
    inlines = [PatternInline, SessionInline]
