"""What accounting looks at, and the one thing that it sets: the rate of GST."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline

from billing.models import CashClose, CashCount, CreditNote, GstRate, LedgerEntry, LedgerPosting
from clinic_booking.admin import ReadOnlyAdmin
from clinic_booking.templatetags.page import money


@admin.register(GstRate)
class GstRateAdmin(ModelAdmin):
    list_display = ["valid_from", "basis_points"]


@admin.register(CreditNote)
class CreditNoteAdmin(ReadOnlyAdmin):
    list_display = ["serial", "bill", "amount", "reason", "issued_at", "issued_by"]
    list_filter = ["reason", "legal_entity"]
    search_fields = ["=number", "=bill__number", "=bill__booking__reference"]
    list_select_related = ["bill", "issued_by"]
    date_hierarchy = "issued_at"
    show_full_result_count = False

    @admin.display(description=_("amount"), ordering="amount_cents")
    def amount(self, note: CreditNote) -> str:
        return money(note.amount_cents)


class EntryInline(TabularInline):
    model = LedgerEntry
    extra = 0
    can_delete = False
    readonly_fields = fields = ["account", "amount_cents", "bill", "payment", "booking", "session"]


@admin.register(LedgerPosting)
class PostingAdmin(ReadOnlyAdmin):
    list_display = ["key", "kind", "clinic", "date", "by", "posted_at"]
    list_filter = ["kind", "clinic", "legal_entity"]
    search_fields = ["=key"]
    list_select_related = ["clinic", "by"]
    date_hierarchy = "date"
    ordering = ["-pk"]
    show_full_result_count = False
    inlines = [EntryInline]


class CountInline(TabularInline):
    model = CashCount
    extra = 0
    can_delete = False
    readonly_fields = fields = ["method", "expected_cents", "counted_cents"]


@admin.register(CashClose)
class CloseAdmin(ReadOnlyAdmin):
    list_display = ["clinic", "date", "cashier", "number", "closed_by", "closed_at", "note"]
    list_filter = ["clinic"]
    list_select_related = ["clinic", "cashier", "closed_by"]
    date_hierarchy = "date"
    inlines = [CountInline]
