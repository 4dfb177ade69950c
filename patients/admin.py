"""Admin of patients. Consents are append-only and written when they are given."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from clinic_booking.admin import ReadOnlyAdmin, ScopedAdmin
from patients.models import Consent, Identifier, Patient, PrivacyNotice
from patients.rights import notices


@admin.register(Patient)
class PatientAdmin(ScopedAdmin):
    list_display = ["name", "email", "phone", "birth_date", "masked_id", "created_at"]
    search_fields = ["name", "email", "phone"]
    readonly_fields = ["uuid", "masked_id", "created_at"]
    autocomplete_fields = ["user"]
    show_full_result_count = False
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Patient | None = None) -> bool:
        return False


@admin.register(Identifier)
class IdentifierAdmin(ReadOnlyAdmin):
    """Masked here too: neither the number nor its cipher is on any page."""

    list_display = ["patient", "kind", "country", "masked", "source", "created_at", "checked_at", "ended_at"]
    list_filter = ["kind", "source"]
    list_select_related = ["patient"]
    fields = [
        "patient",
        "kind",
        "country",
        "masked",
        "source",
        "created_at",
        "checked_at",
        "checked_by",
        "ended_at",
    ]
    show_full_result_count = False


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    list_display = ["patient", "purpose", "notice_version", "is_given", "channel", "created_at"]
    list_filter = ["purpose", "is_given", "notice_version"]
    list_select_related = ["patient"]
    search_fields = ["patient__name", "=patient__email"]
    show_full_result_count = False


@admin.register(PrivacyNotice)
class PrivacyNoticeAdmin(ModelAdmin):
    """A new version is added in each language; nothing that is published changes."""

    list_display = ["version", "language", "valid_from", "text_hash"]
    readonly_fields = ["text_hash", "created_at"]

    def has_change_permission(self, request: HttpRequest, obj: PrivacyNotice | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PrivacyNotice | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: PrivacyNotice, form: Any, change: bool) -> None:
        super().save_model(request, notices.seal(obj), form, change)
