"""The money and the contracts of the demo."""

from billing.demo.bills import bill_bookings, pay_bills
from billing.demo.contracts import make_contracts
from billing.demo.fees import make_fees
from billing.demo.online import make_online
from billing.demo.till import make_till

__all__ = ["bill_bookings", "make_contracts", "make_fees", "make_online", "make_till", "pay_bills"]
