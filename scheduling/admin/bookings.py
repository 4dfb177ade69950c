from django.contrib import admin

from clinic_booking.admin import LargeAdmin
from scheduling.models import Booking, Hold, VisitTicket


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
