from billing.models.bills import Bill, BillLine, BillSeries
from billing.models.payments import Payment, ProviderEvent, Refund

__all__ = ["Bill", "BillLine", "BillSeries", "Payment", "ProviderEvent", "Refund"]
