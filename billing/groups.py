"""What a payment is for: a hold and what is held together with it, and the bookings that became of them."""

import uuid

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from billing.models import Payment
from scheduling import stops
from scheduling.models import Booking, Hold

OVER = (Booking.Status.CANCELLED, Booking.Status.NOSHOW)


def with_leading(holds: QuerySet[Hold]) -> QuerySet[Hold]:
    """Says of each whether others are held together with it, so that most need no second query."""
    return holds.annotate(leads=Exists(Hold.objects.filter(lead=OuterRef("pk"))))


def held_together(hold: Hold) -> list[Hold]:
    """The lead first. Asks the database unless `with_leading` has said that it is alone."""
    return stops.held_together(hold) if getattr(hold, "leads", True) else [hold]


def total_cents(hold: Hold) -> int:
    """What is payable when booking, in cents."""
    return sum(each.due_cents for each in held_together(hold))


def bookings_of(payment: Payment) -> QuerySet[Booking]:
    if payment.bill_id:
        return Booking.objects.filter(bill=payment.bill_id)
    return Booking.objects.filter(Q(hold=payment.hold_id) | Q(hold__lead=payment.hold_id)).order_by(
        "hold__part"
    )


def payment_of(booking_id: int) -> uuid.UUID | None:
    """The payment of the booking's hold, or of the lead's."""
    paid_for = Booking.objects.filter(pk=booking_id).values(lead=Coalesce("hold__lead_id", "hold_id"))
    return Payment.objects.filter(hold__in=paid_for).values_list("pk", flat=True).first()


def is_over(payment: Payment) -> bool:
    """Nothing that was booked is still to come."""
    return not bookings_of(payment).exclude(status__in=OVER).exists()


def share(booking: Booking) -> int:
    """What of the payment is for this booking, in cents: what was payable for its hold."""
    return booking.hold.due_cents if booking.hold else 0
