"""Who looked at, used or was given a patient's record. The law gives patients the last year (PDPA s 21)."""

import datetime as dt
from typing import NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _

from clinic_booking import audit
from clinic_booking.models import AuditEvent
from patients.models import Patient
from patients.rights.people import ROLES

YEAR = dt.timedelta(days=366)


class Access(NamedTuple):
    at: dt.datetime
    action: str
    by: str


def of_last_year(patient: Patient) -> list[Access]:
    """The newest first: one for each role, kind of look and day. Nobody is named."""
    found = audit.accesses_of(patient.pk, timezone.now() - YEAR)
    return [_access(**row) for row in found]


def _access(*, at: object, action: object, role: object, clinic_id: object) -> Access:
    assert isinstance(at, dt.datetime)
    label = AuditEvent.Action(str(action)).label
    if action == AuditEvent.Action.ACT_FOR:
        return Access(at, _("Acted for you"), _("Your parent or caregiver"))
    return Access(at, str(label), str(ROLES.get(str(role), _("Staff"))))
