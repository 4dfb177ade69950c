"""Where and by whom: legal entities, clinics, stations, practitioners, services, staff."""

import datetime as dt
import zoneinfo
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

MAX_OFFER_HOURS = 72
MAX_UNITS = 100


def is_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError(
            _("“%(value)s” is not a time zone name such as Asia/Singapore."), params={"value": value}
        )


class LegalEntity(models.Model):
    """The company that bills: name, UEN and GST status as they must appear on its documents (IRAS)."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    uen = models.CharField(_("UEN"), max_length=10, unique=True, help_text=_("Unique Entity Number"))
    gst_number = models.CharField(
        _("GST number"), max_length=20, blank=True, help_text=_("Empty: not registered for GST.")
    )
    gst_from = models.DateField(
        _("registered for GST from"), null=True, blank=True, help_text=_("Empty: since ever.")
    )
    gst_until = models.DateField(
        _("registered for GST until"), null=True, blank=True, help_text=_("The last day. Empty: still.")
    )

    class Meta:
        verbose_name = _("legal entity")
        verbose_name_plural = _("legal entities")
        constraints = [
            models.CheckConstraint(
                condition=Q(gst_from__isnull=True)
                | Q(gst_until__isnull=True)
                | Q(gst_until__gte=F("gst_from")),
                name="gst_registration_in_order",
                violation_error_message=_("The last day of the registration is before the first."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def gst_number_on(self, day: dt.date) -> str:
        """Empty where the entity may not charge GST that day."""
        begun = self.gst_from is None or self.gst_from <= day
        ended = self.gst_until is not None and self.gst_until < day
        return self.gst_number if begun and not ended else ""

    @property
    def includes_gst(self) -> bool:
        """Whether prices of today do."""
        return bool(self.gst_number_on(timezone.localdate()))


class PaymentPolicy(models.TextChoices):
    PAY_NOW = "pay_now", _("Pay when booking")
    DEPOSIT = "deposit", _("Deposit when booking, the rest at the clinic")
    PAY_AT_CLINIC = "pay_at_clinic", _("Pay at the clinic")


class PolicyFields(models.Model):
    """The terms of a visit: when it is paid, until when it is free to cancel, and what is charged after that."""

    PaymentPolicy = PaymentPolicy

    payment_policy = models.CharField(
        _("payment"), max_length=20, choices=PaymentPolicy, default=PaymentPolicy.PAY_NOW
    )
    deposit_percent = models.PositiveSmallIntegerField(
        _("deposit (%)"),
        default=30,
        db_default=30,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("Of the price, where a deposit is taken."),
    )
    free_cancel_hours = models.PositiveSmallIntegerField(
        _("free change until"), default=24, help_text=_("Hours before the visit.")
    )
    late_cancel_percent = models.PositiveSmallIntegerField(
        _("late cancellation (%)"),
        default=50,
        db_default=50,
        validators=[MaxValueValidator(100)],
        help_text=_("Of the price, charged when a patient cancels after that."),
    )
    no_show_percent = models.PositiveSmallIntegerField(
        _("not attended (%)"),
        default=100,
        db_default=100,
        validators=[MaxValueValidator(100)],
        help_text=_("Of the price, charged when a patient does not come."),
    )

    class Meta:
        abstract = True


class Clinic(PolicyFields):
    slug = models.SlugField(_("short name"), unique=True)
    name = models.CharField(_("name"), max_length=80, unique=True)
    legal_entity = models.ForeignKey(LegalEntity, models.PROTECT, verbose_name=_("legal entity"))
    address = models.CharField(_("address"), max_length=200)
    phone = models.CharField(_("phone"), max_length=20)
    time_zone = models.CharField(
        _("time zone"), max_length=40, default="Asia/Singapore", validators=[is_time_zone]
    )
    country = models.CharField(
        _("country"), max_length=2, default="SG", help_text=_("Whose public holidays are kept.")
    )
    opens_at = models.TimeField(_("opens at"), default=dt.time(8))
    closes_at = models.TimeField(_("closes at"), default=dt.time(18))
    quiet_from = models.TimeField(
        _("quiet from"),
        default=dt.time(21),
        db_default=dt.time(21),
        help_text=_("Until then and from then on nobody is reminded. The same time twice: at any hour."),
    )
    quiet_until = models.TimeField(_("quiet until"), default=dt.time(8), db_default=dt.time(8))
    walking_minutes = models.PositiveSmallIntegerField(
        _("walk between stations (minutes)"),
        default=2,
        db_default=2,
        help_text=_("Where no walking time of the two stations says otherwise."),
    )
    offer_minutes = models.PositiveSmallIntegerField(
        _("waitlist offers last (minutes)"),
        default=120,
        db_default=120,
        validators=[MinValueValidator(5), MaxValueValidator(MAX_OFFER_HOURS * 60)],
        help_text=_("How long a freed time is kept for the patient to whom it is offered."),
    )
    manual_acts = models.DecimalField(
        _("acts for each booking by hand"),
        max_digits=4,
        decimal_places=1,
        default=Decimal("5.0"),
        db_default=Decimal("5.0"),
        validators=[MinValueValidator(Decimal("0.1"))],
        help_text=_("What a booking took in the diary and by telephone: the baseline of the effort report."),
    )
    manual_minutes = models.DecimalField(
        _("minutes for each act"),
        max_digits=4,
        decimal_places=1,
        default=Decimal("1.5"),
        db_default=Decimal("1.5"),
        validators=[MinValueValidator(Decimal("0.1"))],
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("clinic")
        verbose_name_plural = _("clinics")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(closes_at__gt=models.F("opens_at")),
                name="clinic_closes_after_opening",
                violation_error_message=_("The clinic must close after it opens."),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    deposit_percent__gte=1,
                    deposit_percent__lte=100,
                    late_cancel_percent__lte=100,
                    no_show_percent__lte=100,
                ),
                name="clinic_percents",
            ),
            models.CheckConstraint(
                condition=models.Q(offer_minutes__gte=5, offer_minutes__lte=MAX_OFFER_HOURS * 60),
                name="clinic_offer_minutes_sane",
            ),
            models.CheckConstraint(
                condition=models.Q(manual_acts__gt=0, manual_minutes__gt=0), name="clinic_baseline_sane"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    def local_date(self, instant: dt.datetime) -> dt.date:
        return instant.astimezone(self.zone).date()

    def today(self) -> dt.date:
        return self.local_date(timezone.now())

    def day_bounds(self, day: dt.date, days: int = 1) -> tuple[dt.datetime, dt.datetime]:
        """First instant of the day and of the day `days` later, at the clinic (a day may have 23 or 25 hours)."""
        return (
            dt.datetime.combine(day, dt.time(), self.zone),
            dt.datetime.combine(day + dt.timedelta(days), dt.time(), self.zone),
        )


class Station(models.Model):
    """A room or chair; its kind says which services it can serve."""

    clinic = models.ForeignKey(Clinic, models.PROTECT, related_name="stations", verbose_name=_("clinic"))
    name = models.CharField(_("name"), max_length=40)
    kind = models.SlugField(_("kind"), max_length=20, help_text=_("For example consult, laser, x-ray."))

    class Meta:
        verbose_name = _("station")
        verbose_name_plural = _("stations")
        ordering = ["clinic", "name"]
        constraints = [models.UniqueConstraint(fields=["clinic", "name"], name="station_name_in_clinic")]

    def __str__(self) -> str:
        return self.name


class WalkingTime(models.Model):
    """How long it takes from one station to another, either way. Stored once, the lower id first."""

    first = models.ForeignKey(Station, models.CASCADE, related_name="+", verbose_name=_("from station"))
    second = models.ForeignKey(Station, models.CASCADE, related_name="+", verbose_name=_("to station"))
    minutes = models.PositiveSmallIntegerField(_("minutes"), validators=[MaxValueValidator(120)])

    class Meta:
        verbose_name = _("walking time")
        verbose_name_plural = _("walking times")
        constraints = [
            models.UniqueConstraint(
                fields=["first", "second"],
                name="walking_time_once",
                violation_error_message=_("The walking time between these stations is already given."),
            ),
            models.CheckConstraint(
                condition=models.Q(first__lt=models.F("second")), name="walking_time_in_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first} – {self.second}: {self.minutes}"

    def clean(self) -> None:
        if not (self.first_id and self.second_id):
            return
        if self.first_id == self.second_id:
            raise ValidationError(_("Choose two different stations."))
        if self.first.clinic_id != self.second.clinic_id:
            raise ValidationError(_("The stations belong to different clinics."))
        if self.first_id > self.second_id:
            self.first, self.second = self.second, self.first


class Equipment(models.Model):
    """A movable or shared device of a clinic, counted in units (FHIR Device)."""

    clinic = models.ForeignKey(Clinic, models.PROTECT, related_name="equipment", verbose_name=_("clinic"))
    kind = models.SlugField(
        _("kind"), max_length=20, help_text=_("For example laser-head: what services ask for.")
    )
    name = models.CharField(_("name"), max_length=60)
    units = models.PositiveSmallIntegerField(
        _("units"), default=1, validators=[MinValueValidator(0), MaxValueValidator(MAX_UNITS)]
    )

    class Meta:
        verbose_name = _("equipment")
        verbose_name_plural = _("equipment")
        ordering = ["clinic", "kind"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "kind"],
                name="equipment_kind_in_clinic",
                violation_error_message=_(
                    "This clinic already has equipment of this kind: change its units."
                ),
            ),
            models.CheckConstraint(condition=models.Q(units__lte=MAX_UNITS), name="equipment_units_sane"),
        ]

    def __str__(self) -> str:
        return f"{self.name} × {self.units}"


class Practitioner(models.Model):
    """A doctor, therapist or nurse; may work at several clinics."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("login")
    )
    name = models.CharField(_("name"), max_length=80)
    specialty = models.CharField(_("specialty"), max_length=60)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("practitioner")
        verbose_name_plural = _("practitioners")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CalendarFeed(models.Model):
    """A practitioner's visits under a secret address, for a calendar program. Only the hash of the secret is kept."""

    practitioner = models.ForeignKey(
        Practitioner, models.CASCADE, related_name="feeds", verbose_name=_("practitioner"), db_index=False
    )
    token_hash = models.CharField(_("hash of the secret"), max_length=64, unique=True, editable=False)
    shows_patients = models.BooleanField(_("shows names of patients"), default=False, db_default=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("calendar feed")
        verbose_name_plural = _("calendar feeds")
        constraints = [
            models.UniqueConstraint(
                fields=["practitioner"],
                condition=models.Q(revoked_at__isnull=True),
                name="one_feed_for_each_practitioner",
            )
        ]

    def __str__(self) -> str:
        return f"{self.practitioner}"


class Service(models.Model):
    """What is delivered. `price_cents` includes GST where the clinic's legal entity is registered."""

    slug = models.SlugField(_("short name"), unique=True)
    name = models.CharField(_("name"), max_length=80, unique=True)
    description = models.CharField(_("description"), max_length=200, blank=True)
    category = models.CharField(_("category"), max_length=40)
    duration_minutes = models.PositiveSmallIntegerField(
        _("duration (minutes)"), validators=[MinValueValidator(5)]
    )
    buffer_minutes = models.PositiveSmallIntegerField(
        _("buffer after (minutes)"),
        default=0,
        help_text=_("Kept free after the visit, for cleaning or notes."),
    )
    price_cents = models.PositiveIntegerField(_("price (cents)"))
    station_kind = models.SlugField(_("kind of station"), max_length=20)
    equipment_kinds = ArrayField(
        models.SlugField(max_length=20),
        verbose_name=_("kinds of equipment"),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("One unit of each kind is reserved with the booking."),
    )
    practitioners = models.ManyToManyField(
        Practitioner, related_name="services", verbose_name=_("may be delivered by")
    )
    is_online = models.BooleanField(_("bookable online"), default=True)

    class Meta:
        verbose_name = _("service")
        verbose_name_plural = _("services")
        ordering = ["category", "name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(duration_minutes__gte=5, duration_minutes__lte=720),
                name="service_duration_sane",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def occupied(self) -> dt.timedelta:
        """How long a practitioner and a station are taken: the duration and the buffer."""
        return dt.timedelta(minutes=self.duration_minutes + self.buffer_minutes)


class ServicePolicy(PolicyFields):
    """The terms of a service at a clinic, in the place of the clinic's own."""

    clinic = models.ForeignKey(
        Clinic, models.CASCADE, related_name="service_policies", verbose_name=_("clinic"), db_index=False
    )
    service = models.ForeignKey(Service, models.CASCADE, related_name="policies", verbose_name=_("service"))

    class Meta:
        verbose_name = _("terms of a service")
        verbose_name_plural = _("terms of services")
        constraints = [
            models.UniqueConstraint(fields=["clinic", "service"], name="service_policy_once"),
            models.CheckConstraint(
                condition=models.Q(
                    deposit_percent__gte=1,
                    deposit_percent__lte=100,
                    late_cancel_percent__lte=100,
                    no_show_percent__lte=100,
                ),
                name="service_policy_percents",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.clinic} · {self.service}"


class Membership(models.Model):
    """What a member of staff is at a clinic. Whoever has none is a patient."""

    class Role(models.TextChoices):
        RECEPTIONIST = "receptionist", _("Receptionist")
        NURSE = "nurse", _("Nurse")
        DOCTOR = "doctor", _("Doctor")
        MANAGER = "manager", _("Clinic manager")
        FINANCE = "finance", _("Finance")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships", verbose_name=_("user")
    )
    clinic = models.ForeignKey(Clinic, models.CASCADE, related_name="memberships", verbose_name=_("clinic"))
    role = models.CharField(_("role"), max_length=20, choices=Role)
    can_overbook = models.BooleanField(
        _("may overbook"),
        default=False,
        db_default=False,
        help_text=_("May add a visit to a time that is taken, with a reason. Managers always may."),
    )

    class Meta:
        verbose_name = _("staff membership")
        verbose_name_plural = _("staff memberships")
        constraints = [models.UniqueConstraint(fields=["user", "clinic"], name="one_role_for_each_clinic")]

    def __str__(self) -> str:
        return f"{self.user} · {self.clinic} · {self.get_role_display()}"
