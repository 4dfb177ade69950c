"""Payments and refunds. Money is whole cents with a currency; of a card nothing is kept.

All changes are verbs in `billing/payments.py` and `billing/refunds.py`.
"""

import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from patients.access import Can, where
from patients.models import Patient
from scheduling.models import Booking, Clinic, Hold


class PaymentQuerySet(models.QuerySet["Payment"]):
    def visible_to(self, user: Any) -> Self:
        seen = where(user, Can.SEE_MONEY)
        return self.filter(Q(hold__clinic__in=seen) | Q(bill__clinic__in=seen))


class Payment(models.Model):
    """What a patient pays for a hold or by link for a bill: one intent at the provider, whatever is clicked and lost.

    `refunded_cents` follows the refunds by a trigger: given back or on its way. `allocated_cents` follows the ledger:
    what is for a bill.
    """

    class Status(models.TextChoices):
        CREATED = "created", _("Not tried yet")
        SUBMITTING = "submitting", _("Being submitted")
        REQUIRES_ACTION = "requires_action", _("Waiting for the patient's bank")
        CAPTURING = "capturing", _("Authorised, being charged")
        PAID = "paid", _("Paid")
        FAILED = "failed", _("Refused, may be tried again")
        CANCELING = "canceling", _("Being given up")
        CANCELED = "canceled", _("Given up, not charged")
        REFUNDING = "refunding", _("Being refunded")
        REFUNDED = "refunded", _("Refunded")
        REFUND_FAILED = "refund_failed", _("Refund failed")

    # Undecided: the slot is not won, and nothing but the hold's life speaks against it.
    UNDECIDED = (Status.CREATED, Status.FAILED, Status.SUBMITTING, Status.REQUIRES_ACTION)
    # By link there is at most one of these for a bill.
    OPEN = (*UNDECIDED, Status.CAPTURING)
    # Somebody has to go on with these, whatever happens to the patient's browser.
    UNDER_WAY = (Status.SUBMITTING, Status.CAPTURING, Status.CANCELING, Status.REFUNDING)
    SETTLED = (Status.PAID, Status.CANCELED, Status.REFUNDED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(
        _("idempotency key"), max_length=60, unique=True, help_text=_("Under which the intent is created.")
    )
    hold = models.OneToOneField(
        Hold,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="payment",
        verbose_name=_("hold"),
        help_text=_("What is paid for, or else a bill."),
    )
    bill = models.ForeignKey(
        "billing.Bill",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="link_payments",
        verbose_name=_("bill"),
        help_text=_("Paid by link: what it is for stays, whatever becomes of the payment."),
    )
    booking = models.OneToOneField(
        Booking, models.PROTECT, null=True, blank=True, related_name="payment", verbose_name=_("booking")
    )
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="payments", verbose_name=_("patient"))
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.CREATED)
    attempt = models.PositiveSmallIntegerField(_("attempts"), default=0, db_default=0)
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    captured_cents = models.PositiveIntegerField(_("charged (cents)"), default=0, db_default=0)
    refunded_cents = models.PositiveIntegerField(_("refunded (cents)"), default=0, db_default=0)
    allocated_cents = models.PositiveIntegerField(_("applied to bills (cents)"), default=0, db_default=0)
    currency = models.CharField(_("currency"), max_length=3)
    provider_ref = models.CharField(
        _("reference at the provider"),
        max_length=80,
        unique=True,
        null=True,
        blank=True,  # noqa: DJ001
    )
    failure_code = models.CharField(
        _("refusal"),
        max_length=60,
        blank=True,
        default="",
        db_default="",
        help_text=_("The provider's code."),
    )
    problem = models.CharField(
        _("problem"),
        max_length=60,
        blank=True,
        default="",
        db_default="",
        help_text=_("What a person must look at."),
    )
    is_disputed = models.BooleanField(_("disputed"), default=False, db_default=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("changed at"), db_default=Now())
    checked_at = models.DateTimeField(_("last asked at the provider"), null=True, blank=True)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [
            models.Index(
                fields=["updated_at"],
                condition=~Q(status__in=["paid", "canceled", "refunded"]),
                name="payment_open",
            ),
            models.Index(fields=["created_at"], name="payment_created"),
            models.Index(fields=["updated_at"], condition=~Q(problem=""), name="payment_problem"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(provider_ref__isnull=True) | Q(provider_ref__regex=r"^pi_[A-Za-z0-9]+$"),
                name="payment_reference_of_an_intent",
            ),
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="payment_is_for_something"),
            models.CheckConstraint(
                condition=Q(hold__isnull=False, bill__isnull=True)
                | Q(hold__isnull=True, bill__isnull=False, booking__isnull=True),
                name="payment_is_for_one_thing",
            ),
            models.UniqueConstraint(
                fields=["bill"],
                condition=Q(status__in=["created", "failed", "submitting", "requires_action", "capturing"]),
                name="one_open_payment_of_a_bill",
            ),
            models.CheckConstraint(
                condition=Q(captured_cents__lte=F("amount_cents")), name="payment_charged_at_most_amount"
            ),
            models.CheckConstraint(
                condition=Q(refunded_cents__lte=F("captured_cents") - F("allocated_cents")),
                name="payment_refunded_at_most_charged",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["capturing", "paid"])
                | Q(booking__isnull=False)
                | Q(bill__isnull=False),
                name="payment_charged_for_something",
            ),
            models.CheckConstraint(
                condition=~Q(status="paid") | Q(captured_cents=F("amount_cents")), name="payment_paid_in_full"
            ),
            models.CheckConstraint(
                condition=~Q(status="refunded") | Q(captured_cents__gt=0, refunded_cents=F("captured_cents")),
                name="payment_refunded_in_full",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["paid", "refunding", "refunded", "refund_failed"])
                | Q(captured_cents=0),
                name="payment_unpaid_is_not_charged",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def clinic(self) -> Clinic:
        return self.bill.clinic if self.bill else self.hold.clinic  # type: ignore[union-attr]

    @property
    def visit_id(self) -> int | None:
        return self.bill.booking_id if self.bill else self.booking_id

    @property
    def free_cents(self) -> int:
        """Charged, and neither for a bill nor given back."""
        return self.captured_cents - self.refunded_cents - self.allocated_cents

    @property
    def is_settled(self) -> bool:
        return self.status in self.SETTLED


