"""Where and by whom."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from scheduling.models import (
    CalendarFeed,
    Clinic,
    Equipment,
    LegalEntity,
    Membership,
    Practitioner,
    Service,
    ServicePolicy,
    Station,
    WalkingTime,
)


class StationInline(TabularInline):
    model = Station
    extra = 0
    show_change_link = True


class EquipmentInline(TabularInline):
    model = Equipment
    extra = 0


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


TERMS = [
    "payment_policy",
    "deposit_percent",
    "free_cancel_hours",
    "late_cancel_percent",
    "no_show_percent",
]


class ServicePolicyInline(TabularInline):
    """What differs from the clinic's own terms. Bookings that are made keep what they were made under."""

    model = ServicePolicy
    extra = 0
    autocomplete_fields = ["service"]
    fields = ["service", *TERMS]


@admin.register(LegalEntity)
class LegalEntityAdmin(ModelAdmin):
    list_display = ["name", "uen", "gst_number", "gst_from", "gst_until"]
    search_fields = ["name", "uen"]


@admin.register(Clinic)
class ClinicAdmin(ModelAdmin):
    list_display = ["name", "slug", "legal_entity", "payment_policy", "opens_at", "closes_at", "is_active"]
    list_filter = ["is_active", "payment_policy", "legal_entity"]
    list_select_related = ["legal_entity"]
    search_fields = ["name", "slug", "address"]
    autocomplete_fields = ["legal_entity"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [ServicePolicyInline, StationInline, EquipmentInline, MembershipInline]


@admin.register(Station)
class StationAdmin(ModelAdmin):
    list_display = ["name", "clinic", "kind"]
    list_filter = ["clinic", "kind"]
    list_select_related = ["clinic"]
    search_fields = ["name", "kind", "clinic__name"]
    autocomplete_fields = ["clinic"]


@admin.register(WalkingTime)
class WalkingTimeAdmin(ModelAdmin):
    list_display = ["first", "second", "minutes"]
    list_filter = ["first__clinic"]
    list_select_related = ["first__clinic", "second__clinic"]
    search_fields = ["first__name", "second__name"]
    autocomplete_fields = ["first", "second"]


@admin.register(Equipment)
class EquipmentAdmin(ModelAdmin):
    list_display = ["name", "kind", "units", "clinic"]
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


@admin.register(CalendarFeed)
class CalendarFeedAdmin(ModelAdmin):
    """Opened and revoked by the practitioner; here it is only allowed to show names."""

    list_display = ["practitioner", "shows_patients", "created_at", "revoked_at"]
    list_filter = ["shows_patients"]
    list_select_related = ["practitioner"]
    fields = ["practitioner", "shows_patients", "created_at", "revoked_at"]
    readonly_fields = ["practitioner", "created_at", "revoked_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
