"""The clocks of an incident, and what is proposed of it (PDPA part 6A, HIB cl 74–80). The officer decides."""

import datetime as dt
from typing import NamedTuple

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from clinic_booking import audit, events
from clinic_booking.errors import NamedError, NotAllowed
from clinic_booking.jobs import RETRY
from clinic_booking.models import User
from clinic_booking.retention.models import BreachDeadline, Incident
from clinic_booking.roles import Can, may

MANY = 500  # people: PDPA s 26B(1)(b), NDBR
# What was done, in the order of the page; each is a time of the incident.
STEPS = ("contained", "minister_first", "minister_full", "commission", "individuals")


class Decided(NamedError):
    sentence = _("This incident is decided or closed already. Please look at it again.")


class ReasonsMissing(NamedError):
    status = 422
    sentence = _("Please write down the reasons: the Commission may ask for them, whatever was decided.")


class Deadline(NamedTuple):
    name: str
    title: str | Promise
    due: dt.datetime | None  # none: it does not run yet
    done: dt.datetime | None
    why: str | Promise = ""

    def is_overdue(self, now: dt.datetime) -> bool:
        return self.done is None and self.due is not None and self.due < now

    def left(self, now: dt.datetime) -> str:
        """In words, for the page and for letters."""
        if self.done:
            return _t("done") if self.due is None or self.done <= self.due else _t("done, but late")
        if self.due is None:
            return str(self.why)
        minutes = int((self.due - now).total_seconds()) // 60
        days, hours = divmod(abs(minutes) // 60, 24)
        span = _t("%(days)d d %(hours)d h %(minutes)02d min") % {
            "days": days,
            "hours": hours,
            "minutes": abs(minutes) % 60,
        }
        return (_t("%s overdue") if minutes < 0 else _t("%s left")) % span


def deadlines(incident: Incident) -> list[Deadline]:
    """The Commission's three calendar days begin after the day of the assessment (s 26D(1))."""
    found = incident.discovered_at
    must_tell = incident.decision == Incident.Decision.NOTIFIABLE
    not_yet = _("not assessed yet") if incident.assessed_at is None else _("need not be told")
    commission = _end_of_day(incident.assessed_at, settings.BREACH_COMMISSION_DAYS) if must_tell else None
    people = None if incident.is_protected else commission
    return [
        Deadline(
            "minister_first",
            _("First report to the Minister (HIB)"),
            found + dt.timedelta(hours=settings.BREACH_MINISTER_FIRST_HOURS),
            incident.minister_first_at,
        ),
        Deadline(
            "minister_full",
            _("Full report to the Minister (HIB)"),
            found + dt.timedelta(hours=settings.BREACH_MINISTER_FULL_HOURS),
            incident.minister_full_at,
        ),
        Deadline(
            "assessment",
            _("Assessment"),
            found + dt.timedelta(days=settings.BREACH_ASSESS_DAYS),
            incident.assessed_at,
        ),
        Deadline("commission", _("Notify the Commission"), commission, incident.commission_at, not_yet),
        Deadline(
            "individuals",
            _("Notify the people, with or after the Commission"),
            people,
            incident.individuals_at,
            _("protected by encryption") if incident.is_protected else not_yet,
        ),
    ]


def _end_of_day(moment: dt.datetime | None, days: int) -> dt.datetime | None:
    if moment is None:
        return None
    day = timezone.localdate(moment) + dt.timedelta(days=days + 1)
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min)) - dt.timedelta(seconds=1)


def proposal(incident: Incident) -> tuple[str, list[str]]:
    """By rule, with its reasons: s 26B, NDBR 3 and 4."""
    data, kinds = set(incident.data_classes), Incident.Data
    reasons = []
    if (incident.people or 0) >= MANY:
        reasons.append(
            _t("%(n)d people: %(many)d or more are notifiable.") % {"n": incident.people, "many": MANY}
        )
    if kinds.IDENTIFIER in data and data & {kinds.HEALTH, kinds.FINANCIAL, kinds.VULNERABLE}:
        reasons.append(
            _t(
                "Names or identity numbers together with data on health or money, or that say who is a child or a"
                " vulnerable adult: significant harm is deemed."
            )
        )
    if kinds.SECURITY in data and data & {kinds.IDENTIFIER, kinds.CONTACT}:
        reasons.append(_t("An account together with what opens it: significant harm is deemed."))
    if reasons and incident.is_internal:
        return Incident.Decision.NOT_NOTIFIABLE, [
            *reasons,
            _t("But it stayed wholly inside the organisation, which is deemed not notifiable (s 26B(4))."),
        ]
    if reasons:
        return Incident.Decision.NOTIFIABLE, reasons
    return Incident.Decision.NOT_NOTIFIABLE, [
        _t("Fewer than %d people, and no combination of data that is deemed to do significant harm.") % MANY
    ]


