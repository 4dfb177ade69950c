from billing.models.bills import Bill, BillLine, BillSeries
from billing.models.contracts import Contract, ContractLine, ContractPattern, ContractSeries
from billing.models.payments import CounterPayment, Payment, ProviderEvent, Refund

__all__ = [
    "Bill",
    "BillLine",
    "BillSeries",
    "Contract",
    "ContractLine",
    "ContractPattern",
    "ContractSeries",
    "CounterPayment",
    "Payment",
    "ProviderEvent",
    "Refund",
]
