from django.contrib import admin

from clinic_booking.admin import LargeAdmin
from scheduling.models import BookingRequest, SessionTicket


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