def save(incident: Incident, *, by: User, changed: list[str]) -> None:
    """A new one, or facts that became known."""
    _allowed(by)
    is_new = incident.pk is None
    if not is_new and incident.closed_at:
        raise Decided
    with transaction.atomic():
        if is_new:
            incident.made_by = by
        incident.save()
        audit.record(
            audit.Action.CREATE if is_new else audit.Action.CHANGE,
            f"incident:{incident.pk}",
            by=by,
            fields=changed[:20],
        )


def decide(*, incident: Incident, decision: str, reasons: str, by: User) -> None:
    """Starts or ends the clocks of the Commission and the people. Raises ReasonsMissing, Decided."""
    _allowed(by)
    if not reasons.strip():
        raise ReasonsMissing
    values = {"decision": decision, "reasons": reasons, "assessed_at": timezone.now()}
    _update(incident, "decision", by, {"decision": Incident.Decision.OPEN}, values)


def done(*, incident: Incident, step: str, by: User, at: dt.datetime | None = None) -> None:
    """Of `STEPS`, once."""
    _allowed(by)
    _update(incident, step, by, {f"{step}_at": None}, {f"{step}_at": at or timezone.now()})


def close(*, incident: Incident, by: User) -> None:
    """Only what is decided, and what is notifiable only when the Commission knows."""
    _allowed(by)
    decided = incident.decision == Incident.Decision.NOT_NOTIFIABLE or (
        incident.decision == Incident.Decision.NOTIFIABLE
        and incident.commission_at is not None
        and (incident.individuals_at is not None or incident.is_protected)
    )
    if not decided:
        raise StillOpen
    _update(incident, "closed", by, {"closed_at": None}, {"closed_at": timezone.now()})


class StillOpen(NamedError):
    sentence = _("It cannot be closed before it is assessed and everybody who must be told has been told.")


def _update(
    incident: Incident, what: str, by: User, if_still: dict[str, object], values: dict[str, object]
) -> None:
    """Of two at once one gets the row."""
    with transaction.atomic():
        if not Incident.objects.filter(pk=incident.pk, **{"closed_at": None, **if_still}).update(**values):
            raise Decided
        audit.record(audit.Action.CHANGE, f"incident:{incident.pk}", by=by, fields=[what])


def _allowed(by: User) -> None:
    if not may(by, Can.MANAGE_BREACHES):
        raise NotAllowed


# -- Reminders -----------------------------------------------------------------------------------

SOON, OVERDUE = 1, 2


def remind(now: dt.datetime | None = None) -> int:
    """Once when a quarter of the time is left, once when it is over. Returns how many were told of."""
    now, sent = now or timezone.now(), 0
    for incident in Incident.objects.filter(closed_at=None):
        for deadline in deadlines(incident):
            stage = _stage(incident, deadline, now)
            if not stage:
                continue
            # The row with the job: of two workers one tells, and a letter that fails is tried again.
            with transaction.atomic():
                _row, is_new = BreachDeadline.objects.get_or_create(
                    incident=incident, deadline=deadline.name, stage=stage
                )
                if is_new:
                    events.defer(write_of_deadline, incident_id=incident.pk, name=deadline.name)
                    sent += 1
    return sent


@app.task(name="write_of_deadline", queue="ops", retry=RETRY)
def write_of_deadline(incident_id: int, name: str) -> None:
    """What is left when the letter is written."""
    incident = Incident.objects.get(pk=incident_id)
    now = timezone.now()
    deadline = next(each for each in deadlines(incident) if each.name == name)
    if incident.closed_at is None and deadline.done is None:
        _write_to_officers(incident, deadline, now)


def _stage(incident: Incident, deadline: Deadline, now: dt.datetime) -> int:
    if deadline.done or deadline.due is None:
        return 0
    if deadline.due < now:
        return OVERDUE
    begun = incident.discovered_at if deadline.name in _FROM_DISCOVERY else incident.assessed_at
    assert begun is not None
    return SOON if deadline.due - now < (deadline.due - begun) / 4 else 0


_FROM_DISCOVERY = {"minister_first", "minister_full", "assessment"}


def _write_to_officers(incident: Incident, deadline: Deadline, now: dt.datetime) -> None:
    officers = User.objects.filter(office=User.Office.PRIVACY_OFFICER, is_active=True).exclude(email="")
    to = sorted({settings.DPO_EMAIL, *officers.values_list("email", flat=True)})
    link = f"{settings.SITE_URL}{reverse('incident', args=[incident.pk])}"
    text = f"{incident}: {deadline.title}: {deadline.left(now)}\n\n{link}\n"
    send_mail(_t("A deadline of an incident"), text, None, to)
