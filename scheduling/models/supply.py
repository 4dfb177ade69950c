"""Supply: templates and exceptions say when a practitioner works, slots are what can be claimed."""

import datetime as dt
import math
from collections.abc import Iterable

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.expressions import Combinable
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from scheduling.models.places import Clinic, Practitioner, Station

MAX_EXCEPTION = dt.timedelta(days=400)


class Seconds(Func):
    """An instant as a number. Only the difference of two instants has an immutable epoch."""

    template = "date_part('epoch', %(expressions)s - timestamptz '2000-01-01 00:00+00')"
    output_field = models.FloatField()


class Occupied(Func):
    """The row's time for one column as a box: the id one way, the seconds from start to end the other.

    Core GiST excludes overlapping boxes at an eighth of the cost of ranges, and needs no btree_gist. Boxes that
    touch overlap, hence the millisecond: the end belongs to the next.
    """

    function = "box"
    output_field = models.Field()

    def __init__(self, who: str | Combinable) -> None:
        who = F(who) if isinstance(who, str) else who
        start = Func(who, Seconds("starts_at"), function="point", output_field=models.Field())
        end = Func(who, Seconds("ends_at") - Value(0.001), function="point", output_field=models.Field())
        super().__init__(start, end)


class ScheduleTemplate(models.Model):
    """ "Sunday to Thursday 8:00–16:00, 20-minute slots, room 2, every second week". Local times of the clinic."""

    clinic = models.ForeignKey(Clinic, models.PROTECT, related_name="templates", verbose_name=_("clinic"))
    practitioner = models.ForeignKey(
        Practitioner, models.PROTECT, related_name="templates", verbose_name=_("practitioner")
    )
    station = models.ForeignKey(Station, models.PROTECT, related_name="templates", verbose_name=_("station"))
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(7)]),
        verbose_name=_("weekdays"),
        help_text=_("ISO numbers, Monday is 1, Sunday is 7."),
    )
    starts_at = models.TimeField(_("from"))
    ends_at = models.TimeField(_("to"))
    slot_minutes = models.PositiveSmallIntegerField(
        _("slot length (minutes)"), default=20, validators=[MinValueValidator(5), MaxValueValidator(240)]
    )
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True, help_text=_("The last day."))
    every_n_weeks = models.PositiveSmallIntegerField(
        _("every n-th week"),
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_("Counted from “valid from”."),
    )
    overbook_limit = models.PositiveSmallIntegerField(
        _("overbookings a day"),
        default=2,
        db_default=2,
        validators=[MaxValueValidator(20)],
        help_text=_("How many visits staff may add to a day of these hours on purpose. 0: none."),
    )

    class Meta:
        verbose_name = _("schedule template")
        verbose_name_plural = _("schedule templates")
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="template_ends_after_start",
                violation_error_message=_("The end must be after the start."),
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gte=F("valid_from")),
                name="template_valid_in_order",
                violation_error_message=_("“Valid until” is before “valid from”."),
            ),
            models.CheckConstraint(
                condition=Q(slot_minutes__gte=5, slot_minutes__lte=240, every_n_weeks__gte=1),
                name="template_numbers_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.practitioner} · {self.clinic} · {self.starts_at:%H:%M}–{self.ends_at:%H:%M}"

    def clean(self) -> None:
        if self.station_id and self.clinic_id and self.station.clinic_id != self.clinic_id:
            raise ValidationError({"station": _("This station belongs to another clinic.")})
        self.check_overlap(list(self.breaks.all()) if self.pk else [])

    def check_overlap(self, breaks: Iterable["TemplateBreak"]) -> None:
        """With these breaks. Raises ValidationError."""
        if other := self.overlapping(breaks):
            raise ValidationError(
                _("%(practitioner)s already has hours at “%(station)s” that overlap: %(start)s–%(end)s."),
                params={
                    "practitioner": other.practitioner,
                    "station": other.station,
                    "start": f"{other.starts_at:%H:%M}",
                    "end": f"{other.ends_at:%H:%M}",
                },
            )

    def overlapping(self, breaks: Iterable["TemplateBreak"] = ()) -> "ScheduleTemplate | None":
        """Another template that wants the practitioner or the station at the same time. Breaks may be used."""
        if not (self.starts_at and self.ends_at and self.valid_from and self.weekdays):
            return None
        others = (
            ScheduleTemplate.objects.filter(
                Q(practitioner_id=self.practitioner_id) | Q(station_id=self.station_id),
                Q(valid_until=None) | Q(valid_until__gte=self.valid_from),
                weekdays__overlap=self.weekdays,
                starts_at__lt=self.ends_at,
                ends_at__gt=self.starts_at,
            )
            .exclude(pk=self.pk)
            .exclude(breaks__starts_at__lte=self.starts_at, breaks__ends_at__gte=self.ends_at)
            .select_related("practitioner", "station")
            .order_by("pk")
        )
        if self.valid_until:
            others = others.filter(valid_from__lte=self.valid_until)
        for pause in breaks:
            others = others.exclude(starts_at__gte=pause.starts_at, ends_at__lte=pause.ends_at)
        return next((other for other in others if self._shares_a_week_with(other)), None)

    def _shares_a_week_with(self, other: "ScheduleTemplate") -> bool:
        mondays = [t.valid_from - dt.timedelta(days=t.valid_from.weekday()) for t in (self, other)]
        apart = (mondays[0] - mondays[1]).days // 7
        return apart % math.gcd(self.every_n_weeks, other.every_n_weeks) == 0


class TemplateBreak(models.Model):
    template = models.ForeignKey(ScheduleTemplate, models.CASCADE, related_name="breaks")
    starts_at = models.TimeField(_("from"))
    ends_at = models.TimeField(_("to"))

    class Meta:
        verbose_name = _("break")
        verbose_name_plural = _("breaks")
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="break_ends_after_start",
                violation_error_message=_("The end must be after the start."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.starts_at:%H:%M}–{self.ends_at:%H:%M}"

    def clean(self) -> None:
        hours = self.template
        if not (self.starts_at and self.ends_at and hours.starts_at and hours.ends_at):
            return
        if self.starts_at < hours.starts_at or self.ends_at > hours.ends_at:
            raise ValidationError(
                _("The break %(break)s lies outside the hours %(start)s–%(end)s."),
                params={
                    "break": self,
                    "start": f"{hours.starts_at:%H:%M}",
                    "end": f"{hours.ends_at:%H:%M}",
                },
            )


class ScheduleException(models.Model):
    """A departure from the templates: leave, closure and public holiday take hours away, extra hours add them."""

    class Kind(models.TextChoices):
        LEAVE = "leave", _("Leave")
        CLOSURE = "closure", _("Clinic closed")
        PUBLIC_HOLIDAY = "public_holiday", _("Public holiday")
        EXTRA_HOURS = "extra_hours", _("Extra hours")

    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    clinic = models.ForeignKey(
        Clinic, models.PROTECT, null=True, blank=True, related_name="exceptions", verbose_name=_("clinic")
    )
    practitioner = models.ForeignKey(
        Practitioner,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="exceptions",
        verbose_name=_("practitioner"),
    )
    station = models.ForeignKey(Station, models.PROTECT, null=True, blank=True, verbose_name=_("station"))
    slot_minutes = models.PositiveSmallIntegerField(
        _("slot length (minutes)"), default=20, validators=[MinValueValidator(5), MaxValueValidator(240)]
    )
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"))
    reason = models.CharField(_("reason"), max_length=120, blank=True)
    withdrawn_at = models.DateTimeField(
        _("withdrawn at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Extra hours that are no more: visits may still stand on their times."),
    )

    class Meta:
        verbose_name = _("schedule exception")
        verbose_name_plural = _("schedule exceptions")
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="exception_ends_after_start",
                violation_error_message=_("The end must be after the start."),
            ),
            models.CheckConstraint(
                condition=Q(kind="leave", practitioner__isnull=False)
                | Q(kind__in=["closure", "public_holiday"], clinic__isnull=False, practitioner__isnull=True)
                | Q(
                    kind="extra_hours",
                    clinic__isnull=False,
                    practitioner__isnull=False,
                    station__isnull=False,
                ),
                name="exception_names_who_and_where",
                violation_error_message=_(
                    "Leave needs a practitioner; a closure or holiday a clinic and no practitioner; "
                    "extra hours a clinic, a practitioner and a station."
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.starts_at:%Y-%m-%d}"

    def clean(self) -> None:
        if self.station and self.clinic_id and self.station.clinic_id != self.clinic_id:
            raise ValidationError({"station": _("This station belongs to another clinic.")})
        if not (self.starts_at and self.ends_at):
            return
        if self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": _("The end must be after the start.")})
        if self.ends_at <= timezone.now():
            raise ValidationError({"ends_at": _("This time is already over.")})
        if self.ends_at - self.starts_at > MAX_EXCEPTION:
            raise ValidationError({"ends_at": _("This is longer than a year: please check the dates.")})
        if other := self.overlapping():
            raise ValidationError(
                _("This overlaps what is already entered: %(what)s from %(start)s to %(end)s."),
                params={
                    "what": other.get_kind_display(),
                    "start": other.shown(other.starts_at),
                    "end": other.shown(other.ends_at),
                },
            )

    def overlapping(self) -> "ScheduleException | None":
        """Another of the same kind for the same people: leave inside leave, a closure twice."""
        if self.kind == self.Kind.EXTRA_HOURS:
            return None  # `edits.check_extra_hours` looks at all hours
        others = ScheduleException.objects.filter(
            kind=self.kind,
            practitioner=self.practitioner_id,
            starts_at__lt=self.ends_at,
            ends_at__gt=self.starts_at,
        )
        if self.clinic_id:
            others = others.filter(Q(clinic=self.clinic_id) | Q(clinic=None))
        return others.exclude(pk=self.pk).select_related("clinic").order_by("starts_at", "pk").first()

    def shown(self, instant: dt.datetime) -> str:
        zone = self.clinic.zone if self.clinic else None
        return f"{timezone.localtime(instant, zone):%Y-%m-%d %H:%M}"


class Slot(models.Model):
    """Atomic supply. The claim is on the row: `hold` (until `held_until`) or `booking`, so two claims cannot be.

    Written by `inventory.py` and `booking.py` only. `held_until` repeats the hold's `expires_at` (a composite foreign
    key keeps them equal), so that the state of a slot is read from its own row. `version` grows with each change.
    """

    clinic = models.ForeignKey(
        Clinic, models.PROTECT, related_name="slots", verbose_name=_("clinic"), db_index=False
    )
    practitioner = models.ForeignKey(
        Practitioner, models.PROTECT, related_name="slots", verbose_name=_("practitioner"), db_index=False
    )
    station = models.ForeignKey(
        Station, models.PROTECT, related_name="slots", verbose_name=_("station"), db_index=False
    )
    template = models.ForeignKey(
        ScheduleTemplate,
        models.SET_NULL,
        null=True,
        blank=True,
        verbose_name=_("made from template"),
        db_index=False,
    )
    exception = models.ForeignKey(
        ScheduleException,
        models.SET_NULL,
        null=True,
        blank=True,
        verbose_name=_("made from extra hours"),
        db_index=False,
    )
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"))
    hold = models.ForeignKey(
        "scheduling.Hold",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="slots",
        db_constraint=False,
        db_index=False,
    )
    held_until = models.DateTimeField(_("held until"), null=True, blank=True)
    booking = models.ForeignKey(
        "scheduling.Booking", models.PROTECT, null=True, blank=True, related_name="slots", db_index=False
    )
    is_blocked = models.BooleanField(_("blocked"), default=False)
    block_reason = models.CharField(_("reason"), max_length=120, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1, db_default=1)
    status = models.GeneratedField(
        expression=models.Case(
            models.When(booking__isnull=False, then=Value("booked")),
            models.When(is_blocked=True, then=Value("blocked")),
            default=Value("available"),
        ),
        output_field=models.CharField(max_length=10),
        db_persist=True,
    )

    class Meta:
        verbose_name = _("slot")
        verbose_name_plural = _("slots")
        indexes = [
            models.Index(fields=["clinic", "starts_at"], name="slot_clinic_start"),
            models.Index(fields=["hold"], condition=Q(hold__isnull=False), name="slot_hold"),
            models.Index(fields=["booking"], condition=Q(booking__isnull=False), name="slot_booking"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["practitioner", "starts_at"], name="slot_once"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="slot_ends_after_start"),
            models.CheckConstraint(
                condition=Q(hold__isnull=True, booking__isnull=True)
                | Q(hold__isnull=True, booking__isnull=False, is_blocked=False)
                | Q(hold__isnull=False, booking__isnull=True, is_blocked=False),
                name="slot_one_claim",
                violation_error_message=_("This time is taken."),
            ),
            models.CheckConstraint(
                condition=Q(hold__isnull=True, held_until__isnull=True)
                | Q(hold__isnull=False, held_until__isnull=False),
                name="slot_hold_has_end",
            ),
            ExclusionConstraint(
                name="practitioner_in_one_place",
                expressions=[(Occupied("practitioner_id"), RangeOperators.OVERLAPS)],
                violation_error_message=_("The practitioner already has a slot at this time."),
            ),
            ExclusionConstraint(
                name="station_used_once",
                expressions=[(Occupied("station_id"), RangeOperators.OVERLAPS)],
                violation_error_message=_("The station is already used at this time."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.practitioner_id} {self.starts_at:%Y-%m-%d %H:%M}"
