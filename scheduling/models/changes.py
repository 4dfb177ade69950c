"""A change of supply before it is made: what it adds and removes, and each booking it hits with a new time for it."""

import datetime as dt
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from scheduling.models.bookings import Booking
from scheduling.models.places import Clinic, Practitioner, Station


class ChangePlan(models.Model):
    """A proposed edit of the supply. `payload` says what is to be written (`scheduling/edits.py` knows how)."""

    class Kind(models.TextChoices):
        HOURS = "hours", _("Working hours")
        END_HOURS = "end_hours", _("End of working hours")
        LEAVE = "leave", _("Leave")
        CLOSURE = "closure", _("Clinic closed")
        PUBLIC_HOLIDAY = "public_holiday", _("Public holiday")
        EXTRA_HOURS = "extra_hours", _("Extra hours")
        REMOVE = "remove", _("Exception removed")
        SAVED = "saved", _("Saved in the admin")

    class Status(models.TextChoices):
        DRAFT = "draft", _("Not applied yet")
        APPLIED = "applied", _("Applied")
        DISCARDED = "discarded", _("Discarded")

    clinic = models.ForeignKey(
        Clinic, models.PROTECT, related_name="change_plans", verbose_name=_("clinic"), db_index=False
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    payload = models.JSONField(_("what is written"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.DRAFT)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("made by")
    )
    created_at = models.DateTimeField(_("made at"), db_default=Now())
    computed_at = models.DateTimeField(_("computed at"), null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("decided by"),
    )
    ended_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    added = models.PositiveIntegerField(_("times added"), default=0)
    removed = models.PositiveIntegerField(_("times removed"), default=0)
    kept = models.PositiveIntegerField(_("times kept"), default=0)

    class Meta:
        verbose_name = _("change plan")
        verbose_name_plural = _("change plans")
        indexes = [models.Index(fields=["clinic", "-created_at"], name="change_plan_clinic")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="draft", ended_at__isnull=True, ended_by__isnull=True)
                | Q(status__in=["applied", "discarded"], ended_at__isnull=False, ended_by__isnull=False),
                name="change_plan_end_has_who_and_when",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.clinic}"


class ChangeProposalQuerySet(models.QuerySet["ChangeProposal"]):
    def open_proposals(self) -> Self:
        """Bookings that lie outside the hours now and whose patients have no new time yet."""
        return self.filter(
            plan__status=ChangePlan.Status.APPLIED,
            decision=ChangeProposal.Decision.OPEN,
            booking__status__in=[Booking.Status.BOOKED, Booking.Status.ARRIVED],
            booking__starts_at=F("from_starts_at"),
            booking__practitioner=F("from_practitioner"),
        )


class ChangeProposal(models.Model):
    """A booking that the plan hits, as it was seen, and its new time. Left open it keeps its slots until it is moved."""

    class Decision(models.TextChoices):
        MOVE = "move", _("Move")
        OPEN = "open", _("Leave open")

    plan = models.ForeignKey(
        ChangePlan, models.CASCADE, related_name="proposals", verbose_name=_("plan"), db_index=False
    )
    booking = models.ForeignKey(
        Booking, models.PROTECT, related_name="change_proposals", verbose_name=_("booking")
    )
    booking_version = models.PositiveIntegerField(_("version of the booking"))
    from_starts_at = models.DateTimeField(_("old time"))
    from_practitioner = models.ForeignKey(
        Practitioner, models.PROTECT, related_name="+", verbose_name=_("until now with"), db_index=False
    )
    decision = models.CharField(_("decision"), max_length=10, choices=Decision)
    is_chosen = models.BooleanField(_("chosen by staff"), default=False)
    starts_at = models.DateTimeField(_("new time"), null=True, blank=True)
    clinic = models.ForeignKey(
        Clinic, models.PROTECT, null=True, blank=True, verbose_name=_("new clinic"), db_index=False
    )
    practitioner = models.ForeignKey(
        Practitioner,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("new practitioner"),
        db_index=False,
    )
    station = models.ForeignKey(
        Station, models.PROTECT, null=True, blank=True, verbose_name=_("new station"), db_index=False
    )
    moved_version = models.PositiveIntegerField(
        _("version of the moved booking"), null=True, blank=True, help_text=_("Which move the plan made.")
    )
    asked_at = models.DateTimeField(_("asked to choose at"), null=True, blank=True)
    accepted_at = models.DateTimeField(_("accepted by the patient at"), null=True, blank=True)

    objects = ChangeProposalQuerySet.as_manager()

    class Meta:
        verbose_name = _("change proposal")
        verbose_name_plural = _("change proposals")
        constraints = [
            models.UniqueConstraint(fields=["plan", "booking"], name="one_proposal_for_each_booking"),
            models.CheckConstraint(
                condition=Q(decision="open")
                | Q(
                    starts_at__isnull=False,
                    clinic__isnull=False,
                    practitioner__isnull=False,
                    station__isnull=False,
                ),
                name="proposal_to_move_has_target",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking} · {self.get_decision_display()}"

    @property
    def target(self) -> tuple[int, dt.datetime] | None:
        """Who and when: a slot of the plan may not exist before it is applied."""
        return (self.practitioner_id, self.starts_at) if self.starts_at and self.practitioner_id else None

    @property
    def is_current(self) -> bool:
        """The booking is as the plan moved it: nobody has changed it since."""
        return self.moved_version is not None and self.moved_version == self.booking.version
