from billing.models.bills import Bill, BillLine, BillSeries, CreditNote, GstRate
from billing.models.closes import CashClose, CashCount
from billing.models.contracts import (
    Contract,
    ContractInstalment,
    ContractLine,
    ContractPattern,
    ContractSeries,
)
from billing.models.desk_refunds import AnsweredRequest, DeskRefund, Dispute
from billing.models.ledger import Account, LedgerEntry, LedgerPosting
from billing.models.payments import CounterPayment, CounterRefund, Payment, ProviderEvent, Refund

__all__ = [
    "AnsweredRequest",
    "DeskRefund",
    "Dispute",
    "Account",
    "Bill",
    "BillLine",
    "BillSeries",
    "CashClose",
    "CashCount",
    "Contract",
    "ContractInstalment",
    "ContractLine",
    "ContractPattern",
    "ContractSeries",
    "CounterPayment",
    "CounterRefund",
    "CreditNote",
    "GstRate",
    "LedgerEntry",
    "LedgerPosting",
    "Payment",
    "ProviderEvent",
    "Refund",
]
