from django.contrib import admin, messages
from django.contrib.admin import action
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from billing import payments, refunds
from billing.gateway import PaymentProviderDown
from billing.models import Bill, BillLine, CounterPayment, Payment, ProviderEvent, Refund
from clinic_booking.admin import ReadOnlyAdmin
from clinic_booking.templatetags.page import money


class RefundInline(TabularInline):
    model = Refund
    extra = 0
    can_delete = False
    readonly_fields = fields = ["seq", "status", "amount_cents", "reason", "failure_code", "provider_ref"]


@admin.register(CounterPayment)
class CounterPaymentAdmin(ReadOnlyAdmin):
    list_display = ["bill", "amount", "method", "reference", "taken_by", "taken_at", "returned_cents"]
    list_filter = ["method"]
    search_fields = ["=bill__booking__reference", "=reference"]
    list_select_related = ["bill", "taken_by"]
    date_hierarchy = "taken_at"
    show_full_result_count = False

    @admin.display(description=_("amount"), ordering="amount_cents")
    def amount(self, payment: CounterPayment) -> str:
        return money(payment.amount_cents)


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ["pk", "status", "amount", "booking", "problem", "is_disputed", "created_at"]
    list_filter = ["status", "is_disputed", "problem"]
    search_fields = ["=id", "=provider_ref", "=booking__reference"]
    list_select_related = ["booking"]
    raw_id_fields = ["hold", "booking", "patient"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    inlines = [RefundInline]
    actions = ["settle", "refund_again"]

    @admin.display(description=_("amount"), ordering="amount_cents")
    def amount(self, payment: Payment) -> str:
        return money(payment.amount_cents)

    @action(description=_("Ask the provider and settle"), permissions=["settle"])
    def settle(self, request: HttpRequest, chosen: QuerySet[Payment]) -> None:
        for payment in chosen:
            self._resume(request, payment)

    @action(description=_("Try a failed refund again"), permissions=["settle"])
    def refund_again(self, request: HttpRequest, chosen: QuerySet[Payment]) -> None:
        for payment in chosen:
            if refunds.retry_refund(payment.pk):
                self._resume(request, payment)

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_payment")

    def _resume(self, request: HttpRequest, payment: Payment) -> None:
        try:
            payments.resume(payment.pk)
        except PaymentProviderDown as error:
            self.message_user(request, f"{payment}: {error.sentence}", messages.ERROR)
            return
        payment.refresh_from_db()
        self.message_user(request, f"{payment}: {payment.get_status_display()}")


@admin.register(ProviderEvent)
class ProviderEventAdmin(ReadOnlyAdmin):
    list_display = ["event_id", "type", "object_ref", "received_at", "processed_at"]
    list_filter = ["type"]
    search_fields = ["=event_id", "=object_ref", "=intent_ref"]
    ordering = ["-received_at"]
    show_full_result_count = False


class BillLineInline(TabularInline):
    model = BillLine
    extra = 0
    can_delete = False
    readonly_fields = fields = ["position", "description", "amount_cents"]


@admin.register(Bill)
class BillAdmin(ReadOnlyAdmin):
    list_display = ["serial", "status", "total", "booking", "issued_at"]
    list_filter = ["status", "legal_entity"]
    search_fields = ["=booking__reference", "=number"]
    list_select_related = ["booking"]
    raw_id_fields = ["booking", "patient"]
    date_hierarchy = "issued_at"
    ordering = ["-pk"]
    show_full_result_count = False
    inlines = [BillLineInline]

    @admin.display(description=_("total"), ordering="total_cents")
    def total(self, bill: Bill) -> str:
        return money(bill.total_cents)
