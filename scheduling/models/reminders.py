"""When patients are reminded: the rules of a clinic, and what was sent by them."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from clinic_booking.messages.kinds import Channel
from clinic_booking.models import Event
from scheduling.models.bookings import Booking
from scheduling.models.places import Clinic, Service

MAX_DAYS = 30


def every_channel() -> list[str]:
    return [str(channel) for channel in (Channel.EMAIL, Channel.SMS, Channel.WHATSAPP)]


class ReminderRule(models.Model):
    """So long before a visit, by the first of the channels that the patient allows.

    Where a service has rules of its own, those of its clinic do not count for it.
    """

    clinic = models.ForeignKey(
        Clinic, models.CASCADE, related_name="reminder_rules", verbose_name=_("clinic"), db_index=False
    )
    service = models.ForeignKey(
        Service,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="reminder_rules",
        verbose_name=_("only for"),
        db_index=False,
        help_text=_("Empty: for all services that have no rules of their own."),
    )
    minutes_before = models.PositiveIntegerField(
        _("minutes before the visit"),
        validators=[MinValueValidator(15), MaxValueValidator(MAX_DAYS * 24 * 60)],
        help_text=_("120 is two hours, 4320 is three days."),
    )
    channels = ArrayField(
        models.CharField(max_length=10, choices=Channel),
        verbose_name=_("channels"),
        default=every_channel,
        help_text=_("In the order to be tried."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(
        _("counts from"), db_default=Now(), help_text=_("What was due before is not made up for.")
    )

    class Meta:
        verbose_name = _("reminder rule")
        verbose_name_plural = _("reminder rules")
        ordering = ["clinic", "service", "-minutes_before"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "service", "minutes_before"],
                name="reminder_rule_once",
                nulls_distinct=False,
                violation_error_message=_("There is a rule for this time already."),
            ),
            models.CheckConstraint(
                condition=models.Q(minutes_before__gte=15, minutes_before__lte=MAX_DAYS * 24 * 60),
                name="reminder_rule_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.minutes_before // 60} h {self.minutes_before % 60:02d}"

    def clean(self) -> None:
        if len(set(self.channels)) != len(self.channels):
            raise ValidationError({"channels": _("Each channel once, please.")})


class Reminder(models.Model):
    """A rule has been looked at for a visit at its time: once, whoever looks. Without an event nothing was sent,
    because the visit was made later than that or a nearer rule was due as well."""

    booking = models.ForeignKey(Booking, models.CASCADE, related_name="reminders", verbose_name=_("booking"))
    rule = models.ForeignKey(ReminderRule, models.CASCADE, related_name="+", verbose_name=_("rule"))
    starts_at = models.DateTimeField(_("time of the visit"))
    event = models.ForeignKey(
        Event, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("event")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        constraints = [
            # Not by version, which grows with a check-in that is taken back too: nobody is reminded twice of one time.
            models.UniqueConstraint(fields=["booking", "rule", "starts_at"], name="reminded_once")
        ]

    def __str__(self) -> str:
        return f"{self.booking_id} {self.starts_at:%Y-%m-%d %H:%M}"
