"""What retention asks of the rights: cases go when their time is over, an open one keeps the patient's record."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from clinic_booking.retention import registry
from clinic_booking.retention.kernel import midnight
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.registry import Cleaner, Pk, Rows, register
from patients.models import DataCopy, Patient, PrivacyRequest
from patients.retention import holds

GONE = "(erased)"


@registry.blocker(_("open request about data"))
def _asked() -> Q:
    waiting = PrivacyRequest.objects.filter(
        Q(status=PrivacyRequest.Status.OPEN) | Q(preserved__isnull=False), patient__isnull=False
    )
    return Q(pk__in=waiting.values("patient"))


@registry.eraser
def erase(patients: Sequence[int]) -> Counter[str]:
    DataCopy.objects.filter(patient__in=patients).update(content=None)
    return _empty(PrivacyRequest.objects.filter(patient__in=patients).values_list("pk", flat=True))


def _closed(day: dt.date) -> Rows:
    """What was said and done is taken out; that there was a case, its kind, days and decision stay."""
    done = PrivacyRequest.objects.filter(closed_at__lt=midnight(day))
    return done.exclude(name="", contact="", text="", preserved=None)


def _empty(ids: Iterable[Pk]) -> Counter[str]:
    """That reasons and a note were given stays: the law asks for them."""
    cases = PrivacyRequest.objects.filter(pk__in=ids)
    cases.exclude(reasons="").update(reasons=GONE)
    cases.exclude(annotation="").update(annotation=GONE)
    return Counter({"patients.PrivacyRequest": cases.update(name="", contact="", text="", preserved=None)})


def _unheld(rows: Rows) -> Rows:
    return rows.filter(~Exists(Patient.objects.filter(holds.held(), pk=OuterRef("patient"))))


register(Cleaner(DataClass.CASE, "privacy_request", _closed, _empty, _unheld))