class CounterPayment(models.Model):
    """Money taken at the desk for a bill, all of it or a part. `returned_cents` follows the returns by a trigger."""

    class Method(models.TextChoices):
        CASH = "cash", _("Cash")
        TERMINAL = "terminal", _("Card terminal")
        PAYNOW = "paynow", _("PayNow")

    bill = models.ForeignKey(
        "billing.Bill", models.PROTECT, related_name="counter_payments", verbose_name=_("bill")
    )
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    returned_cents = models.PositiveIntegerField(_("given back (cents)"), default=0, db_default=0)
    method = models.CharField(_("method"), max_length=10, choices=Method)
    reference = models.CharField(
        _("reference"), max_length=40, blank=True, help_text=_("Of the slip. Never a card number.")
    )
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("taken by")
    )
    taken_at = models.DateTimeField(_("taken at"), db_default=Now())

    class Meta:
        verbose_name = _("payment at the counter")
        verbose_name_plural = _("payments at the counter")
        constraints = [
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="counter_payment_is_for_something"),
            models.CheckConstraint(
                condition=Q(returned_cents__lte=F("amount_cents")), name="counter_returned_at_most_taken"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bill_id} {self.method}"

    @property
    def left_cents(self) -> int:
        return self.amount_cents - self.returned_cents


class CounterRefund(models.Model):
    """Money given back at the desk, in the way it came."""

    counter_payment = models.ForeignKey(
        CounterPayment, models.PROTECT, related_name="refunds", verbose_name=_("payment at the counter")
    )
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("given back by")
    )
    given_at = models.DateTimeField(_("given back at"), db_default=Now())

    class Meta:
        verbose_name = _("refund at the counter")
        verbose_name_plural = _("refunds at the counter")
        constraints = [
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="counter_refund_of_something"),
        ]

    def __str__(self) -> str:
        return f"{self.counter_payment_id} {self.amount_cents}"


class Refund(models.Model):
    """Money given back. A trigger adds it up on the payment, whose checks allow no more than was charged."""

    class Status(models.TextChoices):
        SUBMITTING = "submitting", _("Being submitted")
        PENDING = "pending", _("On its way")
        SUCCEEDED = "succeeded", _("Done")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds", verbose_name=_("payment"))
    seq = models.PositiveSmallIntegerField(_("number"))
    provider_ref = models.CharField(
        _("reference at the provider"),
        max_length=80,
        unique=True,
        null=True,
        blank=True,  # noqa: DJ001
    )
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.SUBMITTING)
    reason = models.CharField(_("reason"), max_length=20)
    failure_code = models.CharField(_("refusal"), max_length=60, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            models.UniqueConstraint(fields=["payment", "seq"], name="refund_number_once"),
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="refund_of_something"),
            models.CheckConstraint(
                condition=Q(provider_ref__isnull=True) | Q(provider_ref__regex=r"^(re|pyr)_[A-Za-z0-9]+$"),
                name="refund_reference_of_a_refund",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.payment_id} {self.seq}"


class ProviderEvent(models.Model):
    """That the provider told us something. What it told is not kept: the state is asked for."""

    event_id = models.CharField(_("event"), max_length=80, primary_key=True)
    type = models.CharField(_("type"), max_length=80)
    object_ref = models.CharField(_("object"), max_length=80)
    intent_ref = models.CharField(_("payment reference"), max_length=80, blank=True)
    created_at = models.DateTimeField(_("created at"), help_text=_("By the provider's clock."))
    received_at = models.DateTimeField(_("received at"), db_default=Now())
    processed_at = models.DateTimeField(_("processed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("provider event")
        verbose_name_plural = _("provider events")
        indexes = [
            models.Index(fields=["received_at"], condition=Q(processed_at=None), name="event_unprocessed")
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
