"""What billing publishes. Amounts are integer cents of `settings.CURRENCY`."""

from clinic_booking.topics import declare

declare("bill.issued", "bill", {"bill": int, "booking": int | None, "total_cents": int})
CREDITED = {"credit_note": int, "bill": int, "booking": int | None, "amount_cents": int, "reason": str}
declare("bill.credited", "bill", {**CREDITED, "by": int | None})
declare(
    "fee.waived",
    "bill",
    {"booking": int, "bill": int, "credit_note": int, "amount_cents": int, "by": int},
    note="why is on the credit note",
)

PAID = {"bill": int, "booking": int | None, "paid_cents": int}
declare("bill.paid", "bill", PAID, note="in full, for the first time")

TAKEN = {"booking": int | None, "bill": int, "amount_cents": int, "method": str, "by": int}
declare("counter.paid", "bill", TAKEN)
declare("counter.returned", "bill", TAKEN)
CLOSED = {"close": int, "date": str, "cashier": int, "number": int, "difference_cents": int, "by": int}
declare("cash.closed", "close", CLOSED, note="`number`: from 2 on a correction")
declare(
    "paylink.sent",
    "bill",
    {"bill": int, "booking": int | None, "expires_at": int, "by": int},
    version=2,
    note="`expires_at`: seconds since 1970",
)

REFUNDED = {"refund": int, "bill": int, "booking": int | None, "amount_cents": int, "online_cents": int}
declare("bill.refunded", "bill", {**REFUNDED, "reason": str, "by": int})
DISPUTE = {"dispute": str, "payment": str, "bill": int | None, "amount_cents": int, "status": str}
declare("payment.disputed", "payment", DISPUTE, note="opened, changed or decided: `status` is the provider's")

PAYMENT = {"payment": str, "booking": int | None, "bill": int | None, "amount_cents": int}
declare("payment.succeeded", "payment", PAYMENT)
declare("payment.failed", "payment", PAYMENT | {"reason": str}, note="`booking`: null where none was won")
declare(
    "payment.acted_for",
    "payment",
    {"payment": str, "bill": int | None, "patient": int, "by": int},
    note="somebody who acts for the patient pays; `bill`: null for a time that is held",
)
declare("payment.refunded", "payment", PAYMENT | {"reason": str})

CONTRACT = {"contract": int, "reference": str}
declare("contract.confirmed", "contract", CONTRACT | {"requests": list[int], "by": int | None})
ENDED = {"cancelled": list[int], "kept": list[int], "by": int | None}
declare(
    "contract.cancelled", "contract", CONTRACT | ENDED, note="bookings to come that were cancelled, and kept"
)
PART = {"bill": int, "instalment": int, "amount_cents": int, "by": int | None}
declare(
    "contract.billed", "contract", CONTRACT | PART, note="`instalment` counts from 1; on signing there is one"
)
declare("instalment.moved", "contract", CONTRACT | {"instalment": int, "by": int})
SETTLED = {"used_cents": int, "fee_cents": int, "refund_cents": int, "by": int | None}
declare("contract.settled", "contract", CONTRACT | SETTLED)
declare("contract.completed", "contract", CONTRACT)
declare("contract.reopened", "contract", CONTRACT)
