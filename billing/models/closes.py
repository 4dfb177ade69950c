"""The end of a cashier's day: what was counted beside what the ledger says. Append-only (`billing/closing.py`)."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing.models.payments import CounterPayment
from scheduling.models import Clinic


class CashClose(models.Model):
    """Of a clinic, a day and a cashier; a correction is the next number."""

    clinic = models.ForeignKey(Clinic, models.PROTECT, related_name="+", verbose_name=_("clinic"))
    date = models.DateField(_("date"))
    cashier = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("cashier")
    )
    number = models.PositiveSmallIntegerField(_("number"), default=1, help_text=_("From 2 on: a correction."))
    note = models.CharField(_("note"), max_length=200, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("closed by")
    )
    closed_at = models.DateTimeField(_("closed at"), db_default=Now())

    class Meta:
        verbose_name = _("daily close")
        verbose_name_plural = _("daily closes")
        constraints = [
            models.UniqueConstraint(fields=["clinic", "date", "cashier", "number"], name="closed_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="closes_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.clinic_id} {self.date} {self.cashier_id} {self.number}"

    @property
    def difference_cents(self) -> int:
        return sum(count.difference_cents for count in self.counts.all())


class CashCount(models.Model):
    """Of one way of paying. Expected is the net of the ledger at the moment of the close; both may be below zero."""

    close = models.ForeignKey(CashClose, models.PROTECT, related_name="counts", db_index=False)
    method = models.CharField(_("method"), max_length=10, choices=CounterPayment.Method)
    expected_cents = models.BigIntegerField(_("expected (cents)"))
    counted_cents = models.BigIntegerField(_("counted (cents)"))

    class Meta:
        verbose_name = _("count")
        verbose_name_plural = _("counts")
        constraints = [models.UniqueConstraint(fields=["close", "method"], name="counted_once")]

    def __str__(self) -> str:
        return f"{self.close_id} {self.method}"

    @property
    def difference_cents(self) -> int:
        return self.counted_cents - self.expected_cents
